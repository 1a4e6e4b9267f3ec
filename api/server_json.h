/* SPDX-License-Identifier: Apache-2.0 */
/* server_json.h - a server of an upstream as the APIs show and take it.
 *
 * The object is the NGINX Plus API's: id, server, weight, max_conns, max_fails, fail_timeout,
 * slow_start, route, backup, down, and drain when it is set.  */
#ifndef REM_API_SERVER_JSON_H
#define REM_API_SERVER_JSON_H

#include "api/json.h"
#include "proto/shm/spec.h"

enum rem_server_json_use {
    REM_SERVER_JSON_ADD = 0, /* a new server: `server` must be there, no `id` */
    REM_SERVER_JSON_PATCH,   /* changes to `spec`; `backup` may only repeat what is, no `id` */
    REM_SERVER_JSON_SET,     /* an element of a whole set: as ADD, but an `id` is overlooked, as
                                the address is the identity (what GET shows can be put back) */
    /* The same in the Plus API: `server` may be a name (`addr` is empty then), numbers may be
     * texts, and `"down": false` alone ends draining, too.  Its own dashboard edits servers like
     * that. */
    REM_SERVER_JSON_PLUS_ADD,
    REM_SERVER_JSON_PLUS_PATCH,
};

enum { REM_SERVER_JSON_ROUTE_MAX = 32 };

/* Reads `object` into *spec, which for PATCH holds the present values and for the others is
 * initialised here.  Texts borrow from `object` or `arena`.
 * Errors: REM_EINVAL with the fault, REM_ENOMEM (fault INTERNAL); *spec is unusable then. */
int rem_server_json_parse(const json_t *object, enum rem_server_json_use use,
                          struct rem_arena *arena, struct rem_server_spec *spec,
                          struct rem_fault *fault) REM_MUST_CHECK;

/* Returns: a new object; NULL without memory. */
json_t *rem_server_json_make(const struct rem_server_spec *spec);

/* The same as text, behind what is there, and the elements of the array without its brackets.
 * `first_parent`: what the ids of names begin with where they are texts; 0: `parent` is a number.
 * (server_text.c) */
void rem_server_json_put(struct rem_sbuf *out, const struct rem_server_spec *spec,
                         uint64_t first_parent);
void rem_server_json_put_open(struct rem_sbuf *out, const struct rem_server_spec *spec,
                              uint64_t first_parent); /* without the brace at its end */
void rem_server_json_put_list(struct rem_sbuf *out, const struct rem_server_spec *specs,
                              size_t count, uint64_t first_parent);

/* A time as nginx writes it ("10s", "1m 30s", "500ms", "5" for seconds) in milliseconds.
 * Errors: REM_EINVAL (not a time, or beyond 24 days, which is what a timer holds). */
int rem_server_json_time(struct rem_str text, uint32_t *out_ms) REM_MUST_CHECK;

#endif
