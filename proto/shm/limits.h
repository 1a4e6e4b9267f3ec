/* SPDX-License-Identifier: Apache-2.0 */
/* limits.h - how much of itself an upstream lets out, and when it puts a server aside.
 *
 * What a configuration says of an upstream, as specs and sets hold it: fixed widths, 0 means off or
 * no limit throughout.  */
#ifndef REM_SHM_LIMITS_H
#define REM_SHM_LIMITS_H

#include <stdint.h>

/* Over all workers.  What would be above is refused at once, with 503. */
struct rem_limits_spec {
    uint32_t max_connections;      /* open to the upstream, pooled ones included */
    uint32_t max_pending;          /* requests that wait for a connection */
    uint32_t max_requests;         /* under way */
    uint32_t max_retries;          /* under way */
    uint32_t retry_budget_percent; /* retries of the requests under way */
    uint32_t retry_budget_min;     /* retries that are always allowed; with the percentage */
};

/* Of a budget that does not say how many: few requests would be let go on otherwise. */
enum { REM_RETRY_BUDGET_MIN = 3 };

/* Servers whose answers stand out are ejected for a while. */
struct rem_outlier_spec {
    uint32_t consecutive_5xx;     /* that many in a row; failures to answer count as well */
    uint32_t consecutive_gateway; /* 502, 503, 504 and failures to answer */
    uint32_t interval_ms;         /* at which success rates are compared */
    uint32_t base_ejection_ms;    /* the first time; the n-th lasts n times as long */
    uint32_t max_ejection_ms;
    uint32_t max_ejection_percent;      /* of an upstream's servers at a time */
    uint32_t success_rate_min_hosts;    /* with enough requests; 0: rates are not compared */
    uint32_t success_rate_requests;     /* in an interval, for a server to count */
    uint32_t success_rate_stdev_factor; /* in thousandths: 1900 is 1.9 deviations below the mean */
};

#endif
