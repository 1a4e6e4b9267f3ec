/* SPDX-License-Identifier: Apache-2.0 */
/* limits_conf.c - limits and outlier_detection of an upstream block, which nginx does not have:
 * what Envoy calls circuit breakers and outlier detection, with its words where it has any. */
#include "proxy/conf/set.h"
#include "proxy/upstream/upstream.h"
#include "proxy/upstream/upstream_conf.h"

enum kind {
    COUNT,
    PERCENT, /* the sign may be left out */
    TIME,
};

struct parameter {
    const char *name;
    size_t offset; /* of a uint32_t */
    enum kind kind;
    uint32_t min;
};

#define LIMIT(text, field, kind)                                                                   \
    {                                                                                              \
        text "=", offsetof(struct rem_limits_spec, field), kind, 0                                 \
    }
#define OUTLIER(text, field, kind, min)                                                            \
    {                                                                                              \
        text "=", offsetof(struct rem_outlier_spec, field), kind, min                              \
    }

static const struct parameter limits[] = {
    LIMIT("connections", max_connections, COUNT),
    LIMIT("pending", max_pending, COUNT),
    LIMIT("requests", max_requests, COUNT),
    LIMIT("retries", max_retries, COUNT),
    LIMIT("retry_budget", retry_budget_percent, PERCENT),
    LIMIT("retry_budget_min", retry_budget_min, COUNT),
};

static const struct parameter outlier[] = {
    OUTLIER("consecutive_5xx", consecutive_5xx, COUNT, 0),
    OUTLIER("consecutive_gateway_failure", consecutive_gateway, COUNT, 0),
    OUTLIER("interval", interval_ms, TIME, 1),
    OUTLIER("base_ejection_time", base_ejection_ms, TIME, 1),
    OUTLIER("max_ejection_time", max_ejection_ms, TIME, 1),
    OUTLIER("max_ejection_percent", max_ejection_percent, PERCENT, 0),
    OUTLIER("success_rate_minimum_hosts", success_rate_min_hosts, COUNT, 0),
    OUTLIER("success_rate_request_volume", success_rate_requests, COUNT, 1),
    OUTLIER("success_rate_stdev_factor", success_rate_stdev_factor, COUNT, 0),
};

static const struct rem_outlier_spec outlier_defaults = {
    .consecutive_5xx = 5,
    .interval_ms = 10000,
    .base_ejection_ms = 30000,
    .max_ejection_ms = 300000,
    .max_ejection_percent = 10,
    .success_rate_min_hosts = 5,
    .success_rate_requests = 100,
    .success_rate_stdev_factor = 1900,
};

static int parse_value(const struct parameter *parameter, struct rem_str text, int64_t *out)
{
    switch (parameter->kind) {
    case PERCENT:
        if (text.n != 0 && text.p[text.n - 1] == '%')
            text.n--;
        return rem_conf_parse_num(text, out) != 0 || *out > 100 ? REM_EINVAL : 0;
    case TIME:
        return rem_conf_parse_msec(text, out);
    default:
        return rem_conf_parse_num(text, out);
    }
}

static int set_parameter(struct rem_conf *cf, const struct parameter *known, size_t count,
                         struct rem_str arg, void *spec)
{
    for (size_t i = 0; i < count; i++) {
        struct rem_str text;
        int64_t value;

        if (!rem_str_take_prefix(arg, known[i].name, &text))
            continue;
        if (parse_value(&known[i], text, &value) != 0 || value < known[i].min || value > INT32_MAX)
            break;
        *(uint32_t *)(void *)((char *)spec + known[i].offset) = (uint32_t)value;
        return 0;
    }
    return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
}

static bool is_given(const struct rem_conf *cf, const char *name)
{
    for (size_t i = 1; i < cf->n_args; i++)
        if (rem_str_has_prefix(cf->args[i], rem_str_from(name)))
            return true;
    return false;
}

static struct rem_upstream_block *block_of(struct rem_conf *cf)
{
    return cf->ctx->server[rem_upstream_module.index];
}

static int set_limits(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    static const struct rem_limits_spec none = {0};
    struct rem_upstream_block *block = block_of(cf);
    struct rem_limits_spec *spec = &block->upstream->spec.limits;

    (void)d;
    (void)conf;
    rem_upstream_block_hash(cf, block);
    if (memcmp(spec, &none, sizeof(none)) != 0)
        return rem_conf_duplicate(cf);
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = set_parameter(cf, limits, REM_COUNT(limits), cf->args[i], spec);

        if (rc != 0)
            return rc;
    }
    if (is_given(cf, "retry_budget_min=") && spec->retry_budget_percent == 0)
        return rem_conf_error(cf, "\"retry_budget_min\" needs \"retry_budget\"");
    if (!is_given(cf, "retry_budget_min=") && spec->retry_budget_percent != 0)
        spec->retry_budget_min = REM_RETRY_BUDGET_MIN;
    return 0;
}

static int set_outlier(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_upstream_block *block = block_of(cf);
    struct rem_outlier_spec *spec = &block->upstream->spec.outlier;

    (void)d;
    (void)conf;
    rem_upstream_block_hash(cf, block);
    if (spec->interval_ms != 0)
        return rem_conf_duplicate(cf);
    *spec = outlier_defaults;
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = set_parameter(cf, outlier, REM_COUNT(outlier), cf->args[i], spec);

        if (rc != 0)
            return rc;
    }
    if (!is_given(cf, "max_ejection_time=") && spec->max_ejection_ms < spec->base_ejection_ms)
        spec->max_ejection_ms = spec->base_ejection_ms;
    if (spec->max_ejection_ms < spec->base_ejection_ms)
        return rem_conf_error(cf, "\"max_ejection_time\" is less than \"base_ejection_time\"");
    return 0;
}

static const struct rem_directive directives[] = {
    {.name = "limits", .contexts = REM_CTX_UPSTREAM, .args = REM_ARGS_1MORE, .set = set_limits},
    {.name = "outlier_detection",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_ANY,
     .set = set_outlier},
    REM_DIRECTIVE_END,
};

struct rem_module rem_limits_module = {
    .name = "limits",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
};
