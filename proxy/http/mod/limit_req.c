/* SPDX-License-Identifier: Apache-2.0 */
/* limit_req.c - so many requests in a time, per key; a burst above that waits, or passes at once.
 *
 * Phase:      preaccess, once for a client's request.
 * Several limits must all have room: a request that one of them rejects counts in none.  */
#include "proxy/http/core_var.h"
#include "proxy/http/delay.h"
#include "proxy/http/mod/limit_bucket.h"
#include "proxy/http/mod/limit_zone.h"

enum { ONE = 1000, NUMBER_MAX = INT32_MAX };

/* One limit_req directive. */
struct limit {
    const struct rem_limit_zone *zone; /* must be first */
    uint64_t burst;                    /* thousandths, as all excess */
    uint64_t delay;                    /* up to here nobody waits; UINT64_MAX: nodelay */
};

/* A limit as one request meets it. */
struct meeting {
    const struct limit *limit;
    struct rem_limit_rate rate;
    struct rem_str key;
    uint64_t excess;
};

extern struct rem_module rem_limit_req_module;

/* ---- configuration ---- */

/* "10r/s", "30r/m". */
static int parse_rate(struct rem_str text, struct rem_limit_zone *zone)
{
    struct rem_str digits = text;
    int64_t n;

    if (text.n < 4)
        return REM_EINVAL;
    digits.n -= 3;
    if (memcmp(digits.p + digits.n, "r/s", 3) == 0)
        zone->period_ms = 1000;
    else if (memcmp(digits.p + digits.n, "r/m", 3) == 0)
        zone->period_ms = 60000;
    else
        return REM_EINVAL;
    if (rem_conf_parse_num(digits, &n) != REM_OK || n <= 0 || n > NUMBER_MAX)
        return REM_EINVAL;
    zone->requests = (uint64_t)n;
    return REM_OK;
}

/* limit_req_zone KEY zone=NAME:SIZE rate=RATE, the last two in any order. */
static int set_zone(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_limit_main *main = conf;
    struct rem_limit_zone parsed = {0}, *zone;
    struct rem_str at = {NULL, 0};
    int rc;

    (void)d;
    for (size_t i = 2; i < cf->n_args; i++) {
        struct rem_str arg = cf->args[i], value;

        if (rem_str_has_prefix(arg, REM_STR("zone="))) {
            at = arg;
        } else if (rem_str_take_prefix(arg, "rate=", &value)) {
            if (parse_rate(value, &parsed) != REM_OK)
                return rem_conf_error(cf, "invalid rate \"%.*s\"", REM_STR_ARG(arg));
        } else {
            return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
        }
    }
    if (at.p == NULL || parsed.requests == 0)
        return rem_conf_error(cf, "\"%s\" must have \"%s\" parameter", cf->args[0].p,
                              at.p == NULL ? "zone" : "rate");
    rc = rem_limit_zone_define(cf, &main->zones, at, REM_ZONE_LIMIT_REQ,
                               sizeof(struct rem_limit_bucket), &zone);
    if (rc != 0)
        return rc;
    zone->requests = parsed.requests;
    zone->period_ms = parsed.period_ms;
    return 0;
}

static int parse_count(struct rem_str text, uint64_t *out)
{
    int64_t n;

    if (rem_conf_parse_num(text, &n) != REM_OK || n <= 0 || n > NUMBER_MAX)
        return REM_EINVAL;
    *out = (uint64_t)n * ONE;
    return REM_OK;
}

/* A parameter of limit_req; *name becomes the zone's where it is that. */
static int parse_limit(struct rem_conf *cf, struct rem_str arg, struct limit *limit,
                       struct rem_str *name)
{
    struct rem_str value;

    if (rem_str_take_prefix(arg, "zone=", &value)) {
        *name = value;
    } else if (rem_str_take_prefix(arg, "burst=", &value)) {
        if (parse_count(value, &limit->burst) != REM_OK)
            return rem_conf_error(cf, "invalid burst value \"%.*s\"", REM_STR_ARG(arg));
    } else if (rem_str_take_prefix(arg, "delay=", &value)) {
        if (parse_count(value, &limit->delay) != REM_OK)
            return rem_conf_error(cf, "invalid delay value \"%.*s\"", REM_STR_ARG(arg));
    } else if (rem_str_is(arg, "nodelay")) {
        limit->delay = UINT64_MAX;
    } else {
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
    }
    return 0;
}

static int set_limit(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_limit_main *main = rem_conf_main(cf, &rem_limit_req_module);
    struct rem_limit_conf *location = conf;
    struct rem_str name = {NULL, 0};
    struct limit limit = {0}, *slot;
    int rc = 0;

    (void)d;
    for (size_t i = 1; rc == 0 && i < cf->n_args; i++)
        rc = parse_limit(cf, cf->args[i], &limit, &name);
    if (rc != 0)
        return rc;
    if (name.p == NULL)
        return rem_conf_error(cf, "\"limit_req\" must have \"zone\" parameter");
    rc = rem_limit_zone_use(cf, main, location, name, &limit.zone);
    if (rc != 0)
        return rc;
    slot = rem_set_push(cf, &location->limits, sizeof(*slot));
    if (slot == NULL)
        return REM_ENOMEM;
    *slot = limit;
    return 0;
}

/* ---- requests ---- */

/* Fills in the limits that count this request.  Returns REM_HTTP_OK or a status. */
static int meet(struct rem_request *request, const struct rem_array *limits, struct meeting *met,
                uint32_t *n)
{
    for (uint32_t i = 0; i < limits->n; i++) {
        const struct limit *limit = &REM_ARRAY_OF(limits, const struct limit)[i];
        struct meeting *m = &met[*n];
        int rc;

        if (rem_limit_zone_key(request, limit->zone, &m->key, &rc)) {
            m->limit = limit;
            m->rate = (struct rem_limit_rate){limit->zone->requests, limit->zone->period_ms,
                                              limit->burst};
            ++*n;
        } else if (rc != REM_HTTP_OK) {
            return rc;
        }
    }
    return REM_HTTP_OK;
}

static enum rem_limit_verdict ask(struct meeting *m, uint64_t now_ms, bool commit)
{
    return rem_limit_bucket_ask(m->limit->zone->memory, m->key, &m->rate, now_ms, commit,
                                &m->excess);
}

static int reject(struct rem_request *request, const struct rem_limit_conf *conf,
                  const struct meeting *m, enum rem_limit_verdict verdict)
{
    struct rem_request *root = rem_limit_root(request);
    const char *dry = conf->dry_run ? ", dry run" : "";

    if (verdict == REM_LIMIT_NO_ROOM)
        REM_LOG_IN(&request->log, REM_LOG_ALERT, 0, "zone \"%.*s\" has no room for a key",
                   REM_STR_ARG(m->limit->zone->name));
    else
        REM_LOG_IN(&request->log, (enum rem_log_level)conf->log_level, 0,
                   "limiting requests%s, excess: %llu.%03u by zone \"%.*s\"", dry,
                   (unsigned long long)(m->excess / ONE), (unsigned)(m->excess % ONE),
                   REM_STR_ARG(m->limit->zone->name));
    root->limit_req_status = conf->dry_run ? REM_LIMIT_REJECTED_DRY_RUN : REM_LIMIT_REJECTED;
    rem_limit_zone_count(m->limit->zone, (enum rem_limit_status)root->limit_req_status);
    return conf->dry_run ? REM_HTTP_DECLINED : (int)conf->status;
}

/* The wait of the limit that asks for the longest.  Each zone counts what it asks for by itself. */
static uint64_t longest_wait(const struct meeting *met, uint32_t n, bool dry_run,
                             const struct meeting **whose)
{
    uint64_t longest = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t wait = rem_limit_bucket_wait(&met[i].rate, met[i].excess, met[i].limit->delay);
        enum rem_limit_status late = dry_run ? REM_LIMIT_DELAYED_DRY_RUN : REM_LIMIT_DELAYED;

        rem_limit_zone_count(met[i].limit->zone, wait != 0 ? late : REM_LIMIT_PASSED);
        if (wait > longest) {
            longest = wait;
            *whose = &met[i];
        }
    }
    return longest;
}

static int admit(struct rem_request *request, const struct rem_limit_conf *conf,
                 const struct meeting *met, uint32_t n)
{
    struct rem_request *root = rem_limit_root(request);
    const struct meeting *m = met;
    uint64_t wait = longest_wait(met, n, conf->dry_run != 0, &m);
    /* Being late is less of a matter than being turned away. */
    int level = conf->log_level == REM_LOG_INFO ? REM_LOG_INFO : conf->log_level + 1;

    if (wait == 0) {
        root->limit_req_status = REM_LIMIT_PASSED;
        return REM_HTTP_DECLINED;
    }
    REM_LOG_IN(&request->log, (enum rem_log_level)level, 0,
               "delaying request%s, excess: %llu.%03u, by zone \"%.*s\"",
               conf->dry_run ? ", dry run" : "", (unsigned long long)(m->excess / ONE),
               (unsigned)(m->excess % ONE), REM_STR_ARG(m->limit->zone->name));
    if (conf->dry_run) {
        root->limit_req_status = REM_LIMIT_DELAYED_DRY_RUN;
        return REM_HTTP_DECLINED;
    }
    root->limit_req_status = REM_LIMIT_DELAYED;
    return rem_request_delay(request, wait);
}

/* Called a second time after a delay, and declines then. */
static int on_preaccess(struct rem_request *request)
{
    const struct rem_limit_conf *conf = request->location_conf[rem_limit_req_module.index];
    uint64_t now_ms = request->worker->loop.clock.mono_ms;
    struct meeting *met;
    uint32_t n = 0;
    int rc;

    if (conf->limits == NULL || rem_limit_root(request)->limit_req_status != REM_LIMIT_NONE)
        return REM_HTTP_DECLINED;
    met = rem_arena_zalloc(&request->arena, conf->limits->n * sizeof(*met));
    if (met == NULL)
        return 500;
    rc = meet(request, conf->limits, met, &n);
    if (rc != REM_HTTP_OK)
        return rc;
    if (n == 0)
        return REM_HTTP_DECLINED;
    /* The last one is asked and filled at once; the others are filled when all have agreed. */
    for (uint32_t i = 0; i < n; i++) {
        enum rem_limit_verdict verdict = ask(&met[i], now_ms, i == n - 1);

        if (verdict != REM_LIMIT_FITS)
            return reject(request, conf, &met[i], verdict);
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        if (ask(&met[i], now_ms, true) == REM_LIMIT_NO_ROOM)
            return reject(request, conf, &met[i], REM_LIMIT_NO_ROOM);
    }
    return admit(request, conf, met, n);
}

/* ---- the module ---- */

static int get_status(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *root = rem_limit_root(rem_core_var_request(e));

    (void)v;
    return rem_limit_status_text(out, (enum rem_limit_status)root->limit_req_status);
}

static int add_variables(struct rem_http_setup *setup)
{
    static const struct rem_core_var_def defs[] = {
        {"limit_req_status", get_status, NULL, REM_VAR_NOCACHE}};

    return rem_core_var_define(setup->vars, defs, REM_COUNT(defs));
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_PREACCESS, on_preaccess);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

#define FIELD(name) REM_LEVEL_LOCATION, offsetof(struct rem_limit_conf, name)

static const struct rem_directive directives[] = {
    {"limit_req_zone", REM_CTX_HTTP, REM_ARGS_3 | REM_ARGS_4, set_zone, REM_LEVEL_MAIN, 0, NULL},
    {"limit_req", HSL, REM_ARGS_123, set_limit, REM_LEVEL_LOCATION, 0, NULL},
    {"limit_req_log_level", HSL, REM_ARGS_1, rem_set_enum, FIELD(log_level), rem_limit_log_levels},
    {"limit_req_status", HSL, REM_ARGS_1, rem_limit_set_status, FIELD(status), NULL},
    {"limit_req_dry_run", HSL, REM_ARGS_FLAG, rem_set_flag, FIELD(dry_run), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.variables = add_variables, .install = install};

struct rem_module rem_limit_req_module = {
    .name = "limit_req",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_main = rem_limit_main_new,
    .init_main = rem_limit_main_check,
    .create_location = rem_limit_conf_new,
    .merge_location = rem_limit_conf_merge,
    .hooks = &hooks,
};
