/* SPDX-License-Identifier: Apache-2.0 */
/* plus.h - the endpoints of the NGINX Plus API, and what they share.
 *
 * Contract:   ecosystem section 3: all versions alike, maps that are empty rather than absent,
 *             integers without sign, `?fields=`, DELETE on statistics answers 204.  */
#ifndef REM_API_PLUS_H
#define REM_API_PLUS_H

#include "api/call.h"
#include "api/names.h"
#include "api/reset.h"
#include "proto/shm/codes.h"

/* ---- what they share (plus_answer.c; rem_plus_time too) ---- */

/* Answers with an object, a map of objects, or a list of objects with an `id`, cut to `?fields=`;
 * with an empty `?fields=` maps and lists become the list of their names (or ids).  The value is
 * taken; NULL: out of memory. */
int rem_plus_answer_object(struct rem_api_call *call, json_t *object);
int rem_plus_answer_map(struct rem_api_call *call, json_t *map);
int rem_plus_answer_list(struct rem_api_call *call, json_t *list);

/* Puts `value` (taken; NULL: out of memory) into the map under a name that may be any bytes.
 * Returns: the map; NULL (and the map is gone) without memory. */
json_t *rem_plus_put(json_t *map, struct rem_str name, json_t *value);

/* An answer as text where there may be many objects, or large ones.  Begin; then, if it is a map,
 * for each entry `entry`, and if that says so the object; of an object `open`, its members,
 * `close`; at last `end`. */
struct rem_plus_text {
    struct rem_sbuf *out;
    bool is_map;
    bool cut;              /* to the members in `fields`; no names there: a map becomes a list */
    struct rem_str fields; /* of `?fields=` */
};

void rem_plus_text_begin(struct rem_plus_text *text, struct rem_api_call *call, bool is_map);
void rem_plus_text_end(struct rem_plus_text *text);

/* Returns: whether more than the name is wanted. */
bool rem_plus_text_entry(struct rem_plus_text *text, struct rem_str name);
void rem_plus_text_open(struct rem_plus_text *text);
void rem_plus_text_close(struct rem_plus_text *text);

/* The name of a member, whose value is to follow.  False: it is not wanted. */
bool rem_plus_text_member(struct rem_plus_text *text, const char *name);
void rem_plus_text_count(struct rem_plus_text *text, const char *name, uint64_t n);

/* Appends the object "responses": sums by class ([0] is 1xx), by code, and in all. */
void rem_plus_put_responses(struct rem_sbuf *out, const uint64_t classes[REM_SHM_CLASSES],
                            const struct rem_codes *codes);

/* Takes off what was counted before a reset. */
void rem_plus_codes_less(struct rem_codes *codes, const struct rem_codes *base);

/* ---- endpoints, by file ---- */

/* plus_status.c */
int rem_plus_versions(struct rem_api_call *call);
int rem_plus_root(struct rem_api_call *call);
int rem_plus_http(struct rem_api_call *call);
int rem_plus_nginx(struct rem_api_call *call);
int rem_plus_license(struct rem_api_call *call);
int rem_plus_processes(struct rem_api_call *call);
int rem_plus_processes_reset(struct rem_api_call *call);
int rem_plus_connections(struct rem_api_call *call);
int rem_plus_connections_reset(struct rem_api_call *call);
int rem_plus_requests(struct rem_api_call *call);
int rem_plus_requests_reset(struct rem_api_call *call);
int rem_plus_ssl(struct rem_api_call *call);
int rem_plus_ssl_reset(struct rem_api_call *call);

/* plus_workers.c */
int rem_plus_workers(struct rem_api_call *call);
int rem_plus_workers_reset(struct rem_api_call *call);
int rem_plus_worker(struct rem_api_call *call);
int rem_plus_worker_reset(struct rem_api_call *call);

/* plus_slabs.c */
int rem_plus_slabs(struct rem_api_call *call);
int rem_plus_slab(struct rem_api_call *call);
int rem_plus_slab_reset(struct rem_api_call *call);

/* plus_resolvers.c */
int rem_plus_resolvers(struct rem_api_call *call);
int rem_plus_resolver(struct rem_api_call *call);
int rem_plus_resolver_reset(struct rem_api_call *call);

/* plus_zones.c */
int rem_plus_server_zones(struct rem_api_call *call);
int rem_plus_server_zone(struct rem_api_call *call);
int rem_plus_server_zone_reset(struct rem_api_call *call);
int rem_plus_location_zones(struct rem_api_call *call);
int rem_plus_location_zone(struct rem_api_call *call);
int rem_plus_location_zone_reset(struct rem_api_call *call);
int rem_plus_limit_conns(struct rem_api_call *call);
int rem_plus_limit_conn(struct rem_api_call *call);
int rem_plus_limit_conn_reset(struct rem_api_call *call);
int rem_plus_limit_reqs(struct rem_api_call *call);
int rem_plus_limit_req(struct rem_api_call *call);
int rem_plus_limit_req_reset(struct rem_api_call *call);
int rem_plus_caches(struct rem_api_call *call);
int rem_plus_cache(struct rem_api_call *call); /* and its reset */

/* plus_keyvals.c */
int rem_plus_keyvals(struct rem_api_call *call);
int rem_plus_keyval(struct rem_api_call *call);
int rem_plus_keyval_post(struct rem_api_call *call);
int rem_plus_keyval_patch(struct rem_api_call *call);
int rem_plus_keyval_delete(struct rem_api_call *call);

/* plus_upstream.c */
int rem_plus_upstreams(struct rem_api_call *call);
int rem_plus_upstream(struct rem_api_call *call);
int rem_plus_upstream_reset(struct rem_api_call *call);

/* plus_servers.c */
int rem_plus_servers(struct rem_api_call *call);
int rem_plus_servers_post(struct rem_api_call *call);
int rem_plus_server(struct rem_api_call *call);
int rem_plus_server_patch(struct rem_api_call *call);
int rem_plus_server_delete(struct rem_api_call *call);

/* ---- plus_names.c: servers that are names ---- */

/* All names of an upstream as servers, in a new list.  NULL without memory. */
json_t *rem_plus_names_json(struct rem_api_call *call, struct rem_str upstream, bool staged);

/* The names of an upstream, read when first needed. */
struct rem_plus_names {
    struct rem_str upstream;
    bool staged; /* as this turn leaves them */
    bool is_read;
    const struct rem_upstream_spec *conf; /* NULL: not in the configuration */
    struct rem_names given;               /* through the API; of all upstreams */
};

/* The service of the name that a server was found for, by the server's `parent`; empty: the name
 * has none, or there is no name. */
struct rem_str rem_plus_service(struct rem_api_call *call, struct rem_plus_names *names,
                                uint32_t parent);

/* The calls about ids from REM_NAMES_ID on; `upstream` as this turn leaves it, its servers may be
 * altered (post: without servers). */
int rem_plus_name(struct rem_api_call *call, struct rem_str upstream, uint64_t id);
int rem_plus_name_post(struct rem_api_call *call, const struct rem_upstream_spec *upstream,
                       const struct rem_server_spec *server);
int rem_plus_name_patch(struct rem_api_call *call, const struct rem_upstream_spec *upstream,
                        uint64_t id);
/* Stages it; the answer is for the caller to make. */
int rem_plus_name_delete(struct rem_api_call *call, const struct rem_upstream_spec *upstream,
                         uint64_t id);

#endif
