/* SPDX-License-Identifier: Apache-2.0 */
#include "api/upstream_json.h"

#include "api/server_json.h"

#include <stddef.h>

/* ---- methods ---- */

static const struct method_row {
    const char *text;
    uint32_t method;
    uint32_t flags;
} methods[] = {
    {"round_robin", REM_BALANCE_ROUND_ROBIN, 0},
    {"least_conn", REM_BALANCE_LEAST_CONN, 0},
    {"least_time header", REM_BALANCE_LEAST_TIME, 0},
    {"least_time header inflight", REM_BALANCE_LEAST_TIME, REM_METHOD_INFLIGHT},
    {"least_time last_byte", REM_BALANCE_LEAST_TIME, REM_METHOD_LAST_BYTE},
    {"least_time last_byte inflight", REM_BALANCE_LEAST_TIME,
     REM_METHOD_LAST_BYTE | REM_METHOD_INFLIGHT},
    {"random", REM_BALANCE_RANDOM, 0},
    {"random two", REM_BALANCE_RANDOM, REM_METHOD_TWO},
    {"random two least_conn", REM_BALANCE_RANDOM, REM_METHOD_TWO},
    {"random two least_time=header", REM_BALANCE_RANDOM, REM_METHOD_TWO | REM_METHOD_BY_TIME},
    {"random two least_time=last_byte", REM_BALANCE_RANDOM,
     REM_METHOD_TWO | REM_METHOD_BY_TIME | REM_METHOD_LAST_BYTE},
    {"ip_hash", REM_BALANCE_IP_HASH, 0},
    {"hash", REM_BALANCE_HASH, 0},
    {"hash consistent", REM_BALANCE_HASH_CONSISTENT, 0},
};

static const char *method_text(const struct rem_upstream_spec *spec)
{
    for (size_t i = 0; i < REM_COUNT(methods); i++)
        if (methods[i].method == spec->method && methods[i].flags == spec->method_flags)
            return methods[i].text;
    return methods[0].text;
}

bool rem_upstream_json_keyed(uint32_t method)
{
    return method == REM_BALANCE_HASH || method == REM_BALANCE_HASH_CONSISTENT;
}

static int read_method(struct rem_upstream_spec *spec, bool keyed, const json_t *value,
                       struct rem_fault *fault)
{
    const struct method_row *row = json_is_null(value) ? &methods[0] : NULL;

    if (row == NULL && !json_is_string(value))
        return rem_fault_set(fault, REM_FAULT_FORMAT, "invalid \"method\" value");
    for (size_t i = 0; row == NULL && i < REM_COUNT(methods); i++)
        if (strcmp(methods[i].text, json_string_value(value)) == 0)
            row = &methods[i];
    if (row == NULL)
        return rem_fault_set(fault, REM_FAULT_FORMAT, "unknown method \"%.60s\"",
                             json_string_value(value));
    if (rem_upstream_json_keyed(row->method) && !keyed)
        return rem_fault_set(fault, REM_FAULT_FORMAT,
                             "method \"%s\" needs a key, which only the configuration can give",
                             row->text);
    spec->method = row->method;
    spec->method_flags = row->flags;
    return 0;
}

/* ---- groups of numbers and times ---- */

struct field {
    const char *name;
    size_t offset; /* in the group */
    uint32_t usual;
    uint32_t min, max;
    bool time;
};

#define NUMBER(group, name, member, usual, min, max)                                               \
    {                                                                                              \
        name, offsetof(struct group, member), usual, min, max, false                               \
    }
#define TIME(group, name, member, usual, min)                                                      \
    {                                                                                              \
        name, offsetof(struct group, member), usual, min, INT32_MAX, true                          \
    }

static const struct field keepalive_fields[] = {
    NUMBER(rem_keepalive_spec, "connections", connections, 32, 0, INT32_MAX),
    NUMBER(rem_keepalive_spec, "requests", requests, 1000, 0, INT32_MAX),
    TIME(rem_keepalive_spec, "timeout", timeout_ms, 60000, 0),
    TIME(rem_keepalive_spec, "time", time_ms, 3600000, 0),
};

static const struct field limits_fields[] = {
    NUMBER(rem_limits_spec, "connections", max_connections, 0, 0, INT32_MAX),
    NUMBER(rem_limits_spec, "pending", max_pending, 0, 0, INT32_MAX),
    NUMBER(rem_limits_spec, "requests", max_requests, 0, 0, INT32_MAX),
    NUMBER(rem_limits_spec, "retries", max_retries, 0, 0, INT32_MAX),
    NUMBER(rem_limits_spec, "retry_budget", retry_budget_percent, 0, 0, 100),
    NUMBER(rem_limits_spec, "retry_budget_min", retry_budget_min, 0, 0, INT32_MAX),
};

static const struct field outlier_fields[] = {
    NUMBER(rem_outlier_spec, "consecutive_5xx", consecutive_5xx, 5, 0, INT32_MAX),
    NUMBER(rem_outlier_spec, "consecutive_gateway_failure", consecutive_gateway, 0, 0, INT32_MAX),
    TIME(rem_outlier_spec, "interval", interval_ms, 10000, 1),
    TIME(rem_outlier_spec, "base_ejection_time", base_ejection_ms, 30000, 1),
    TIME(rem_outlier_spec, "max_ejection_time", max_ejection_ms, 300000, 1),
    NUMBER(rem_outlier_spec, "max_ejection_percent", max_ejection_percent, 10, 0, 100),
    NUMBER(rem_outlier_spec, "success_rate_minimum_hosts", success_rate_min_hosts, 5, 0, INT32_MAX),
    NUMBER(rem_outlier_spec, "success_rate_request_volume", success_rate_requests, 100, 1,
           INT32_MAX),
    NUMBER(rem_outlier_spec, "success_rate_stdev_factor", success_rate_stdev_factor, 1900, 0,
           INT32_MAX),
};

/* ---- what members of a group mean to each other ---- */

/* As read, with what there was before and the object it was read from. */
typedef int (*settle_fn)(struct rem_upstream_spec *spec, const struct rem_upstream_spec *before,
                         const json_t *given, struct rem_fault *fault);

static int settle_limits(struct rem_upstream_spec *spec, const struct rem_upstream_spec *before,
                         const json_t *given, struct rem_fault *fault)
{
    const json_t *min = json_object_get(given, "retry_budget_min");
    struct rem_limits_spec *limits = &spec->limits;

    if (limits->retry_budget_percent == 0) {
        if (json_integer_value(min) != 0)
            return rem_fault_set(fault, REM_FAULT_FORMAT,
                                 "\"retry_budget_min\" needs \"retry_budget\"");
        limits->retry_budget_min = 0;
    } else if (min != NULL ? json_is_null(min) : before->limits.retry_budget_percent == 0) {
        limits->retry_budget_min = REM_RETRY_BUDGET_MIN;
    }
    return 0;
}

static int settle_outlier(struct rem_upstream_spec *spec, const struct rem_upstream_spec *before,
                          const json_t *given, struct rem_fault *fault)
{
    struct rem_outlier_spec *outlier = &spec->outlier;

    (void)before;
    if (outlier->max_ejection_ms >= outlier->base_ejection_ms)
        return 0;
    if (json_is_string(json_object_get(given, "max_ejection_time")))
        return rem_fault_set(fault, REM_FAULT_FORMAT,
                             "\"max_ejection_time\" is less than \"base_ejection_time\"");
    outlier->max_ejection_ms = outlier->base_ejection_ms;
    return 0;
}

/* A part of the description that is an object. */
static const struct group {
    const char *name;
    size_t offset, size; /* in the description */
    const struct field *fields;
    size_t count;
    bool optional; /* it is off when it is null or not given: all is 0 then */
    settle_fn settle;
} groups[] = {
    {"keepalive", offsetof(struct rem_upstream_spec, keepalive), sizeof(struct rem_keepalive_spec),
     keepalive_fields, REM_COUNT(keepalive_fields), false, NULL},
    {"limits", offsetof(struct rem_upstream_spec, limits), sizeof(struct rem_limits_spec),
     limits_fields, REM_COUNT(limits_fields), true, settle_limits},
    {"outlier_detection", offsetof(struct rem_upstream_spec, outlier),
     sizeof(struct rem_outlier_spec), outlier_fields, REM_COUNT(outlier_fields), true,
     settle_outlier},
};

static uint32_t *field_at(char *group, const struct field *field)
{
    return (uint32_t *)(void *)(group + field->offset);
}

static uint32_t field_of(const struct rem_upstream_spec *spec, const struct group *group,
                         const struct field *field)
{
    return *(const uint32_t *)(const void *)((const char *)spec + group->offset + field->offset);
}

static void set_usual(const struct group *group, char *at)
{
    for (size_t i = 0; i < group->count; i++)
        *field_at(at, &group->fields[i]) = group->fields[i].usual;
}

static bool is_off(const struct rem_upstream_spec *spec, const struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (field_of(spec, group, &group->fields[i]) != 0)
            return false;
    return group->optional;
}

static int read_field(const struct group *group, const struct field *field, const json_t *value,
                      uint32_t *out, struct rem_fault *fault)
{
    uint32_t ms;

    if (json_is_null(value)) {
        *out = field->usual;
        return 0;
    }
    if (field->time && json_is_string(value) &&
        rem_server_json_time(rem_json_str(value), &ms) == 0 && ms >= field->min) {
        *out = ms;
        return 0;
    }
    if (!field->time && json_is_integer(value) && json_integer_value(value) >= field->min &&
        json_integer_value(value) <= field->max) {
        *out = (uint32_t)json_integer_value(value);
        return 0;
    }
    return rem_fault_set(fault, REM_FAULT_FORMAT, "invalid \"%s\" in \"%s\"", field->name,
                         group->name);
}

static int read_group(struct rem_upstream_spec *spec, const struct group *group,
                      const json_t *value, struct rem_fault *fault)
{
    const struct rem_upstream_spec before = *spec;
    char *at = (char *)spec + group->offset;
    const char *key;
    json_t *member;

    if (json_is_null(value)) {
        memset(at, 0, group->size);
        if (!group->optional)
            set_usual(group, at);
        return 0;
    }
    if (!json_is_object(value))
        return rem_fault_set(fault, REM_FAULT_FORMAT, "invalid \"%s\" value", group->name);
    if (is_off(spec, group))
        set_usual(group, at);
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        const struct field *field = NULL;
        for (size_t i = 0; i < group->count; i++)
            if (strcmp(group->fields[i].name, key) == 0)
                field = &group->fields[i];
        if (field == NULL)
            return rem_fault_set(fault, REM_FAULT_FORMAT, "unknown parameter \"%.100s\" in \"%s\"",
                                 key, group->name);
        if (read_field(group, field, member, field_at(at, field), fault) != 0)
            return REM_EINVAL;
    }
    return group->settle != NULL ? group->settle(spec, &before, value, fault) : 0;
}

static void put_group(struct rem_sbuf *out, const struct rem_upstream_spec *spec,
                      const struct group *group)
{
    bool off = is_off(spec, group);

    rem_json_put_key(out, group->name);
    rem_sbuf_adds(out, off ? "null" : "{");
    for (size_t i = 0; !off && i < group->count; i++) {
        const struct field *field = &group->fields[i];
        uint32_t value = field_of(spec, group, field);
        char text[32];

        rem_json_put_comma(out);
        rem_json_put(out, rem_str_from(field->name));
        rem_sbuf_addc(out, ':');
        if (field->time)
            rem_json_put(out,
                         rem_str_make(text, rem_spec_duration_text(value, text, sizeof(text))));
        else
            rem_json_put_number(out, value);
    }
    if (!off)
        rem_sbuf_addc(out, '}');
}

/* ---- the whole ---- */

void rem_upstream_json_defaults(struct rem_upstream_spec *spec)
{
    spec->method = REM_BALANCE_ROUND_ROBIN;
    spec->method_flags = 0;
    spec->limits = (struct rem_limits_spec){0};
    spec->outlier = (struct rem_outlier_spec){0};
    set_usual(&groups[0], (char *)&spec->keepalive);
}

int rem_upstream_json_member(struct rem_upstream_spec *spec, bool keyed, const char *key,
                             const json_t *value, struct rem_fault *fault)
{
    if (strcmp(key, "method") == 0)
        return read_method(spec, keyed, value, fault);
    for (size_t i = 0; i < REM_COUNT(groups); i++)
        if (strcmp(key, groups[i].name) == 0)
            return read_group(spec, &groups[i], value, fault);
    return REM_ENOTFOUND;
}

static bool same_method(const struct rem_upstream_spec *a, const struct rem_upstream_spec *b)
{
    return a->method == b->method && a->method_flags == b->method_flags;
}

static bool same_group(const struct rem_upstream_spec *a, const struct rem_upstream_spec *b,
                       const struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (field_of(a, group, &group->fields[i]) != field_of(b, group, &group->fields[i]))
            return false;
    return true;
}

bool rem_upstream_json_same(const struct rem_upstream_spec *a, const struct rem_upstream_spec *b)
{
    for (size_t i = 0; i < REM_COUNT(groups); i++)
        if (!same_group(a, b, &groups[i]))
            return false;
    return same_method(a, b);
}

void rem_upstream_json_put(struct rem_sbuf *out, const struct rem_upstream_spec *spec,
                           const struct rem_upstream_spec *other)
{
    if (other == NULL || !same_method(spec, other))
        rem_json_put_text(out, REM_JSON_KEY("method"), rem_str_from(method_text(spec)));
    for (size_t i = 0; i < REM_COUNT(groups); i++)
        if (other == NULL || !same_group(spec, other, &groups[i]))
            put_group(out, spec, &groups[i]);
}
