/* SPDX-License-Identifier: Apache-2.0 */
/* Status zones of resolvers, as the NGINX Plus API shows them. */
#include "api/plus.h"
#include "proto/dns/dns.h"
#include "proto/shm/region.h"

#define KIND "resolvers"

static const struct {
    enum rem_dns_counter counter;
    const char *group, *name;
} members[] = {
    {REM_DNS_COUNT_NAME, "requests", "name"},
    {REM_DNS_COUNT_SRV, "requests", "srv"},
    {REM_DNS_COUNTERS, "requests", "addr"}, /* nobody asks for names of addresses */
    {REM_DNS_COUNT_NOERROR, "responses", "noerror"},
    {REM_DNS_COUNT_FORMERR, "responses", "formerr"},
    {REM_DNS_COUNT_SERVFAIL, "responses", "servfail"},
    {REM_DNS_COUNT_NXDOMAIN, "responses", "nxdomain"},
    {REM_DNS_COUNT_NOTIMP, "responses", "notimp"},
    {REM_DNS_COUNT_REFUSED, "responses", "refused"},
    {REM_DNS_COUNT_TIMEDOUT, "responses", "timedout"},
    {REM_DNS_COUNT_UNKNOWN, "responses", "unknown"},
};

_Static_assert((int)REM_DNS_COUNTERS <= (int)REM_SHM_RESOLVER_COUNTERS, "room for all counters");

static bool is_used(struct rem_shm_resolver *resolver)
{
    /* acquire: the name is complete; pairs with the release in rem_region_resolver */
    return atomic_load_explicit(&resolver->state, memory_order_acquire) == REM_RESOLVER_USED;
}

static struct rem_str name_of(const struct rem_shm_resolver *resolver)
{
    return rem_str_make(resolver->name, resolver->name_len);
}

/* Adds up all slots of that name.  Returns false if there are none. */
static bool sum(struct rem_shm_header *header, struct rem_str name,
                uint64_t counters[REM_DNS_COUNTERS])
{
    bool found = false;

    memset(counters, 0, REM_DNS_COUNTERS * sizeof(counters[0]));
    for (size_t i = 0; i < REM_SHM_RESOLVERS; i++) {
        struct rem_shm_resolver *resolver = &header->resolvers[i];

        if (!is_used(resolver) || !rem_str_eq(name_of(resolver), name))
            continue;
        found = true;
        for (size_t k = 0; k < REM_DNS_COUNTERS; k++)
            counters[k] += atomic_load_explicit(&resolver->counters[k], memory_order_relaxed);
    }
    return found;
}

/* Returns NULL without memory; the sums of the zone may be all zero. */
static json_t *resolver_json(struct rem_api_call *call, struct rem_str name)
{
    json_t *object = json_pack("{s:{},s:{}}", "requests", "responses");
    uint64_t counters[REM_DNS_COUNTERS];

    (void)sum(call->api->region->header, name, counters);
    rem_reset_apply(counters, rem_reset_find(call, KIND, name, sizeof(counters), NULL),
                    REM_DNS_COUNTERS);
    for (size_t i = 0; object != NULL && i < REM_COUNT(members); i++) {
        json_t *group = json_object_get(object, members[i].group);
        uint64_t n = members[i].counter < REM_DNS_COUNTERS ? counters[members[i].counter] : 0;

        if (json_object_set_new(group, members[i].name, json_integer(rem_json_count(n))) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

int rem_plus_resolvers(struct rem_api_call *call)
{
    struct rem_shm_header *header = call->api->region->header;
    json_t *map = json_object();

    for (size_t i = 0; map != NULL && i < REM_SHM_RESOLVERS; i++) {
        struct rem_shm_resolver *resolver = &header->resolvers[i];

        if (is_used(resolver))
            map = rem_plus_put(map, name_of(resolver), resolver_json(call, name_of(resolver)));
    }
    return rem_plus_answer_map(call, map);
}

static int missing(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_RESOLVER_ZONE_NOT_FOUND,
                         "resolver zone not found");
}

int rem_plus_resolver(struct rem_api_call *call)
{
    uint64_t counters[REM_DNS_COUNTERS];

    if (!sum(call->api->region->header, call->params[0], counters))
        return missing(call);
    return rem_plus_answer_object(call, resolver_json(call, call->params[0]));
}

int rem_plus_resolver_reset(struct rem_api_call *call)
{
    uint64_t counters[REM_DNS_COUNTERS];

    if (!sum(call->api->region->header, call->params[0], counters))
        return missing(call);
    if (rem_reset_keep(call, KIND, call->params[0], counters, sizeof(counters)) != 0)
        return REM_EINVAL;
    return rem_reset_answer(call);
}
