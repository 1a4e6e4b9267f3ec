/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_upstream.h - what a scrape has read of an upstream.  */
#ifndef REM_API_METRICS_UPSTREAM_H
#define REM_API_METRICS_UPSTREAM_H

#include "api/metrics_scrape.h"
#include "api/server_sums.h"

struct rem_scrape_upstream {
    struct rem_upstream_status status; /* .servers is NULL unless they are shown one by one */
    struct rem_server_sums sums;
    struct rem_str labels;
};

/* Families of single servers.  Errors: REM_EINVAL with the fault. */
int rem_scrape_servers(struct rem_scrape *scrape, const struct rem_scrape_upstream *upstreams,
                       size_t count) REM_MUST_CHECK;

#endif
