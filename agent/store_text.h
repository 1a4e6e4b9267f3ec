/* SPDX-License-Identifier: Apache-2.0 */
/* store_text.h - the text of DIR/state.json, of `admin { state DIR; }`.
 *
 *   {"remora_state":1,
 *   "revision":17,"reserved":17,
 *   "upstreams":[
 *   {"name":"app","changes":"127.0.0.1:8001 weight=5","config_hash":"0123...",...,"servers":[
 *   {"id":0,"server":"127.0.0.1:8001","weight":5}]}],
 *   "tables":[
 *   {"kind":1,"name":"routes","config_hash":"0123...","type":0,"entries":[["key","value",0]]},
 *   {"kind":2,"name":"split","config_hash":"0123...","bytes":"BASE64"}],
 *   "dropped":[],
 *   "digest":"0123456789abcdef"}
 *
 * An entry of a key-value zone has the wall-clock milliseconds at which it ends, or 0.
 * Strings are bytes: each character is one, so that names that are no UTF-8 survive.  Of servers,
 * what differs from the directive's defaults is written.  The version rises when a member is added
 * that an older remora must not overlook; others may be added at any time.  The digest is of all
 * that stands before it; somebody who edits the file takes it out.  */
#ifndef REM_AGENT_STORE_TEXT_H
#define REM_AGENT_STORE_TEXT_H

#include "proto/base/sbuf.h"
#include "proto/shm/spec.h"
#include "proto/shm/table.h"

/* Numbers of an upstream or a server that are written and read under these names. */
struct rem_store_field {
    const char *name;
    size_t offset; /* of a uint32_t */
};
extern const struct rem_store_field rem_store_upstream_fields[]; /* to a NULL name */
extern const struct rem_store_field rem_store_server_fields[];   /* likewise */

static inline uint32_t *rem_store_number(void *spec, const struct rem_store_field *field)
{
    return (uint32_t *)(void *)((char *)spec + field->offset);
}

static inline uint32_t rem_store_number_of(const void *spec, const struct rem_store_field *field)
{
    return *(const uint32_t *)(const void *)((const char *)spec + field->offset);
}

/* A change of the configuration that made run-time state void. */
struct rem_store_drop {
    struct rem_str name;
    struct rem_str why;
    struct rem_str changes; /* what was dropped */
    int64_t sec;            /* wall clock */
};

/* Objects, without what separates them. */
void rem_store_text_upstream(const struct rem_upstream_spec *spec, struct rem_str changes,
                             struct rem_sbuf *out);
void rem_store_text_table(const struct rem_table *table, struct rem_sbuf *out);
void rem_store_text_drop(const struct rem_store_drop *drop, struct rem_sbuf *out);

/* A string as JSON, quotes included. */
void rem_store_text_string(struct rem_str s, struct rem_sbuf *out);

/* Ends the file with the digest of what stands before. */
void rem_store_text_end(struct rem_sbuf *out);

#endif
