/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - named immutable blobs that are published with the sets of servers.
 *
 * Runs in:    the agent writes them (writer.h), workers read them (reader.h).
 * Identity:   kind and name.
 * Not here:   what the bytes mean.  */
#ifndef REM_SHM_TABLE_H
#define REM_SHM_TABLE_H

#include "proto/base/str.h"

#include <stdint.h>

enum rem_table_kind {
    REM_TABLE_KEYVAL = 1,
    REM_TABLE_SPLIT,
    REM_TABLE_NAMES, /* servers given by name through the API, see api/names.h */
    REM_TABLE_RESET, /* what the Plus API's statistics were at their last reset */
};

/* Is it part of what a configuration or its users say?  Else it raises no revision, and is not kept
 * over restarts. */
static inline bool rem_table_is_said(enum rem_table_kind kind)
{
    return kind != REM_TABLE_RESET;
}

enum { REM_TABLE_NAME_MAX = 320 };

/* What a configuration declares. */
struct rem_table_spec {
    enum rem_table_kind kind;
    struct rem_str name;
    struct rem_str bytes;
    uint64_t config_hash; /* of what the file says; decides what a reload keeps; not 0 */
};

/* A table as the agent reads it. */
struct rem_table {
    enum rem_table_kind kind;
    struct rem_str name;
    struct rem_str bytes; /* aligned to 64 */
    uint64_t config_hash;
    uint64_t uid;  /* another one with every change; 0: staged, not published */
    bool declared; /* by the present configuration */
};

/* What name_hash is in the directory. */
static inline uint64_t rem_table_hash(enum rem_table_kind kind, struct rem_str name)
{
    return rem_hash(name.p, name.n) ^ (uint64_t)kind * 0x9e3779b97f4a7c15ULL;
}

#endif
