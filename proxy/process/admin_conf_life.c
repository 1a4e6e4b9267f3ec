/* SPDX-License-Identifier: Apache-2.0 */
/* Directives of the `admin` block about the instance's own life: audit, ready_when,
 * drain_delay, drain_timeout. */
#include "proxy/process/admin_conf.h"

#include "proxy/conf/set.h"
#include "proxy/net/error_log.h"

enum { TIME_MAX_MS = 24 * 3600 * 1000 };

static struct rem_admin_spec *spec_of(struct rem_conf *cf)
{
    return &((struct rem_setup *)cf->user)->admin_spec;
}

static int set_time(struct rem_conf *cf, bool *given, uint32_t *out_ms)
{
    int64_t ms;

    if (*given)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_msec(cf->args[1], &ms) != REM_OK || ms > TIME_MAX_MS)
        return rem_conf_invalid(cf);
    *given = true;
    *out_ms = (uint32_t)ms;
    return REM_OK;
}

int rem_admin_set_drain_delay(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = spec_of(cf);

    (void)d;
    (void)conf;
    return set_time(cf, &spec->drain_delay_given, &spec->drain_delay_ms);
}

int rem_admin_set_drain_timeout(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = spec_of(cf);

    (void)d;
    (void)conf;
    return set_time(cf, &spec->drain_timeout_given, &spec->drain_timeout_ms);
}

int rem_admin_check_life(struct rem_conf *cf)
{
    const struct rem_admin_spec *spec = spec_of(cf);

    if (spec->drain_timeout_ms == 0 || spec->drain_delay_ms < spec->drain_timeout_ms)
        return REM_OK;
    return rem_conf_error(cf,
                          "\"drain_delay\" of %u ms leaves nothing of the \"drain_timeout\" of "
                          "%u ms, of which it is a part",
                          spec->drain_delay_ms, spec->drain_timeout_ms);
}

/* audit FILE|stderr|syslog:PARAMETERS */
int rem_admin_set_audit(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = spec_of(cf);
    struct rem_str name = cf->args[1];
    struct rem_str path = name;

    (void)d;
    (void)conf;
    if (spec->audit_file != NULL || spec->audit_syslog != NULL)
        return rem_conf_duplicate(cf);
    if (name.n == 0)
        return rem_conf_invalid_arg(cf, name);
    if (rem_str_has_prefix(name, REM_STR("syslog:"))) {
        spec->audit_syslog = rem_error_log_syslog(cf, name);
        return spec->audit_syslog != NULL ? REM_OK : REM_EINVAL;
    }
    if (!rem_str_is(name, "stderr"))
        path = rem_conf_path(cf, name, REM_BASE_PREFIX);
    if (path.p != NULL)
        spec->audit_file = rem_error_log_file(cf->user, path);
    return spec->audit_file != NULL ? REM_OK : rem_conf_nomem(cf);
}

/* ready_when upstream=NAME [timeout=30s] */
int rem_admin_set_ready(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = spec_of(cf);
    struct rem_admin_ready *ready = rem_arena_zalloc(cf->arena, sizeof(*ready));
    int64_t ms = REM_ADMIN_READY_MS;

    (void)d;
    (void)conf;
    if (ready == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 1; i < cf->n_args; i++) {
        struct rem_str arg = cf->args[i], value;

        if (ready->upstream.n == 0 && rem_str_take_prefix(arg, "upstream=", &value) && value.n != 0)
            ready->upstream = value;
        else if (!rem_str_take_prefix(arg, "timeout=", &value) ||
                 rem_conf_parse_msec(value, &ms) != REM_OK || ms > TIME_MAX_MS)
            return rem_conf_invalid_arg(cf, arg);
    }
    if (ready->upstream.n == 0)
        return rem_conf_error(cf, "\"ready_when\" needs \"upstream=NAME\"");
    ready->timeout_ms = (uint32_t)ms;
    ready->next = spec->ready;
    spec->ready = ready;
    return REM_OK;
}
