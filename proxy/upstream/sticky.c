/* SPDX-License-Identifier: Apache-2.0 */
/* sticky.c - what stickiness does for a request. */
#include "proxy/upstream/sticky.h"

#include "proto/base/sbuf.h"
#include "proto/wire/date.h"
#include "proto/wire/put.h"
#include "proxy/http/core_var.h"
#include "proxy/http/http.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/upstream_conf.h"

enum {
    SESSION_MAX = 255, /* longer names are no sessions */
    YEARS = 315360000, /* `expires=max`, in seconds */
    SWEEP = 2,         /* so many old sessions are looked at for a new one */
};

/* The zone's value. */
struct session {
    uint64_t server; /* hash of the sticky id */
    uint64_t used_ms;
};

static const struct rem_sticky_conf *conf_of(const struct rem_upstream_exchange *x)
{
    return x->group != NULL && x->group->conf != NULL ? x->group->conf->sticky : NULL;
}

/* The first value that is not empty; false: none. */
static bool first_of(struct rem_request *request, const struct rem_array *values,
                     struct rem_str *out)
{
    for (uint32_t i = 0; i < values->n; i++) {
        const struct rem_value *value = &REM_ARRAY_OF(values, struct rem_value)[i];
        if (rem_http_value(request, value, out) == 0 && out->n != 0)
            return true;
    }
    return false;
}

/* ---- sessions ---- */

static bool has_expired(const struct session *session, const struct rem_sticky_conf *conf,
                        uint64_t now_ms)
{
    return now_ms >= session->used_ms + conf->timeout_ms;
}

/* The server of a session, 0: there is no such session. */
static uint64_t session_find(const struct rem_sticky_conf *conf, struct rem_str name,
                             uint64_t now_ms)
{
    struct rem_zone_hold hold;
    const struct session *session;
    uint64_t server = 0;

    rem_zone_lock(conf->zone, name, &hold);
    session = rem_zone_get(&hold);
    if (session != NULL && !has_expired(session, conf, now_ms))
        server = session->server;
    rem_zone_unlock(&hold);
    return server;
}

/* A session that lives is used: it lives on. */
static void session_prolong(const struct rem_sticky_conf *conf, struct rem_str name,
                            uint64_t server, uint64_t now_ms)
{
    struct rem_zone_hold hold;
    struct session *session;

    rem_zone_lock(conf->zone, name, &hold);
    session = rem_zone_get(&hold);
    if (session != NULL && !has_expired(session, conf, now_ms)) {
        session->used_ms = now_ms;
        session->server = server;
        rem_zone_touch(&hold, session, now_ms);
    }
    rem_zone_unlock(&hold);
}

/* Sessions that are over make room, one by one, as others come. */
static void sweep(struct rem_zone_hold *hold, const struct rem_sticky_conf *conf, uint64_t now_ms)
{
    for (int i = 0; i < SWEEP; i++) {
        uint64_t used_ms;
        struct session *oldest = rem_zone_oldest(hold, &used_ms);

        if (oldest == NULL || !has_expired(oldest, conf, now_ms))
            return;
        rem_zone_remove(hold, oldest);
    }
}

static void session_store(const struct rem_sticky_conf *conf, struct rem_str name, uint64_t server,
                          uint64_t now_ms)
{
    struct rem_zone_hold hold;
    struct session *session;

    rem_zone_lock(conf->zone, name, &hold);
    session = rem_zone_get(&hold);
    if (session == NULL) {
        sweep(&hold, conf, now_ms);
        session = rem_zone_put(&hold, now_ms);
        if (session == NULL && rem_zone_evict(&hold))
            session = rem_zone_put(&hold, now_ms);
    } else {
        rem_zone_touch(&hold, session, now_ms);
    }
    if (session != NULL)
        *session = (struct session){server, now_ms};
    rem_zone_unlock(&hold);
}

/* ---- before the pick ---- */

uint64_t rem_sticky_wanted(struct rem_upstream_exchange *x, const struct rem_sticky_conf *conf)
{
    struct rem_request *request = x->request;
    struct rem_str id;

    if (conf->method == REM_STICKY_BY_COOKIE) {
        if (!rem_core_cookie(request, conf->cookie, &id) || id.n == 0)
            return 0;
        return rem_hash(id.p, id.n);
    }
    if (!first_of(request, &conf->lookup, &id))
        return 0;
    if (conf->method == REM_STICKY_BY_ROUTE)
        return rem_hash(id.p, id.n);
    if (id.n > SESSION_MAX)
        return 0;
    x->session = id;
    return session_find(conf, id, request->worker->loop.clock.mono_ms);
}

/* ---- the response ---- */

/* What the server says, or the client's own session goes on. */
static void learn(struct rem_upstream_exchange *x, const struct rem_sticky_conf *conf)
{
    struct rem_request *request = x->request;
    uint64_t now_ms = request->worker->loop.clock.mono_ms;
    uint64_t server = rem_hash(x->sticky_id.p, x->sticky_id.n);
    struct rem_str name;

    if (conf->zone == NULL || x->sticky_id.n == 0)
        return;
    if (first_of(request, &conf->create, &name)) {
        if (name.n <= SESSION_MAX)
            session_store(conf, name, server, now_ms);
    } else if (x->session.n != 0) {
        session_prolong(conf, x->session, server, now_ms);
    }
}

static void add_expires(struct rem_sbuf *text, const struct rem_sticky_conf *conf, int64_t now_sec)
{
    char date[REM_DATE_SIZE];
    int century;

    if (conf->expires == REM_STICKY_EXPIRES_NONE)
        return;
    if (conf->expires == REM_STICKY_EXPIRES_MAX) {
        rem_sbuf_addf(text, "; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=%d", YEARS);
        return;
    }
    rem_date_format(date, (time_t)(now_sec + conf->expires));
    /* "Sun, 06-Nov-94": as cookies are used to, as long as two digits can be no other year's. */
    century = memcmp(date + 12, "2038", 4) < 0 ? 2 : 0;
    rem_sbuf_addf(text, "; expires=%.7s-%.3s-%.*s; max-age=%lld", date, date + 8,
                  REM_DATE_SIZE - 12 - century, date + 12 + century, (long long)conf->expires);
}

bool rem_sticky_is_samesite(struct rem_str value)
{
    return rem_str_is(value, "strict") || rem_str_is(value, "lax") || rem_str_is(value, "none");
}

/* What goes between two semicolons as it is (RFC 6265 section 4.1.1). */
static bool is_text(struct rem_str value)
{
    return rem_put_is_value(value) && rem_str_chr(value, ';') == NULL;
}

/* One whose value may come of a variable, and so of the request. */
struct attribute {
    const char *name;
    bool (*is_valid)(struct rem_str value);
    struct rem_str
        otherwise; /* what stands for an invalid value; empty: the attribute is left out */
};

static const struct attribute domain = {"domain", is_text, {"", 0}};
static const struct attribute path = {"path", is_text, {"", 0}};
/* Of values that mean nothing the strictest of those that do. */
static const struct attribute samesite = {"samesite", rem_sticky_is_samesite, {"strict", 6}};

/* Errors: REM_ENOMEM, REM_EINVAL. */
static int add_attribute(struct rem_sbuf *text, struct rem_request *request,
                         const struct attribute *attribute, const struct rem_value *value)
{
    struct rem_str result;
    int rc;

    if (value == NULL)
        return REM_OK;
    rc = rem_http_value(request, value, &result);
    if (rc != REM_OK || result.n == 0)
        return rc;
    if (!attribute->is_valid(result))
        result = attribute->otherwise;
    if (result.n != 0)
        rem_sbuf_addf(text, "; %s=%.*s", attribute->name, REM_STR_ARG(result));
    else
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
                   "\"%s\" of a sticky cookie holds control bytes or \";\", it is left out",
                   attribute->name);
    return REM_OK;
}

/* The whole field.  Errors: REM_ENOMEM, REM_EINVAL. */
static int write_cookie(struct rem_upstream_exchange *x, const struct rem_sticky_conf *conf,
                        struct rem_sbuf *text)
{
    struct rem_request *request = x->request;
    int rc;

    rem_sbuf_addf(text, "%.*s=%.*s", REM_STR_ARG(conf->cookie), REM_STR_ARG(x->sticky_id));
    add_expires(text, conf, request->worker->loop.clock.wall_sec);
    rc = add_attribute(text, request, &domain, conf->domain);
    if (rc == REM_OK)
        rc = add_attribute(text, request, &path, conf->path);
    if (rc != REM_OK)
        return rc;
    if (conf->secure)
        rem_sbuf_adds(text, "; secure");
    if (conf->httponly)
        rem_sbuf_adds(text, "; httponly");
    rc = add_attribute(text, request, &samesite, conf->samesite);
    return rc == REM_OK && text->failed ? REM_ENOMEM : rc;
}

static int set_cookie(struct rem_upstream_exchange *x, const struct rem_sticky_conf *conf)
{
    struct rem_request *request = x->request;
    struct rem_sbuf text;
    struct rem_str value;
    int rc;

    rem_sbuf_init(&text);
    rc = write_cookie(x, conf, &text);
    if (rc == REM_OK) {
        value = rem_arena_dup(&request->arena, rem_sbuf_str(&text));
        rc = value.p == NULL
                 ? REM_ENOMEM
                 : rem_fields_add(&request->response.fields, REM_STR("Set-Cookie"), value);
    }
    rem_sbuf_fini(&text);
    return rc;
}

int rem_sticky_on_head(struct rem_upstream_exchange *x)
{
    const struct rem_sticky_conf *conf = conf_of(x);

    if (REM_LIKELY(conf == NULL) || x->sticky_id.n == 0)
        return REM_OK;
    if (conf->method == REM_STICKY_BY_COOKIE)
        return set_cookie(x, conf);
    if (conf->method == REM_STICKY_BY_LEARNING && conf->at_header)
        learn(x, conf);
    return REM_OK;
}

void rem_sticky_on_end(struct rem_upstream_exchange *x)
{
    const struct rem_sticky_conf *conf = conf_of(x);

    if (REM_UNLIKELY(conf != NULL) && conf->method == REM_STICKY_BY_LEARNING && !conf->at_header)
        learn(x, conf);
}
