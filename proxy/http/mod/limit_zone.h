/* SPDX-License-Identifier: Apache-2.0 */
/* limit_zone.h - what limit_req and limit_conn share: named zones with a key, and outcomes.
 *
 * Runs in:    zones are defined while a configuration is read, before or after they are first used.
 * Not here:   the shared memory (proto/shm/zone.h), the limits themselves.  */
#ifndef REM_HTTP_MOD_LIMIT_ZONE_H
#define REM_HTTP_MOD_LIMIT_ZONE_H

#include "proto/shm/stat.h"
#include "proto/shm/zone.h"
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"

enum rem_limit_status {
    REM_LIMIT_NONE = 0, /* no limit has been looked at */
    REM_LIMIT_PASSED,
    REM_LIMIT_DELAYED,
    REM_LIMIT_REJECTED,
    REM_LIMIT_DELAYED_DRY_RUN,
    REM_LIMIT_REJECTED_DRY_RUN,
};

struct rem_limit_zone {
    struct rem_str name;
    struct rem_conf_pos pos; /* where it was named first */
    struct rem_value key;
    struct rem_zone *memory;    /* NULL: not defined (yet) */
    struct rem_stat_spec *stat; /* what has become of requests */
    uint64_t requests;          /* limit_req: so many */
    uint64_t period_ms;         /* in this time */
};

/* What both modules keep of the http block, and of every level. */
struct rem_limit_main {
    struct rem_array zones; /* of struct rem_limit_zone * */
};

struct rem_limit_conf {
    struct rem_array *limits; /* of the module's struct limit, in which the zone is first;
                               * NULL: inherited */
    int log_level;
    int64_t status;
    int dry_run;
};

/* For the modules' create_main, init_main, create_location and merge_location.  The check, when all
 * has been read, reports a zone that is used and nowhere defined. */
void *rem_limit_main_new(struct rem_conf *cf);
int rem_limit_main_check(struct rem_conf *cf, void *conf);
void *rem_limit_conf_new(struct rem_conf *cf);
int rem_limit_conf_merge(struct rem_conf *cf, void *parent, void *child);

/* The zone for a limit of a block, which may be defined later.  Reports: the block has a limit with
 * that zone, no memory. */
int rem_limit_zone_use(struct rem_conf *cf, struct rem_limit_main *main,
                       const struct rem_limit_conf *conf, struct rem_str name,
                       const struct rem_limit_zone **out) REM_MUST_CHECK;

/* The "NAME_zone KEY ... zone=NAME:SIZE" directive: `arg` is the last of these.  Reports. */
int rem_limit_zone_define(struct rem_conf *cf, struct rem_array *zones, struct rem_str arg,
                          enum rem_zone_kind kind, uint32_t value_size,
                          struct rem_limit_zone **out) REM_MUST_CHECK;

/* The zone's key for a request.  Returns: false where the request is not to be counted (the key is
 * empty, or too long, which is logged); *rc is 500 without memory. */
bool rem_limit_zone_key(struct rem_request *request, const struct rem_limit_zone *zone,
                        struct rem_str *key, int *rc) REM_MUST_CHECK;

/* Counts what has become of a request, as far as the zone goes. */
void rem_limit_zone_count(const struct rem_limit_zone *zone, enum rem_limit_status status);

/* Variables: the name of an outcome. */
int rem_limit_status_text(struct rem_var_value *out, enum rem_limit_status status);

/* The client's own request, of which a subrequest is part: it is limited once. */
static inline struct rem_request *rem_limit_root(struct rem_request *request)
{
    while (request->parent != NULL)
        request = request->parent;
    return request;
}

/* limit_*_log_level, and limit_*_status into an int64_t. */
extern const struct rem_conf_choice rem_limit_log_levels[];
int rem_limit_set_status(struct rem_conf *cf, const struct rem_directive *d, void *conf);

#endif
