/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - GET /metrics: what is asked for, in which format; helpers of the subjects' files.
 *
 * Labels come from the configuration and the API only, never from requests.  */
#include "api/metrics_scrape.h"
#include "proto/wire/uri.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what is asked for ---- */

struct word {
    const char *name;
    uint32_t bit;
};

/* The argument's value decoded; .p NULL where there is none.  Errors: REM_EINVAL with the fault. */
static int argument(struct rem_api_call *call, const char *name, struct rem_str *out)
{
    struct rem_str raw;

    *out = (struct rem_str){NULL, 0};
    if (!rem_uri_arg(call->request->args, rem_str_from(name), &raw))
        return 0;
    if (rem_uri_unescape(raw, &call->arena, out) != 0)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    if (out->p == NULL)
        *out = REM_STR("");
    return 0;
}

/* The bits of a comma-separated list of words. */
static int read_words(struct rem_api_call *call, const char *name, const struct word *words,
                      size_t count, uint32_t *bits)
{
    struct rem_str list, one;
    int rc = argument(call, name, &list);

    if (rc != 0)
        return rc;
    while (rem_field_list_next(&list, &one)) {
        size_t i = 0;

        while (i < count && !rem_str_is(one, words[i].name))
            i++;
        if (i == count)
            return rem_fault_set(&call->fault, REM_FAULT_BAD_REQUEST, "unknown %s \"%.*s\"", name,
                                 REM_STR_ARG(one));
        *bits |= words[i].bit;
    }
    return 0;
}

static int read_arguments(struct rem_scrape *scrape)
{
    static const struct word scopes[] = {
        {"process", REM_SCOPE_PROCESS},    {"config", REM_SCOPE_CONFIG},
        {"http", REM_SCOPE_HTTP},          {"limits", REM_SCOPE_LIMITS},
        {"upstream", REM_SCOPE_UPSTREAMS}, {"resolver", REM_SCOPE_RESOLVERS},
        {"admin", REM_SCOPE_ADMIN},
    };
    static const struct word details[] = {{"server", 1}, {"code", 2}};
    uint32_t detail = 0;
    int rc = read_words(scrape->call, "scope", scopes, REM_COUNT(scopes), &scrape->scopes);

    if (rc == 0)
        rc = read_words(scrape->call, "detail", details, REM_COUNT(details), &detail);
    if (rc == 0)
        rc = argument(scrape->call, "name", &scrape->names);
    if (scrape->scopes == 0)
        scrape->scopes = REM_SCOPE_ALL;
    scrape->servers = (detail & 1) != 0;
    scrape->codes = (detail & 2) != 0;
    return rc;
}

/* ---- the format ---- */

/* The weight of one element of Accept, in thousandths. */
static uint32_t weight_of(struct rem_str element)
{
    uint32_t weight = 0, unit = 1000;
    const char *at = rem_str_chr(element, ';'), *end = element.p + element.n;

    while (at != NULL && !(at + 1 < end && at[0] == 'q' && at[1] == '='))
        at = at + 1 < end ? at + 1 : NULL;
    if (at == NULL)
        return unit;
    for (at += 2; at < end && unit != 0 && (*at == '.' || rem_is_digit(*at)); at++) {
        if (*at == '.')
            continue;
        weight += (uint32_t)(*at - '0') * unit;
        unit /= 10;
    }
    return weight;
}

/* Does the client like OpenMetrics no less than plain text? */
static bool wants_openmetrics(struct rem_str accept)
{
    uint32_t open = 0, text = 0;
    struct rem_str one;

    while (rem_field_list_next(&accept, &one)) {
        uint32_t weight = weight_of(one);

        if (rem_str_has_prefix(one, REM_STR("application/openmetrics-text")))
            open = weight > open ? weight : open;
        else if (rem_str_has_prefix(one, REM_STR("text/")) ||
                 rem_str_has_prefix(one, REM_STR("*/*")))
            text = weight > text ? weight : text;
    }
    return open != 0 && open >= text;
}

/* ---- helpers of the subjects ---- */

bool rem_scrape_shows(const struct rem_scrape *scrape, struct rem_str name)
{
    struct rem_str list = scrape->names, one;

    if (list.p == NULL)
        return true;
    while (rem_field_list_next(&list, &one)) {
        if (rem_str_eq(one, name))
            return true;
        if (one.n != 0 && one.p[one.n - 1] == '*' &&
            rem_str_has_prefix(name, rem_str_make(one.p, one.n - 1)))
            return true;
    }
    return false;
}

struct rem_str rem_scrape_label(struct rem_scrape *scrape, const char *name, struct rem_str value)
{
    const struct rem_metric_label label = {name, value};
    struct rem_str text = rem_metric_labels(scrape->arena, &label, 1);

    if (text.p == NULL)
        scrape->text.out->failed = true;
    return text;
}

void rem_scrape_count(struct rem_scrape *scrape, const char *name, const char *help, uint64_t value)
{
    const struct rem_metric_family family = {name, REM_METRIC_COUNTER, help};

    rem_metric_begin(&scrape->text, &family);
    rem_metric_count(&scrape->text, REM_STR(""), REM_STR(""), value);
}

void rem_scrape_gauge(struct rem_scrape *scrape, const char *name, const char *help, int64_t value)
{
    const struct rem_metric_family family = {name, REM_METRIC_GAUGE, help};

    rem_metric_begin(&scrape->text, &family);
    rem_metric_gauge(&scrape->text, REM_STR(""), REM_STR(""), value);
}

/* Exact statuses of one class; what the table of statuses had no room for is "Nxx". */
static void put_codes(struct rem_scrape *scrape, struct rem_str labels, unsigned status_class,
                      uint64_t total, const struct rem_code *codes, size_t count)
{
    uint64_t known = 0;
    char text[24];
    int n;

    for (size_t i = 0; i < count; i++) {
        if (codes[i].status / 100 != status_class)
            continue;
        known += codes[i].count;
        n = snprintf(text, sizeof(text), "code=\"%u\"", codes[i].status);
        rem_metric_count(&scrape->text, labels, rem_str_make(text, (size_t)n), codes[i].count);
    }
    if (total <= known)
        return;
    n = snprintf(text, sizeof(text), "code=\"%uxx\"", status_class);
    rem_metric_count(&scrape->text, labels, rem_str_make(text, (size_t)n), total - known);
}

void rem_scrape_responses(struct rem_scrape *scrape, struct rem_str labels,
                          const uint64_t classes[REM_SHM_CLASSES], const struct rem_code *codes,
                          size_t count)
{
    static const char *const names[REM_SHM_CLASSES] = {
        "code=\"1xx\"", "code=\"2xx\"", "code=\"3xx\"", "code=\"4xx\"", "code=\"5xx\""};

    for (unsigned i = 0; i < REM_SHM_CLASSES; i++) {
        if (scrape->codes && codes != NULL)
            put_codes(scrape, labels, i + 1, classes[i], codes, count);
        else
            rem_metric_count(&scrape->text, labels, rem_str_from(names[i]), classes[i]);
    }
}

/* ---- the whole ---- */

int rem_metrics_get(struct rem_api_call *call)
{
    static const struct {
        uint32_t scope;
        int (*put)(struct rem_scrape *scrape);
    } parts[] = {
        {REM_SCOPE_PROCESS, rem_scrape_process},     {REM_SCOPE_CONFIG, rem_scrape_config},
        {REM_SCOPE_HTTP, rem_scrape_http},           {REM_SCOPE_LIMITS, rem_scrape_limits},
        {REM_SCOPE_UPSTREAMS, rem_scrape_upstreams}, {REM_SCOPE_RESOLVERS, rem_scrape_resolvers},
        {REM_SCOPE_ADMIN, rem_scrape_admin},
    };
    struct rem_scrape scrape = {
        .text.out = &call->response->body,
        .api = call->api,
        .call = call,
        .arena = &call->arena,
    };
    int rc = read_arguments(&scrape);

    scrape.text.openmetrics = wants_openmetrics(call->request->accept);
    for (size_t i = 0; rc == 0 && i < REM_COUNT(parts); i++)
        if (scrape.scopes & parts[i].scope)
            rc = parts[i].put(&scrape);
    if (rc == 0 && scrape.text.out->failed)
        rc = rem_call_fault(call, REM_ENOMEM, NULL);
    if (rc != 0)
        return rc;
    rem_metrics_end(&scrape.text);
    call->response->status = 200;
    call->response->content_type = scrape.text.openmetrics ? REM_API_OPENMETRICS : REM_API_METRICS;
    return 0;
}
