/* SPDX-License-Identifier: Apache-2.0 */
/* limit_conn.c - so many requests at a time, per key.
 *
 * Phase:      preaccess, once for a client's request; what was counted is given back when the
 *             request ends.
 * Crashes:    an entry says which worker slots hold how much of it, so that a worker which starts
 *             takes back what a dead one left.  An entry has room for five; what a sixth holds is
 *             in the total only.  */
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"
#include "proxy/http/mod/limit_zone.h"
#include "proxy/net/setup.h"

enum { HOLDERS = 5, NUMBER_MAX = 65535 };

/* The value of a zone's entry; 24 bytes, so that an IPv4 address's entry is one chunk. */
struct counter {
    uint32_t total;
    struct holder {
        uint16_t slot; /* of the worker */
        uint16_t n;    /* 0: free */
    } by[HOLDERS];
};

_Static_assert(sizeof(struct counter) == 24, "as the zone has it");

/* One limit_conn directive. */
struct limit {
    const struct rem_limit_zone *zone; /* must be first */
    uint32_t max;
};

/* What a request has been counted in. */
struct hold {
    struct rem_zone *zone; /* NULL: given back */
    struct rem_str key;
    uint16_t slot;
};

extern struct rem_module rem_limit_conn_module;

/* ---- configuration ---- */

/* limit_conn_zone KEY zone=NAME:SIZE */
static int set_zone(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_limit_main *main = conf;
    struct rem_limit_zone *zone;

    (void)d;
    if (!rem_str_has_prefix(cf->args[2], REM_STR("zone=")))
        return rem_conf_error(cf, "invalid parameter \"%s\"", cf->args[2].p);
    return rem_limit_zone_define(cf, &main->zones, cf->args[2], REM_ZONE_LIMIT_CONN,
                                 sizeof(struct counter), &zone);
}

/* limit_conn NAME NUMBER */
static int set_limit(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_limit_main *main = rem_conf_main(cf, &rem_limit_conn_module);
    struct rem_limit_conf *location = conf;
    const struct rem_limit_zone *zone;
    struct limit *slot;
    int64_t max;
    int rc = rem_limit_zone_use(cf, main, location, cf->args[1], &zone);

    (void)d;
    if (rc != 0)
        return rc;
    if (rem_conf_parse_num(cf->args[2], &max) != REM_OK || max <= 0)
        return rem_conf_error(cf, "invalid number of connections \"%s\"", cf->args[2].p);
    if (max > NUMBER_MAX)
        return rem_conf_error(cf, "connection limit must be less 65536");
    slot = rem_set_push(cf, &location->limits, sizeof(*slot));
    if (slot == NULL)
        return REM_ENOMEM;
    *slot = (struct limit){zone, (uint32_t)max};
    return 0;
}

/* ---- counting ---- */

/* The worker's own part; a free one where it has none; NULL without either. */
static struct holder *holder_of(struct counter *counter, uint16_t slot)
{
    struct holder *unused = NULL;

    for (size_t i = 0; i < HOLDERS; i++) {
        if (counter->by[i].n == 0)
            unused = &counter->by[i];
        else if (counter->by[i].slot == slot)
            return &counter->by[i];
    }
    return unused;
}

/* One more, unless `max` have been reached or the zone is full. */
static bool acquire(const struct hold *hold, uint32_t max, uint64_t now_ms)
{
    struct rem_zone_hold locked;
    struct counter *counter;
    bool got = false;

    rem_zone_lock(hold->zone, hold->key, &locked);
    counter = rem_zone_get(&locked);
    if (counter == NULL)
        counter = rem_zone_put(&locked, now_ms);
    if (counter != NULL && counter->total < max) {
        struct holder *holder = holder_of(counter, hold->slot);

        counter->total++;
        if (holder != NULL) {
            holder->slot = hold->slot;
            holder->n++;
        }
        got = true;
    }
    rem_zone_unlock(&locked);
    return got;
}

/* A cleanup of the request. */
static void release(void *data)
{
    struct hold *hold = data;
    struct rem_zone_hold locked;
    struct counter *counter;

    if (hold->zone == NULL)
        return;
    rem_zone_lock(hold->zone, hold->key, &locked);
    counter = rem_zone_get(&locked);
    if (counter != NULL && counter->total > 0) { /* else its shard had to be emptied meanwhile */
        struct holder *holder = holder_of(counter, hold->slot);

        if (holder != NULL && holder->n > 0)
            holder->n--;
        if (--counter->total == 0)
            rem_zone_remove(&locked, counter);
    }
    rem_zone_unlock(&locked);
    hold->zone = NULL;
}

/* Takes back what workers hold that are no more.  A worker that starts holds nothing yet. */
static bool keep_living(void *data, void *value)
{
    const struct rem_worker *worker = data;
    const struct rem_region region = {.header = worker->reader.header};
    struct counter *counter = value;

    for (size_t i = 0; i < HOLDERS; i++) {
        struct holder *holder = &counter->by[i];

        if (holder->n == 0 || (holder->slot != (uint16_t)worker->slot &&
                               rem_region_worker_live(&region, holder->slot)))
            continue;
        counter->total -= holder->n < counter->total ? holder->n : counter->total;
        holder->n = 0;
    }
    return counter->total > 0;
}

static int worker_init(struct rem_worker *worker)
{
    const struct rem_http_main_conf *http = worker->setup->http;
    const struct rem_limit_main *main =
        http != NULL ? http->ctx->main[rem_limit_conn_module.index] : NULL;

    for (uint32_t i = 0; main != NULL && i < main->zones.n; i++)
        rem_zone_each(REM_ARRAY_OF(&main->zones, struct rem_limit_zone *)[i]->memory, keep_living,
                      worker);
    return 0;
}

/* ---- requests ---- */

static int reject(struct rem_request *request, const struct rem_limit_conf *conf,
                  const struct limit *limit, struct hold *holds, uint32_t n)
{
    struct rem_request *root = rem_limit_root(request);

    for (uint32_t i = 0; i < n; i++)
        release(&holds[i]);
    REM_LOG_IN(&request->log, (enum rem_log_level)conf->log_level, 0,
               "limiting connections%s by zone \"%.*s\"", conf->dry_run ? ", dry run," : "",
               REM_STR_ARG(limit->zone->name));
    root->limit_conn_status = conf->dry_run ? REM_LIMIT_REJECTED_DRY_RUN : REM_LIMIT_REJECTED;
    rem_limit_zone_count(limit->zone, (enum rem_limit_status)root->limit_conn_status);
    return conf->dry_run ? REM_HTTP_DECLINED : (int)conf->status;
}

static int on_preaccess(struct rem_request *request)
{
    const struct rem_limit_conf *conf = request->location_conf[rem_limit_conn_module.index];
    struct rem_request *root = rem_limit_root(request);
    uint64_t now_ms = request->worker->loop.clock.mono_ms;
    struct hold *holds;

    if (conf->limits == NULL || root->limit_conn_status != REM_LIMIT_NONE)
        return REM_HTTP_DECLINED;
    holds = rem_arena_zalloc(&request->arena, conf->limits->n * sizeof(*holds));
    if (holds == NULL)
        return 500;
    for (uint32_t i = 0; i < conf->limits->n; i++) {
        const struct limit *limit = &REM_ARRAY_OF(conf->limits, const struct limit)[i];
        struct hold hold = {limit->zone->memory, {NULL, 0}, (uint16_t)request->worker->slot};
        int rc;

        if (!rem_limit_zone_key(request, limit->zone, &hold.key, &rc)) {
            if (rc != REM_HTTP_OK)
                return rc;
            continue;
        }
        /* Values of variables are the request's and live as long; static keys longer. */
        if (rem_request_on_cleanup(request, release, &holds[i]) != REM_OK)
            return 500;
        if (!acquire(&hold, limit->max, now_ms))
            return reject(request, conf, limit, holds, i);
        holds[i] = hold;
        root->limit_conn_status = REM_LIMIT_PASSED;
    }
    for (uint32_t i = 0; i < conf->limits->n; i++) {
        if (holds[i].zone != NULL)
            rem_limit_zone_count(REM_ARRAY_OF(conf->limits, const struct limit)[i].zone,
                                 REM_LIMIT_PASSED);
        /* Clients of the API ask for a dozen things at once, and limits of ten are common, as an
         * API in the process itself has answered one before it looks at the next. */
        if (rem_core_location(request)->json_errors != NULL)
            release(&holds[i]);
    }
    return REM_HTTP_DECLINED;
}

/* ---- the module ---- */

static int get_status(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *root = rem_limit_root(rem_core_var_request(e));

    (void)v;
    return rem_limit_status_text(out, (enum rem_limit_status)root->limit_conn_status);
}

static int add_variables(struct rem_http_setup *setup)
{
    static const struct rem_core_var_def defs[] = {
        {"limit_conn_status", get_status, NULL, REM_VAR_NOCACHE}};

    return rem_core_var_define(setup->vars, defs, REM_COUNT(defs));
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_PREACCESS, on_preaccess);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

#define FIELD(name) REM_LEVEL_LOCATION, offsetof(struct rem_limit_conf, name)

static const struct rem_directive directives[] = {
    {"limit_conn_zone", REM_CTX_HTTP, REM_ARGS_2, set_zone, REM_LEVEL_MAIN, 0, NULL},
    {"limit_conn", HSL, REM_ARGS_2, set_limit, REM_LEVEL_LOCATION, 0, NULL},
    {"limit_conn_log_level", HSL, REM_ARGS_1, rem_set_enum, FIELD(log_level), rem_limit_log_levels},
    {"limit_conn_status", HSL, REM_ARGS_1, rem_limit_set_status, FIELD(status), NULL},
    {"limit_conn_dry_run", HSL, REM_ARGS_FLAG, rem_set_flag, FIELD(dry_run), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {
    .variables = add_variables,
    .install = install,
    .worker_init = worker_init,
};

struct rem_module rem_limit_conn_module = {
    .name = "limit_conn",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_main = rem_limit_main_new,
    .init_main = rem_limit_main_check,
    .create_location = rem_limit_conf_new,
    .merge_location = rem_limit_conf_merge,
    .hooks = &hooks,
};
