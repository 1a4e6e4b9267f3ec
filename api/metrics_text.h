/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_text.h - writes the Prometheus text format 0.0.4.
 *
 * Contract:   one family after the other: rem_metric_family, then all its samples.  */
#ifndef REM_API_METRICS_TEXT_H
#define REM_API_METRICS_TEXT_H

#include "proto/base/sbuf.h"

struct rem_metrics {
    struct rem_sbuf *out;
    const char *name; /* of the current family */
};

struct rem_metric_label {
    const char *name;
    struct rem_str value;
};

/* `type`: "counter", "gauge". */
void rem_metric_family(struct rem_metrics *metrics, const char *name, const char *type,
                       const char *help);

/* One sample of the current family; a label whose name is NULL is left out. */
void rem_metric_count(struct rem_metrics *metrics, const struct rem_metric_label *labels,
                      size_t label_count, uint64_t value);
void rem_metric_gauge(struct rem_metrics *metrics, const struct rem_metric_label *labels,
                      size_t label_count, int64_t value);
void rem_metric_seconds(struct rem_metrics *metrics, double value);

#endif
