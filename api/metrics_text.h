/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_text.h - writes the Prometheus text format 0.0.4, or OpenMetrics 1.0.
 *
 * Contract:   one family after the other: rem_metric_begin, then all its samples; at the very end
 *             rem_metrics_end.
 * Names:      counters end in _total, infos in _info; a name that ends in _seconds or _bytes
 *             (before _total) has that unit.  Neither holds a colon.
 * Labels:     are text made once by rem_metric_labels, as thousands of samples bear the same.  */
#ifndef REM_API_METRICS_TEXT_H
#define REM_API_METRICS_TEXT_H

#include "proto/base/arena.h"
#include "proto/base/sbuf.h"
#include "proto/shm/stat.h"

enum rem_metric_type {
    REM_METRIC_COUNTER = 0,
    REM_METRIC_GAUGE,
    REM_METRIC_HISTOGRAM,
    REM_METRIC_INFO, /* always 1: the labels say it */
};

struct rem_metric_family {
    const char *name;
    enum rem_metric_type type;
    const char *help; /* one line, with a full stop */
};

struct rem_metrics {
    struct rem_sbuf *out;
    bool openmetrics;
    const struct rem_metric_family *family; /* the current one */
    size_t series;                          /* samples written; */
};

struct rem_metric_label {
    const char *name;
    struct rem_str value; /* p == NULL: the label is left out */
};

/* `upstream="a",server="b"`, escaped.  Returns: in the arena; .p NULL without memory. */
struct rem_str rem_metric_labels(struct rem_arena *arena, const struct rem_metric_label *labels,
                                 size_t count);

void rem_metric_begin(struct rem_metrics *metrics, const struct rem_metric_family *family);

/* One sample of the current family.  Its labels are `labels` and `more`, either may be empty;
 * `more` is written as it is: `code="2xx"`. */
void rem_metric_count(struct rem_metrics *metrics, struct rem_str labels, struct rem_str more,
                      uint64_t value);
void rem_metric_gauge(struct rem_metrics *metrics, struct rem_str labels, struct rem_str more,
                      int64_t value);

/* A sample in seconds. */
void rem_metric_ms(struct rem_metrics *metrics, struct rem_str labels, uint64_t ms);

/* All samples of one histogram, cumulative, in seconds. */
void rem_metric_histogram(struct rem_metrics *metrics, struct rem_str labels,
                          const struct rem_histogram *sum);

/* What must stand at the end of OpenMetrics. */
void rem_metrics_end(struct rem_metrics *metrics);

#endif
