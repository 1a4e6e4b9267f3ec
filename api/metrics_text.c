/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics_text.h"

#include <inttypes.h>

void rem_metric_family(struct rem_metrics *metrics, const char *name, const char *type,
                       const char *help)
{
    metrics->name = name;
    rem_sbuf_addf(metrics->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Backslash, quote and line end are escaped; bytes that are not ASCII pass, as UTF-8 may. */
static void add_label_value(struct rem_sbuf *out, struct rem_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\n') {
            rem_sbuf_adds(out, "\\n");
            continue;
        }
        if (c == '\\' || c == '"')
            rem_sbuf_addc(out, '\\');
        rem_sbuf_addc(out, c);
    }
}

static void add_name(struct rem_metrics *metrics, const struct rem_metric_label *labels,
                     size_t label_count)
{
    char before = '{';

    rem_sbuf_adds(metrics->out, metrics->name);
    for (size_t i = 0; i < label_count; i++) {
        if (labels[i].name == NULL)
            continue;
        rem_sbuf_addc(metrics->out, before);
        before = ',';
        rem_sbuf_adds(metrics->out, labels[i].name);
        rem_sbuf_adds(metrics->out, "=\"");
        add_label_value(metrics->out, labels[i].value);
        rem_sbuf_addc(metrics->out, '"');
    }
    if (before == ',')
        rem_sbuf_addc(metrics->out, '}');
}

void rem_metric_count(struct rem_metrics *metrics, const struct rem_metric_label *labels,
                      size_t label_count, uint64_t value)
{
    add_name(metrics, labels, label_count);
    rem_sbuf_addf(metrics->out, " %" PRIu64 "\n", value);
}

void rem_metric_gauge(struct rem_metrics *metrics, const struct rem_metric_label *labels,
                      size_t label_count, int64_t value)
{
    add_name(metrics, labels, label_count);
    rem_sbuf_addf(metrics->out, " %" PRId64 "\n", value);
}

void rem_metric_seconds(struct rem_metrics *metrics, double value)
{
    add_name(metrics, NULL, 0);
    rem_sbuf_addf(metrics->out, " %.3f\n", value);
}
