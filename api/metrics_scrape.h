/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_scrape.h - one scrape of /metrics, as the files that write its parts share it.
 *
 * Lifecycle:  on the stack of rem_metrics_get; labels and sums live in the call's arena.
 * Files:      metrics.c (what is asked for), metrics_text.c (how it is written), and one file per
 *             subject below.  */
#ifndef REM_API_METRICS_SCRAPE_H
#define REM_API_METRICS_SCRAPE_H

#include "api/call.h"
#include "api/metrics_text.h"

/* `?scope=`: which families. */
enum rem_scope {
    REM_SCOPE_PROCESS = 1 << 0,
    REM_SCOPE_CONFIG = 1 << 1,
    REM_SCOPE_HTTP = 1 << 2,
    REM_SCOPE_LIMITS = 1 << 3,
    REM_SCOPE_UPSTREAMS = 1 << 4,
    REM_SCOPE_RESOLVERS = 1 << 5,
    REM_SCOPE_ADMIN = 1 << 6,
    REM_SCOPE_ALL = (1 << 7) - 1,
};

struct rem_scrape {
    struct rem_metrics text;
    const struct rem_api *api;
    struct rem_api_call *call;
    struct rem_arena *arena;
    uint32_t scopes;      /* enum rem_scope */
    struct rem_str names; /* `?name=`: of zones, upstreams..., "shop*" too; p == NULL: all */
    bool servers;         /* `?detail=server`: series of single servers */
    bool codes;           /* `?detail=code`: statuses rather than their classes */
};

/* What one label's value is, as every family of a subject needs it.  .p NULL without memory, and
 * the response has then failed. */
struct rem_str rem_scrape_label(struct rem_scrape *scrape, const char *name, struct rem_str value);

/* Whether things of that name are asked for. */
bool rem_scrape_shows(const struct rem_scrape *scrape, struct rem_str name);

/* Families with a single sample. */
void rem_scrape_count(struct rem_scrape *scrape, const char *name, const char *help,
                      uint64_t value);
void rem_scrape_gauge(struct rem_scrape *scrape, const char *name, const char *help, int64_t value);

/* Samples of the current family: by class, or by status as far as `codes` (ascending, 200 included;
 * NULL: unknown) has them. */
void rem_scrape_responses(struct rem_scrape *scrape, struct rem_str labels,
                          const uint64_t classes[REM_SHM_CLASSES], const struct rem_code *codes,
                          size_t count);

/* The subjects.  Errors: REM_EINVAL with the call's fault. */
int rem_scrape_process(struct rem_scrape *scrape);   /* metrics_process.c */
int rem_scrape_config(struct rem_scrape *scrape);    /* metrics_config.c */
int rem_scrape_http(struct rem_scrape *scrape);      /* metrics_http.c */
int rem_scrape_limits(struct rem_scrape *scrape);    /* metrics_http.c */
int rem_scrape_upstreams(struct rem_scrape *scrape); /* metrics_upstream.c */
int rem_scrape_resolvers(struct rem_scrape *scrape); /* metrics_resolver.c */
int rem_scrape_admin(struct rem_scrape *scrape);     /* metrics_admin.c */

#endif
