/* SPDX-License-Identifier: Apache-2.0 */
/* dns.h - names to addresses, asked of given servers without blocking; c-ares underneath.
 *
 * Runs in:    any process with an event loop, single-threaded: workers and the agent.
 * Lifecycle:  rem_dns_new -> (rem_dns_addrs | rem_dns_service -> done) * -> rem_dns_free.
 * Loop:       the user lends its loop through struct rem_dns_io and calls rem_dns_on_fd and
 *             rem_dns_on_timer in return.
 * Answers:    A and AAAA records are asked for together.  Aliases (CNAME) are followed.  A failure
 *             of one of the two is a failure of both; no record of either kind is "not found".
 * Cache:      good answers, as long as their TTL (or `valid`) says; failures are not kept.
 *             Questions that are under way already are not asked twice.
 * Not here:   the `resolver` directive (proxy/http/mod/resolver.h), a worker's resolvers
 *             (proxy/net/resolver.h).  */
#ifndef REM_DNS_DNS_H
#define REM_DNS_DNS_H

#include "proto/base/addr.h"
#include "proto/base/err.h"
#include "proto/base/str.h"

struct rem_dns;
struct rem_dns_query;

/* What a `resolver` directive says.  Pointers are borrowed: they outlive what is made of it. */
struct rem_dns_spec {
    struct rem_dns_spec *next;      /* of the configuration's list */
    const struct rem_addr *servers; /* with ports */
    size_t server_count;            /* 1 or more; questions go to them in turn */
    int64_t valid_ms;               /* in place of the records' TTL; -1: the TTL counts */
    bool no_ipv4;                   /* A records are not asked for */
    bool no_ipv6;
    struct rem_str status_zone; /* empty: none */
};

/* What is counted: users' questions, and how they ended. */
enum rem_dns_counter {
    REM_DNS_COUNT_NAME = 0,
    REM_DNS_COUNT_SRV,
    REM_DNS_COUNT_NOERROR,
    REM_DNS_COUNT_FORMERR,
    REM_DNS_COUNT_SERVFAIL,
    REM_DNS_COUNT_NXDOMAIN,
    REM_DNS_COUNT_NOTIMP,
    REM_DNS_COUNT_REFUSED,
    REM_DNS_COUNT_TIMEDOUT,
    REM_DNS_COUNT_UNKNOWN,
    REM_DNS_COUNTERS,
};

/* The user's loop. */
struct rem_dns_io {
    void *data;
    /* From now on calls rem_dns_on_fd when `fd` is ready (level-triggered); both false: the
     * descriptor is about to be closed, forget it.  *kept is for the loop's own use, NULL when a
     * descriptor is new.  Errors: REM_ENOMEM, with nothing kept; the query will time out. */
    int (*watch)(void *data, int fd, bool read, bool write, void **kept);
    /* Calls rem_dns_on_timer once in `delay_ms`, in place of the time told before. */
    void (*set_timer)(void *data, uint64_t delay_ms);
    uint64_t (*now_ms)(void *data); /* monotonic */
    /* Something happened that is worth counting; may be NULL. */
    void (*count)(void *data, enum rem_dns_counter counter);
};

/* Response codes of DNS as they are logged, and what else may go wrong. */
enum rem_dns_code {
    REM_DNS_OK = 0,
    REM_DNS_FORMERR = 1,
    REM_DNS_SERVFAIL = 2,
    REM_DNS_NXDOMAIN = 3, /* also: the name has no addresses */
    REM_DNS_NOTIMP = 4,
    REM_DNS_REFUSED = 5,
    REM_DNS_TIMEDOUT = 110, /* the number of ETIMEDOUT, as logs show it */
};

/* "Host not found", ... */
const char *rem_dns_code_text(int code);

struct rem_dns_target {
    struct rem_addr addr; /* with the port asked for, or the SRV record's */
    uint16_t priority;    /* of the SRV record, smaller is better; else 0 */
    uint16_t weight;
};

struct rem_dns_answer {
    const struct rem_dns_target *targets; /* borrowed, for the call */
    size_t count;                         /* of addresses: 1 or more; of a service: maybe 0 */
    uint64_t ttl_ms;                      /* of the shortest-lived record, or `valid` */
};

/* `answer` is NULL unless `code` is REM_DNS_OK. */
typedef void (*rem_dns_done_fn)(void *data, int code, const struct rem_dns_answer *answer);

/* Errors: REM_ENOMEM, REM_EINVAL (servers). */
int rem_dns_new(const struct rem_dns_spec *spec, const struct rem_dns_io *io,
                struct rem_dns **out) REM_MUST_CHECK;

/* Queries under way end without a call of `done`.  Not to be called from `done`. */
void rem_dns_free(struct rem_dns **dns);

enum rem_dns_flag {
    REM_DNS_FRESH = 1 << 0, /* do not believe the cache */
};

struct rem_dns_question {
    struct rem_str name; /* "example.net"; of a service with all labels: "_http._tcp.example.net" */
    uint16_t port;       /* for the addresses; of no use with a service */
    uint64_t timeout_ms;
    unsigned flags; /* enum rem_dns_flag */
    rem_dns_done_fn done;
    void *data;
};

/* Asks for the addresses of a name.  `done` is called once: perhaps before this returns (then *out
 * is NULL), perhaps later, unless cancelled.  It may ask again and cancel others.
 * Returns: *out, good until `done` or rem_dns_cancel.
 * Errors: REM_ENOMEM, REM_EINVAL (no name that DNS knows how to ask for); `done` is not called. */
int rem_dns_addrs(struct rem_dns *dns, const struct rem_dns_question *question,
                  struct rem_dns_query **out) REM_MUST_CHECK;

/* The same for SRV records and the addresses of all their targets; a target without addresses is
 * left out.  More than REM_DNS_RECORDS_MAX addresses are a format error. */
int rem_dns_service(struct rem_dns *dns, const struct rem_dns_question *question,
                    struct rem_dns_query **out) REM_MUST_CHECK;

/* `done` will not be called.  *query may be NULL; becomes NULL. */
void rem_dns_cancel(struct rem_dns_query **query);

/* What the loop reports. */
void rem_dns_on_fd(struct rem_dns *dns, int fd, bool read, bool write);
void rem_dns_on_timer(struct rem_dns *dns);

#endif
