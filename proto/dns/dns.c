/* SPDX-License-Identifier: Apache-2.0 */
/* dns.c - who asks, for how long they wait, and what is remembered.
 *
 * An entry is a name: either a lookup for it runs and queries wait, or its answer is known.  It is
 * in the table until its answer has expired and somebody asks again, or room is needed. */
#include "proto/dns/dns.h"

#include "proto/base/list.h"
#include "proto/dns/channel.h"
#include "proto/dns/lookup.h"

#include <stdlib.h>
#include <string.h>

enum {
    DNS_MAGIC = 0x646e7330,
    BUCKETS = 256,
    ENTRIES_MAX = 4096,
    NAME_MAX_LENGTH = 253,
};

struct entry {
    struct rem_list chain; /* of its bucket */
    struct rem_list used;  /* of dns->used */
    struct rem_dns *dns;
    char *name; /* owned */
    bool service;
    bool known;                    /* `targets` may be given out until expires_ms */
    bool busy;                     /* answers are being given out: not to be freed */
    struct rem_dns_lookup *lookup; /* while it runs */
    struct rem_list queries;
    struct rem_dns_target *targets; /* owned */
    size_t count;
    uint64_t expires_ms;
};

struct rem_dns_query {
    struct rem_list node; /* of the entry's */
    struct rem_list all;  /* of dns->waiting */
    struct rem_dns *dns;
    uint64_t due_ms;
    uint16_t port;
    rem_dns_done_fn done;
    void *data;
};

struct rem_dns {
    uint32_t magic;
    struct rem_dns_spec spec; /* its pointers are borrowed */
    struct rem_dns_io io;
    struct rem_dns_channel channel;
    struct rem_list buckets[BUCKETS];
    struct rem_list used; /* entries, least recently used first */
    uint32_t count;
    struct rem_list waiting; /* queries */
    uint64_t next_due_ms;    /* no query is due before; UINT64_MAX: none waits */
};

const char *rem_dns_code_text(int code)
{
    switch (code) {
    case REM_DNS_OK:
        return "Success";
    case REM_DNS_FORMERR:
        return "Format error";
    case REM_DNS_SERVFAIL:
        return "Server failure";
    case REM_DNS_NXDOMAIN:
        return "Host not found";
    case REM_DNS_NOTIMP:
        return "Unimplemented";
    case REM_DNS_REFUSED:
        return "Operation refused";
    case REM_DNS_TIMEDOUT:
        return "Operation timed out";
    default:
        return "Unknown error";
    }
}

static uint64_t now_of(const struct rem_dns *dns)
{
    return dns->io.now_ms(dns->io.data);
}

static void count(struct rem_dns *dns, enum rem_dns_counter counter)
{
    if (dns->io.count != NULL)
        dns->io.count(dns->io.data, counter);
}

static void count_code(struct rem_dns *dns, int code)
{
    if (code >= REM_DNS_OK && code <= REM_DNS_REFUSED)
        count(dns, (enum rem_dns_counter)(REM_DNS_COUNT_NOERROR + code));
    else
        count(dns, code == REM_DNS_TIMEDOUT ? REM_DNS_COUNT_TIMEDOUT : REM_DNS_COUNT_UNKNOWN);
}

/* ---- timers ---- */

/* Tells the loop when to call next: for c-ares's tries, or for a query that has waited enough. */
static void arm(struct rem_dns *dns)
{
    uint64_t now = now_of(dns), delay = UINT64_MAX;
    struct timeval tv;

    if (dns->next_due_ms != UINT64_MAX)
        delay = dns->next_due_ms > now ? dns->next_due_ms - now : 0;
    if (ares_timeout(dns->channel.ares, NULL, &tv) != NULL) {
        uint64_t wait = (uint64_t)tv.tv_sec * 1000 + (uint64_t)(tv.tv_usec + 999) / 1000;
        delay = wait < delay ? wait : delay;
    }
    if (delay != UINT64_MAX)
        dns->io.set_timer(dns->io.data, delay);
}

/* ---- queries ---- */

static void query_free(struct rem_dns_query *query)
{
    rem_list_remove(&query->node);
    rem_list_remove(&query->all);
    if (rem_list_empty(&query->dns->waiting))
        query->dns->next_due_ms = UINT64_MAX;
    free(query);
}

/* Ends a query.  What `done` does may change any list. */
static void query_end(struct rem_dns_query *query, int code, const struct rem_dns_answer *answer)
{
    rem_dns_done_fn done = query->done;
    void *data = query->data;

    count_code(query->dns, code);
    query_free(query);
    done(data, code, answer);
}

static void expire_queries(struct rem_dns *dns)
{
    uint64_t now = now_of(dns);
    bool again = true;

    if (now < dns->next_due_ms)
        return;
    while (again) {
        again = false;
        dns->next_due_ms = UINT64_MAX;
        REM_LIST_EACH(node, &dns->waiting) {
            struct rem_dns_query *query = REM_LIST_ENTRY(node, struct rem_dns_query, all);
            if (query->due_ms <= now) {
                query_end(query, REM_DNS_TIMEDOUT, NULL);
                again = true; /* the list may be another one now */
                break;
            }
            if (query->due_ms < dns->next_due_ms)
                dns->next_due_ms = query->due_ms;
        }
    }
}

/* ---- entries ---- */

static void entry_free(struct entry *entry)
{
    rem_dns_lookup_drop(&entry->lookup);
    while (!rem_list_empty(&entry->queries))
        query_free(REM_LIST_ENTRY(entry->queries.next, struct rem_dns_query, node));
    rem_list_remove(&entry->chain);
    rem_list_remove(&entry->used);
    entry->dns->count--;
    free(entry->targets);
    free(entry->name);
    free(entry);
}

static struct rem_list *bucket_of(struct rem_dns *dns, struct rem_str name)
{
    return &dns->buckets[rem_hash_nocase(name.p, name.n) % BUCKETS];
}

static struct entry *entry_find(struct rem_dns *dns, struct rem_str name, bool service)
{
    struct rem_list *bucket = bucket_of(dns, name);

    REM_LIST_EACH(node, bucket) {
        struct entry *entry = REM_LIST_ENTRY(node, struct entry, chain);
        if (entry->service == service && rem_str_eq_nocase(rem_str_from(entry->name), name))
            return entry;
    }
    return NULL;
}

/* Lets the least recently used entries go: those that have expired, and others where there are too
 * many.  One in use stays. */
static void make_room(struct rem_dns *dns)
{
    uint64_t now = now_of(dns);

    for (unsigned i = 0; i < 2 && !rem_list_empty(&dns->used); i++) {
        struct entry *entry = REM_LIST_ENTRY(dns->used.next, struct entry, used);
        bool expired = entry->known && entry->expires_ms <= now;
        if (entry->lookup != NULL || entry->busy || !rem_list_empty(&entry->queries) ||
            !(expired || dns->count >= ENTRIES_MAX))
            return;
        entry_free(entry);
    }
}

static struct entry *entry_new(struct rem_dns *dns, struct rem_str name, bool service)
{
    struct entry *entry;

    make_room(dns);
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    entry->name = strndup(name.p, name.n);
    if (entry->name == NULL) {
        free(entry);
        return NULL;
    }
    entry->dns = dns;
    entry->service = service;
    rem_list_init(&entry->queries);
    rem_list_append(bucket_of(dns, name), &entry->chain);
    rem_list_append(&dns->used, &entry->used);
    dns->count++;
    return entry;
}

/* Each time another address comes first, so that whoever takes the first spreads over all. */
static void rotate(struct entry *entry)
{
    struct rem_dns_target first;

    if (entry->service || entry->count < 2)
        return;
    first = entry->targets[0];
    memmove(entry->targets, entry->targets + 1, (entry->count - 1) * sizeof(first));
    entry->targets[entry->count - 1] = first;
}

/* What is known, as one query wants it. */
static struct rem_dns_answer answer_for(struct entry *entry, uint16_t port)
{
    uint64_t now = now_of(entry->dns);

    for (size_t i = 0; i < entry->count && !entry->service; i++)
        rem_addr_set_port(&entry->targets[i].addr, port);
    return (struct rem_dns_answer){
        .targets = entry->targets,
        .count = entry->count,
        .ttl_ms = entry->expires_ms > now ? entry->expires_ms - now : 0,
    };
}

/* Frees an entry that is good for nothing any more. */
static void entry_settle(struct entry *entry)
{
    if (!entry->busy && !entry->known && entry->lookup == NULL && rem_list_empty(&entry->queries))
        entry_free(entry);
}

/* Everybody who waited for the name is told. */
static void on_found(void *data, struct rem_dns_found *found)
{
    struct entry *entry = data;
    struct rem_dns *dns = entry->dns;
    uint64_t ttl_ms = found->ttl != UINT32_MAX ? (uint64_t)found->ttl * 1000 : 0;
    bool nested = entry->busy; /* further down the stack somebody gives out its answer */

    entry->lookup = NULL;
    entry->busy = true;
    if (found->code == REM_DNS_OK) {
        free(entry->targets);
        entry->targets = found->targets;
        entry->count = found->count;
        found->targets = NULL;
        entry->known = true;
        entry->expires_ms =
            now_of(dns) + (dns->spec.valid_ms >= 0 ? (uint64_t)dns->spec.valid_ms : ttl_ms);
    } else {
        rem_list_remove(&entry->chain); /* who asks from here on starts anew */
        entry->known = false;
    }
    /* Whoever asks again for something fresh waits for another lookup. */
    while (!rem_list_empty(&entry->queries) && entry->lookup == NULL) {
        struct rem_dns_query *query =
            REM_LIST_ENTRY(entry->queries.next, struct rem_dns_query, node);
        struct rem_dns_answer answer = answer_for(entry, query->port);
        query_end(query, found->code, found->code == REM_DNS_OK ? &answer : NULL);
        rotate(entry);
    }
    entry->busy = nested;
    entry_settle(entry);
}

/* `*ended`: the answer has been given out, and the entry may be gone. */
static int entry_start(struct entry *entry, bool *ended)
{
    const struct rem_dns_ask ask = {
        .channel = entry->dns->channel.ares,
        .no_ipv4 = entry->dns->spec.no_ipv4,
        .no_ipv6 = entry->dns->spec.no_ipv6,
        .service = entry->service,
        .name = entry->name,
        .done = on_found,
        .data = entry,
    };
    struct rem_dns_lookup *lookup;
    int rc = rem_dns_lookup_start(&ask, &lookup);

    *ended = rc == REM_OK && lookup == NULL;
    if (rc == REM_OK && lookup != NULL)
        entry->lookup = lookup;
    return rc;
}

/* ---- asking ---- */

static bool name_is_valid(struct rem_str name)
{
    if (name.n == 0 || name.n > NAME_MAX_LENGTH)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] <= ' ' || name.p[i] == '\\' || name.p[i] == 0x7f)
            return false;
    return true;
}

static struct rem_dns_query *query_new(struct entry *entry, const struct rem_dns_question *question)
{
    struct rem_dns *dns = entry->dns;
    struct rem_dns_query *query = calloc(1, sizeof(*query));

    if (query == NULL)
        return NULL;
    query->dns = dns;
    query->due_ms = now_of(dns) + question->timeout_ms;
    query->port = question->port;
    query->done = question->done;
    query->data = question->data;
    rem_list_append(&entry->queries, &query->node);
    rem_list_append(&dns->waiting, &query->all);
    if (query->due_ms < dns->next_due_ms)
        dns->next_due_ms = query->due_ms;
    return query;
}

static void answer_known(struct entry *entry, const struct rem_dns_question *question)
{
    struct rem_dns_answer answer = answer_for(entry, question->port);
    bool nested = entry->busy; /* asked by somebody who is just being answered */

    entry->busy = true;
    count_code(entry->dns, REM_DNS_OK);
    question->done(question->data, REM_DNS_OK, &answer);
    entry->busy = nested;
    rotate(entry);
    entry_settle(entry);
}

static int ask(struct rem_dns *dns, const struct rem_dns_question *question, bool service,
               struct rem_dns_query **out)
{
    struct entry *entry;
    bool fresh = question->flags & REM_DNS_FRESH, ended = false;
    int rc = REM_OK;

    REM_CHECK_OBJ(dns, DNS_MAGIC);
    *out = NULL;
    if (!name_is_valid(question->name))
        return REM_EINVAL;
    entry = entry_find(dns, question->name, service);
    if (entry == NULL)
        entry = entry_new(dns, question->name, service);
    if (entry == NULL)
        return REM_ENOMEM;
    rem_list_remove(&entry->used);
    rem_list_append(&dns->used, &entry->used);
    if (entry->known && !fresh && entry->expires_ms > now_of(dns)) {
        answer_known(entry, question);
        return REM_OK;
    }
    *out = query_new(entry, question);
    if (*out == NULL)
        rc = REM_ENOMEM;
    else if (entry->lookup == NULL)
        rc = entry_start(entry, &ended);
    if (ended)
        *out = NULL; /* its `done` has been called */
    else if (rc != REM_OK)
        rem_dns_cancel(out);
    arm(dns);
    return rc;
}

int rem_dns_addrs(struct rem_dns *dns, const struct rem_dns_question *question,
                  struct rem_dns_query **out)
{
    count(dns, REM_DNS_COUNT_NAME);
    return ask(dns, question, false, out);
}

int rem_dns_service(struct rem_dns *dns, const struct rem_dns_question *question,
                    struct rem_dns_query **out)
{
    count(dns, REM_DNS_COUNT_SRV);
    return ask(dns, question, true, out);
}

void rem_dns_cancel(struct rem_dns_query **query)
{
    if (*query != NULL)
        query_free(*query);
    *query = NULL;
}

/* ---- the loop ---- */

void rem_dns_on_fd(struct rem_dns *dns, int fd, bool read, bool write)
{
    REM_CHECK_OBJ(dns, DNS_MAGIC);
    ares_process_fd(dns->channel.ares, read ? fd : ARES_SOCKET_BAD, write ? fd : ARES_SOCKET_BAD);
    expire_queries(dns);
    arm(dns);
}

void rem_dns_on_timer(struct rem_dns *dns)
{
    REM_CHECK_OBJ(dns, DNS_MAGIC);
    ares_process_fd(dns->channel.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    expire_queries(dns);
    arm(dns);
}

/* ---- beginning and end ---- */

int rem_dns_new(const struct rem_dns_spec *spec, const struct rem_dns_io *io, struct rem_dns **out)
{
    struct rem_dns *dns;
    int rc;

    if (spec->server_count == 0)
        return REM_EINVAL;
    dns = calloc(1, sizeof(*dns));
    if (dns == NULL)
        return REM_ENOMEM;
    dns->magic = DNS_MAGIC;
    dns->spec = *spec;
    dns->io = *io;
    dns->next_due_ms = UINT64_MAX;
    rem_list_init(&dns->used);
    rem_list_init(&dns->waiting);
    for (size_t i = 0; i < BUCKETS; i++)
        rem_list_init(&dns->buckets[i]);
    rc = rem_dns_channel_open(&dns->channel, spec, &dns->io);
    if (rc != REM_OK) {
        rem_dns_free(&dns);
        return rc;
    }
    *out = dns;
    return REM_OK;
}

void rem_dns_free(struct rem_dns **at)
{
    struct rem_dns *dns = *at;

    *at = NULL;
    if (dns == NULL)
        return;
    REM_CHECK_OBJ(dns, DNS_MAGIC);
    while (!rem_list_empty(&dns->used))
        entry_free(REM_LIST_ENTRY(dns->used.next, struct entry, used));
    rem_dns_channel_close(&dns->channel); /* the last replies: nobody listens any more */
    dns->magic = 0;
    free(dns);
}
