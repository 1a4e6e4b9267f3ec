/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/dns/lookup.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_ALIASES = 16, MAX_SERVICES = 1024, ASKED = 2 };

/* A question that c-ares has. */
struct asked {
    struct rem_dns_lookup *lookup;
    enum rem_dns_type type;
};

/* The addresses of one of a service's targets; services with the same target share one. */
struct part {
    struct rem_dns_lookup *owner;
    struct rem_dns_lookup *lookup; /* while it runs */
    const char *name;              /* borrowed from the owner's records */
    struct rem_dns_found found;
};

struct rem_dns_lookup {
    ares_channel channel;
    bool no_ipv4, no_ipv6, service;
    bool starting; /* replies may come before the question's call returns */
    bool dropped;
    char *name; /* owned; the last alias */
    unsigned aliases;
    unsigned open; /* questions that c-ares has */
    struct asked asked[ASKED];
    struct rem_dns_records records;
    int code;
    uint32_t ttl; /* of the aliases on the way */
    rem_dns_found_fn done;
    void *data;

    struct part *parts; /* owned; of a service */
    size_t part_count;
    size_t parts_open;
};

static int ask_all(struct rem_dns_lookup *lookup);

static void lookup_free(struct rem_dns_lookup *lookup)
{
    for (size_t i = 0; i < lookup->part_count; i++) {
        rem_dns_lookup_drop(&lookup->parts[i].lookup);
        free(lookup->parts[i].found.targets);
    }
    free(lookup->parts);
    rem_dns_records_fini(&lookup->records);
    free(lookup->name);
    free(lookup);
}

static int code_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
        return REM_DNS_OK;
    case ARES_EFORMERR:
    case ARES_EBADRESP:
        return REM_DNS_FORMERR;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return REM_DNS_NXDOMAIN;
    case ARES_ENOTIMP:
        return REM_DNS_NOTIMP;
    case ARES_EREFUSED:
        return REM_DNS_REFUSED;
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED: /* nobody is there: as if nobody answered */
        return REM_DNS_TIMEDOUT;
    default:
        return REM_DNS_SERVFAIL;
    }
}

/* ---- the end ---- */

static void finish(struct rem_dns_lookup *lookup, struct rem_dns_found *found)
{
    if (lookup->ttl < found->ttl)
        found->ttl = lookup->ttl;
    lookup->done(lookup->data, found);
    free(found->targets);
    lookup_free(lookup);
}

static void fail(struct rem_dns_lookup *lookup, int code)
{
    struct rem_dns_found found = {.code = code, .ttl = UINT32_MAX};

    finish(lookup, &found);
}

/* ---- a service's targets ---- */

static const struct rem_dns_found *part_found(const struct rem_dns_lookup *lookup, const char *name)
{
    for (size_t i = 0; i < lookup->part_count; i++)
        if (strcasecmp(lookup->parts[i].name, name) == 0)
            return &lookup->parts[i].found;
    return NULL;
}

/* How many addresses all services have; a failure of any part is one of the whole, but a target
 * that does not exist is only left out.  Two small answers, of many services at a target with many
 * addresses, must not make millions. */
static int count_targets(const struct rem_dns_lookup *lookup, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < lookup->part_count; i++) {
        int code = lookup->parts[i].found.code;
        if (code != REM_DNS_OK && code != REM_DNS_NXDOMAIN)
            return code;
    }
    for (size_t i = 0; i < lookup->records.service_count; i++) {
        const struct rem_dns_found *found = part_found(lookup, lookup->records.services[i].target);
        *count += found != NULL ? found->count : 0;
    }
    return *count <= REM_DNS_RECORDS_MAX ? REM_DNS_OK : REM_DNS_FORMERR;
}

static void finish_service(struct rem_dns_lookup *lookup)
{
    struct rem_dns_found all = {.ttl = lookup->records.ttl};
    size_t count;

    all.code = count_targets(lookup, &count);
    if (all.code == REM_DNS_OK && count > 0) {
        all.targets = calloc(count, sizeof(*all.targets));
        all.code = all.targets != NULL ? REM_DNS_OK : REM_DNS_SERVFAIL;
    }
    for (size_t i = 0; all.targets != NULL && i < lookup->records.service_count; i++) {
        const struct rem_dns_srv *srv = &lookup->records.services[i];
        const struct rem_dns_found *found = part_found(lookup, srv->target);
        for (size_t k = 0; found != NULL && k < found->count; k++) {
            struct rem_dns_target *target = &all.targets[all.count++];
            *target = (struct rem_dns_target){found->targets[k].addr, srv->priority, srv->weight};
            rem_addr_set_port(&target->addr, srv->port);
        }
    }
    for (size_t i = 0; i < lookup->part_count; i++)
        if (lookup->parts[i].found.ttl < all.ttl)
            all.ttl = lookup->parts[i].found.ttl;
    finish(lookup, &all);
}

static void on_part(void *data, struct rem_dns_found *found)
{
    struct part *part = data;
    struct rem_dns_lookup *owner = part->owner;

    part->lookup = NULL;
    part->found = *found;
    found->targets = NULL;
    if (--owner->parts_open == 0)
        finish_service(owner);
}

static void start_parts(struct rem_dns_lookup *lookup)
{
    size_t count = lookup->records.service_count;

    lookup->parts = calloc(count, sizeof(*lookup->parts));
    if (lookup->parts == NULL) {
        fail(lookup, REM_DNS_SERVFAIL);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = lookup->records.services[i].target;
        if (name[0] == '\0' || part_found(lookup, name) != NULL) /* ".": no such service */
            continue;
        lookup->parts[lookup->part_count++] =
            (struct part){.owner = lookup, .name = name, .found = {.code = REM_DNS_SERVFAIL}};
    }
    lookup->parts_open = 1 + lookup->part_count; /* ours: none of them is the last one early */
    for (size_t i = 0; i < lookup->part_count; i++) {
        struct part *part = &lookup->parts[i];
        const struct rem_dns_ask ask = {
            .channel = lookup->channel,
            .no_ipv4 = lookup->no_ipv4,
            .no_ipv6 = lookup->no_ipv6,
            .name = part->name,
            .done = on_part,
            .data = part,
        };
        if (rem_dns_lookup_start(&ask, &part->lookup) != REM_OK)
            lookup->parts_open--;
    }
    if (--lookup->parts_open == 0)
        finish_service(lookup);
}

/* ---- replies ---- */

static void finish_addrs(struct rem_dns_lookup *lookup)
{
    size_t count = lookup->records.addr_count;
    struct rem_dns_found found = {.ttl = lookup->records.ttl};

    found.targets = calloc(count, sizeof(*found.targets));
    if (found.targets == NULL) {
        fail(lookup, REM_DNS_SERVFAIL);
        return;
    }
    for (size_t i = 0; i < count; i++)
        found.targets[i].addr = lookup->records.addrs[i];
    found.count = count;
    finish(lookup, &found);
}

/* Asks again under the other name. */
static void follow_alias(struct rem_dns_lookup *lookup)
{
    if (++lookup->aliases > MAX_ALIASES) {
        fail(lookup, REM_DNS_NXDOMAIN);
        return;
    }
    free(lookup->name);
    lookup->name = lookup->records.alias;
    lookup->records.alias = NULL;
    if (lookup->records.ttl < lookup->ttl)
        lookup->ttl = lookup->records.ttl;
    rem_dns_records_fini(&lookup->records);
    (void)ask_all(lookup);
}

/* All replies to the present name are in. */
static void judge(struct rem_dns_lookup *lookup)
{
    const struct rem_dns_records *records = &lookup->records;

    if (lookup->dropped) {
        lookup_free(lookup);
        return;
    }
    if (lookup->code != REM_DNS_OK && lookup->code != REM_DNS_NXDOMAIN)
        fail(lookup, lookup->code);
    else if (records->addr_count != 0)
        finish_addrs(lookup);
    else if (records->service_count > MAX_SERVICES)
        fail(lookup, REM_DNS_FORMERR);
    else if (records->service_count != 0)
        start_parts(lookup);
    else if (lookup->code == REM_DNS_OK && records->alias != NULL)
        follow_alias(lookup);
    else
        fail(lookup, REM_DNS_NXDOMAIN);
}

/* Of two families asked for, AAAA says whether the name is an alias, as nginx has it: one that only
 * the A reply knows is not followed. */
static int read_reply(struct rem_dns_lookup *lookup, enum rem_dns_type type,
                      const unsigned char *message, size_t n)
{
    struct rem_dns_records *records = &lookup->records;
    char *alias = records->alias;
    int rc;

    if (type != REM_DNS_A || lookup->no_ipv6)
        return rem_dns_records_read(records, message, n, type);
    records->alias = NULL;
    rc = rem_dns_records_read(records, message, n, type);
    free(records->alias);
    records->alias = alias;
    return rc;
}

static void on_reply(void *arg, int status, int timeouts, unsigned char *message, int n)
{
    const struct asked *asked = arg;
    struct rem_dns_lookup *lookup = asked->lookup;
    int code = code_of(status);

    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        lookup->dropped = true;
    if (status == ARES_SUCCESS && n > 0) {
        int rc = read_reply(lookup, asked->type, message, (size_t)n);
        if (rc != REM_OK)
            code = rc == REM_EPROTO ? REM_DNS_FORMERR : REM_DNS_SERVFAIL;
    }
    /* One family missing altogether is no failure; anything else is. */
    if (code != REM_DNS_OK && (lookup->code == REM_DNS_OK || lookup->code == REM_DNS_NXDOMAIN))
        lookup->code = code;
    lookup->open--;
    if (lookup->open == 0 && !lookup->starting)
        judge(lookup);
}

/* ---- questions ---- */

static void ask_type(struct rem_dns_lookup *lookup, struct asked *asked, enum rem_dns_type type)
{
    *asked = (struct asked){lookup, type};
    lookup->open++;
    ares_query(lookup->channel, lookup->name, 1 /* IN */, (int)type, on_reply, asked);
}

/* Returns REM_OK when replies are waited for; REM_EAGAIN when `lookup` is gone already. */
static int ask_all(struct rem_dns_lookup *lookup)
{
    lookup->starting = true;
    lookup->code = REM_DNS_OK;
    lookup->open = 0;
    if (lookup->service)
        ask_type(lookup, &lookup->asked[0], REM_DNS_SRV);
    if (!lookup->service && !lookup->no_ipv4)
        ask_type(lookup, &lookup->asked[0], REM_DNS_A);
    if (!lookup->service && !lookup->no_ipv6)
        ask_type(lookup, &lookup->asked[1], REM_DNS_AAAA);
    lookup->starting = false;
    if (lookup->open != 0)
        return REM_OK;
    judge(lookup);
    return REM_EAGAIN;
}

int rem_dns_lookup_start(const struct rem_dns_ask *ask, struct rem_dns_lookup **out)
{
    struct rem_dns_lookup *lookup = calloc(1, sizeof(*lookup));

    *out = NULL;
    if (lookup == NULL)
        return REM_ENOMEM;
    lookup->channel = ask->channel;
    lookup->no_ipv4 = ask->no_ipv4;
    lookup->no_ipv6 = ask->no_ipv6;
    lookup->service = ask->service;
    lookup->done = ask->done;
    lookup->data = ask->data;
    lookup->ttl = UINT32_MAX;
    rem_dns_records_init(&lookup->records);
    lookup->name = strdup(ask->name);
    if (lookup->name == NULL) {
        free(lookup);
        return REM_ENOMEM;
    }
    if (ask_all(lookup) == REM_OK)
        *out = lookup;
    return REM_OK;
}

void rem_dns_lookup_drop(struct rem_dns_lookup **at)
{
    struct rem_dns_lookup *lookup = *at;

    *at = NULL;
    if (lookup == NULL)
        return;
    lookup->dropped = true;
    for (size_t i = 0; i < lookup->part_count; i++)
        rem_dns_lookup_drop(&lookup->parts[i].lookup);
    if (lookup->open == 0)
        lookup_free(lookup);
}
