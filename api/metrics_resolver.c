/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_resolver.c - what name servers answered, by resolvers' status zone. */
#include "api/metrics_scrape.h"
#include "proto/dns/dns.h"

static bool is_used(const struct rem_shm_resolver *resolver)
{
    /* acquire: the name is complete; pairs with the release in rem_region_resolver */
    return atomic_load_explicit(&resolver->state, memory_order_acquire) == REM_RESOLVER_USED;
}

static struct rem_str name_of(const struct rem_shm_resolver *resolver)
{
    return rem_str_make(resolver->name, resolver->name_len);
}

/* Two slots may bear one name: the first of them shows the sum. */
static bool is_first(const struct rem_shm_header *header, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (is_used(&header->resolvers[i]) &&
            rem_str_eq(name_of(&header->resolvers[i]), name_of(&header->resolvers[at])))
            return false;
    return true;
}

static uint64_t sum_of(const struct rem_shm_header *header, struct rem_str name,
                       enum rem_dns_counter counter)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < REM_SHM_RESOLVERS; i++)
        if (is_used(&header->resolvers[i]) && rem_str_eq(name_of(&header->resolvers[i]), name))
            sum +=
                atomic_load_explicit(&header->resolvers[i].counters[counter], memory_order_relaxed);
    return sum;
}

static void put_family(struct rem_scrape *scrape, const struct rem_metric_family *family,
                       const enum rem_dns_counter *counters, const char *const *names, size_t n)
{
    const struct rem_shm_header *header = scrape->api->region->header;

    rem_metric_begin(&scrape->text, family);
    for (size_t i = 0; i < REM_SHM_RESOLVERS; i++) {
        struct rem_str name = name_of(&header->resolvers[i]), labels;

        if (!is_used(&header->resolvers[i]) || !is_first(header, i) ||
            !rem_scrape_shows(scrape, name))
            continue;
        labels = rem_scrape_label(scrape, "resolver", name);
        for (size_t k = 0; k < n; k++)
            rem_metric_count(&scrape->text, labels, rem_str_from(names[k]),
                             sum_of(header, name, counters[k]));
    }
}

int rem_scrape_resolvers(struct rem_scrape *scrape)
{
    static const struct rem_metric_family requests = {
        "remora_resolver_requests_total", REM_METRIC_COUNTER, "Questions asked of name servers."};
    static const struct rem_metric_family responses = {
        "remora_resolver_responses_total", REM_METRIC_COUNTER, "Their answers, by code."};
    static const enum rem_dns_counter asked[] = {REM_DNS_COUNT_NAME, REM_DNS_COUNT_SRV};
    static const char *const asked_names[] = {"type=\"name\"", "type=\"srv\""};
    static const enum rem_dns_counter answered[] = {REM_DNS_COUNT_NOERROR,  REM_DNS_COUNT_FORMERR,
                                                    REM_DNS_COUNT_SERVFAIL, REM_DNS_COUNT_NXDOMAIN,
                                                    REM_DNS_COUNT_NOTIMP,   REM_DNS_COUNT_REFUSED,
                                                    REM_DNS_COUNT_TIMEDOUT, REM_DNS_COUNT_UNKNOWN};
    static const char *const answered_names[] = {
        "rcode=\"noerror\"", "rcode=\"formerr\"", "rcode=\"servfail\"", "rcode=\"nxdomain\"",
        "rcode=\"notimp\"",  "rcode=\"refused\"", "rcode=\"timedout\"", "rcode=\"unknown\""};
    const struct rem_shm_header *header = scrape->api->region->header;

    if (!is_used(&header->resolvers[0]))
        return 0;
    put_family(scrape, &requests, asked, asked_names, REM_COUNT(asked));
    put_family(scrape, &responses, answered, answered_names, REM_COUNT(answered));
    return 0;
}
