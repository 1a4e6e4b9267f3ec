/* SPDX-License-Identifier: Apache-2.0 */
/* expires.c - expires: how long an answer may be kept, as Expires and Cache-Control.
 *
 * Both fields replace those that the content came with; add_header adds to them.  */
#include "proto/wire/date.h"
#include "proxy/conf/set.h"
#include "proxy/conf/value.h"
#include "proxy/http/core.h"
#include "proxy/http/response.h"

enum expires_kind {
    EXPIRES_OFF = 0,
    EXPIRES_EPOCH,
    EXPIRES_MAX,
    EXPIRES_AFTER,    /* so many seconds from now */
    EXPIRES_MODIFIED, /* from Last-Modified; from now where that is unknown */
    EXPIRES_DAILY,    /* at that second of the day, local time */
};

struct expires {
    enum expires_kind kind;
    int64_t seconds;
};

struct expires_conf {
    bool given;
    bool modified; /* of `value` */
    struct expires fixed;
    struct rem_value *value; /* NULL: fixed */
};

enum { DAY = 86400, FOREVER = 315360000 };

extern struct rem_module rem_expires_module;

/* What a text can be taken for.  Returns NULL, or what is wrong with it. */
static const char *parse(struct rem_str text, bool modified, struct expires *out)
{
    int64_t seconds;
    bool minus = false;

    *out = (struct expires){.kind = EXPIRES_OFF};
    if (!modified) {
        if (rem_str_is(text, "off"))
            return NULL;
        if (rem_str_is(text, "epoch") || rem_str_is(text, "max")) {
            out->kind = text.n == 3 ? EXPIRES_MAX : EXPIRES_EPOCH;
            return NULL;
        }
    }
    if (text.n != 0 && text.p[0] == '@') {
        if (modified)
            return "daily time cannot be used with \"modified\" parameter";
        if (rem_conf_parse_sec(rem_str_skip(text, 1), &seconds) != 0)
            return "invalid value";
        if (seconds > DAY)
            return "daily time value must be less than 24 hours";
        *out = (struct expires){EXPIRES_DAILY, seconds};
        return NULL;
    }
    if (text.n != 0 && (text.p[0] == '-' || text.p[0] == '+')) {
        minus = text.p[0] == '-';
        text = rem_str_skip(text, 1);
    }
    if (rem_conf_parse_sec(text, &seconds) != 0)
        return "invalid value";
    *out =
        (struct expires){modified ? EXPIRES_MODIFIED : EXPIRES_AFTER, minus ? -seconds : seconds};
    return NULL;
}

/* ---- responses ---- */

/* The next time the clock of this place shows that second of the day. */
static int64_t next_daily(int64_t now, int64_t second)
{
    time_t when = now;
    struct tm tm;

    if (localtime_r(&when, &tm) == NULL)
        return now + second;
    if (tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec >= second)
        tm.tm_mday++;
    tm.tm_hour = (int)(second / 3600);
    tm.tm_min = (int)(second / 60 % 60);
    tm.tm_sec = (int)(second % 60);
    tm.tm_isdst = -1;
    return mktime(&tm);
}

/* Leaves one field of that id, with that value. */
static int set_only(struct rem_fields *fields, enum rem_field_id id, struct rem_str name,
                    struct rem_str value)
{
    struct rem_field *first = rem_fields_find(fields, id), *more;

    if (first == NULL)
        return rem_fields_add(fields, name, value);
    first->value = value;
    while ((more = rem_fields_next(fields, first)) != NULL)
        rem_fields_remove(fields, more);
    return 0;
}

static int set_fields(struct rem_request *request, struct rem_str expires, struct rem_str control)
{
    struct rem_fields *fields = &request->response.fields;
    int rc;

    if (expires.p == NULL || control.p == NULL)
        return REM_ENOMEM;
    rc = set_only(fields, REM_FIELD_EXPIRES, REM_STR("Expires"), expires);
    if (rc != 0)
        return rc;
    return set_only(fields, REM_FIELD_CACHE_CONTROL, REM_STR("Cache-Control"), control);
}

static int set_time(struct rem_request *request, const struct expires *expires)
{
    int64_t now = request->worker->loop.clock.wall_sec, when = now + expires->seconds, age;
    int64_t modified = rem_response_modified(request);
    char *date = rem_arena_alloc(&request->arena, REM_DATE_SIZE);
    struct rem_str control = REM_STR("no-cache");

    if (date == NULL)
        return REM_ENOMEM;
    if (expires->kind == EXPIRES_DAILY)
        when = next_daily(now, expires->seconds);
    else if (expires->kind == EXPIRES_MODIFIED && modified != -1)
        when = modified + expires->seconds;
    rem_date_format(date, when);
    age = when - now;
    if (age >= 0)
        control = rem_arena_printf(&request->arena, "max-age=%lld", (long long)age);
    return set_fields(request, rem_str_make(date, REM_DATE_SIZE), control);
}

static int apply(struct rem_request *request, const struct expires_conf *conf)
{
    struct expires expires = conf->fixed;
    struct rem_str text;

    if (conf->value != NULL) {
        int rc = rem_http_value(request, conf->value, &text);

        if (rc != 0)
            return rc;
        if (parse(text, conf->modified, &expires) != NULL)
            return 0;
    }
    switch (expires.kind) {
    case EXPIRES_OFF:
        return 0;
    case EXPIRES_EPOCH:
        return set_fields(request, REM_STR("Thu, 01 Jan 1970 00:00:01 GMT"), REM_STR("no-cache"));
    case EXPIRES_MAX:
        return set_fields(request, REM_STR("Thu, 31 Dec 2037 23:55:55 GMT"),
                          rem_arena_printf(&request->arena, "max-age=%d", FOREVER));
    default:
        return set_time(request, &expires);
    }
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct expires_conf *conf = request->location_conf[rem_expires_module.index];

    if ((conf->value != NULL || conf->fixed.kind != EXPIRES_OFF) && request->parent == NULL &&
        rem_response_takes_fields(request->response.status) && apply(request, conf) != 0)
        return REM_ENOMEM;
    return next->run(request, next->next);
}

/* ---- configuration ---- */

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct expires_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    struct expires_conf *conf = child;

    (void)cf;
    if (!conf->given)
        *conf = *(const struct expires_conf *)parent;
    return 0;
}

static int set_expires(struct rem_conf *cf, const struct rem_directive *d, void *data)
{
    struct expires_conf *conf = data;
    struct rem_value value;
    const char *wrong;
    int rc;

    (void)d;
    if (conf->given)
        return rem_conf_duplicate(cf);
    conf->given = true;
    if (cf->n_args == 3) {
        if (!rem_str_is(cf->args[1], "modified"))
            return rem_conf_error(cf, "\"expires\" directive invalid value");
        conf->modified = true;
    }
    rc = rem_value_compile(cf, cf->args[cf->n_args - 1], &value);
    if (rc != 0)
        return rc;
    if (!rem_value_is_static(&value)) {
        conf->value = rem_arena_alloc(cf->arena, sizeof(*conf->value));
        if (conf->value == NULL)
            return rem_conf_nomem(cf);
        *conf->value = value;
        return 0;
    }
    wrong = parse(value.text, conf->modified, &conf->fixed);
    if (wrong != NULL)
        return rem_conf_error(cf, "\"expires\" directive %s", wrong);
    return 0;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_header_filter(setup, on_head);
}

enum { HSLI = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LOCATION_IF };

static const struct rem_directive directives[] = {
    {"expires", HSLI, REM_ARGS_12, set_expires, REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_expires_module = {
    .name = "expires",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
