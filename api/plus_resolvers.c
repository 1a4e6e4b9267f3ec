/* SPDX-License-Identifier: Apache-2.0 */
/* Status zones of resolvers, as the NGINX Plus API shows them. */
#include "api/call.h"
#include "proto/dns/dns.h"
#include "proto/shm/region.h"

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

/* Over all slots of that name. */
static uint64_t sum(struct rem_shm_header *header, struct rem_str name,
                    enum rem_dns_counter counter)
{
    uint64_t total = 0;

    if (counter == REM_DNS_COUNTERS)
        return 0;
    for (size_t i = 0; i < REM_SHM_RESOLVERS; i++) {
        struct rem_shm_resolver *resolver = &header->resolvers[i];

        if (is_used(resolver) && rem_str_eq(name_of(resolver), name))
            total += atomic_load_explicit(&resolver->counters[counter], memory_order_relaxed);
    }
    return total;
}

static json_t *resolver_json(struct rem_shm_header *header, struct rem_str name)
{
    json_t *object = json_pack("{s:{},s:{}}", "requests", "responses");

    for (size_t i = 0; object != NULL && i < REM_COUNT(members); i++) {
        json_t *group = json_object_get(object, members[i].group);
        json_t *count = json_integer((json_int_t)sum(header, name, members[i].counter));

        if (json_object_set_new(group, members[i].name, count) != 0) {
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
        struct rem_str name = name_of(resolver), key;
        json_t *text;

        if (!is_used(resolver))
            continue;
        text = rem_json_text(name); /* valid UTF-8, whatever the name is */
        key = rem_json_str(text);
        if (text == NULL ||
            json_object_setn_new(map, key.p, key.n, resolver_json(header, name)) != 0) {
            json_decref(map);
            map = NULL;
        }
        json_decref(text);
    }
    return rem_plus_answer_map(call, map);
}
