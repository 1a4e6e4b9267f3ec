/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/dns/record.h"

#include <ares.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER = 12,
    IS_RESPONSE = 0x80, /* in the third byte */
    QUESTION_REST = 4,
    RECORD_REST = 10,
    CLASS_IN = 1,
    NAME_MAX_TEXT = 4 * 255 /* every byte escaped */
};

/* Where in a message the reader is. */
struct reading {
    const unsigned char *message;
    size_t n, at;
};

void rem_dns_records_init(struct rem_dns_records *records)
{
    *records = (struct rem_dns_records){.ttl = UINT32_MAX};
}

void rem_dns_records_fini(struct rem_dns_records *records)
{
    for (size_t i = 0; i < records->service_count; i++)
        free(records->services[i].target);
    free(records->services);
    free(records->addrs);
    free(records->alias);
    rem_dns_records_init(records);
}

static uint16_t u16(const unsigned char *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)u16(p) << 16 | u16(p + 2);
}

/* Steps over the name at in->at, compressed or not. */
static int skip_name(struct reading *in)
{
    while (in->at < in->n) {
        unsigned length = in->message[in->at];

        if ((length & 0xc0) == 0xc0) {
            in->at += 2; /* the rest of it stands elsewhere */
            return in->at <= in->n ? REM_OK : REM_EPROTO;
        }
        if ((length & 0xc0) != 0)
            return REM_EPROTO;
        in->at += 1 + length;
        if (length == 0)
            return REM_OK;
    }
    return REM_EPROTO;
}

/* Takes the name at in->at.  *out is from malloc.  Names that are too long to be any are refused:
 * compression can make a few bytes mean millions. */
static int take_name(struct reading *in, char **out)
{
    char *name;
    long used;
    int rc;

    if (in->at >= in->n)
        return REM_EPROTO;
    rc = ares_expand_name(in->message + in->at, in->message, (int)in->n, &name, &used);
    if (rc != ARES_SUCCESS)
        return rc == ARES_ENOMEM ? REM_ENOMEM : REM_EPROTO;
    in->at += (size_t)used;
    rc = strlen(name) <= NAME_MAX_TEXT ? REM_OK : REM_EPROTO;
    if (rc == REM_OK) {
        *out = strdup(name);
        rc = *out != NULL ? REM_OK : REM_ENOMEM;
    }
    ares_free_string(name);
    return rc;
}

/* Makes room for one element more. */
static int make_room(void **items, size_t count, size_t *room, size_t size)
{
    size_t wanted = *room != 0 ? *room * 2 : 4;
    void *grown;

    if (count < *room)
        return REM_OK;
    if (count >= REM_DNS_RECORDS_MAX)
        return REM_EPROTO;
    grown = realloc(*items, wanted * size);
    if (grown == NULL)
        return REM_ENOMEM;
    *items = grown;
    *room = wanted;
    return REM_OK;
}

static int add_addr(struct rem_dns_records *records, const unsigned char *data, size_t n,
                    enum rem_dns_type type)
{
    struct rem_addr addr = {0};
    void *items = records->addrs;
    int rc;

    if (n != (type == REM_DNS_A ? 4 : 16))
        return REM_EPROTO;
    if (type == REM_DNS_A) {
        addr.len = sizeof(addr.u.in);
        addr.u.in.sin_family = AF_INET;
        memcpy(&addr.u.in.sin_addr, data, n);
    } else {
        addr.len = sizeof(addr.u.in6);
        addr.u.in6.sin6_family = AF_INET6;
        memcpy(&addr.u.in6.sin6_addr, data, n);
    }
    rc = make_room(&items, records->addr_count, &records->addr_room, sizeof(addr));
    records->addrs = items;
    if (rc == REM_OK)
        records->addrs[records->addr_count++] = addr;
    return rc;
}

static int add_service(struct rem_dns_records *records, struct reading *in, size_t n)
{
    const unsigned char *data = in->message + in->at;
    struct rem_dns_srv srv;
    void *items = records->services;
    int rc;

    if (n < 7)
        return REM_EPROTO;
    srv =
        (struct rem_dns_srv){.priority = u16(data), .weight = u16(data + 2), .port = u16(data + 4)};
    rc = make_room(&items, records->service_count, &records->service_room, sizeof(srv));
    records->services = items;
    in->at += 6;
    if (rc == REM_OK)
        rc = take_name(in, &srv.target);
    if (rc == REM_OK)
        records->services[records->service_count++] = srv;
    return rc;
}

static int add_alias(struct rem_dns_records *records, struct reading *in)
{
    char *alias;
    int rc = take_name(in, &alias);

    if (rc != REM_OK)
        return rc;
    free(records->alias);
    records->alias = alias;
    return REM_OK;
}

static int take_record(struct rem_dns_records *records, struct reading *in, enum rem_dns_type type)
{
    const unsigned char *fixed;
    size_t length, end;
    uint32_t ttl;
    int rc = skip_name(in);

    if (rc != REM_OK)
        return rc;
    if (in->n - in->at < RECORD_REST)
        return REM_EPROTO;
    fixed = in->message + in->at;
    length = u16(fixed + 8);
    in->at += RECORD_REST;
    if (in->n - in->at < length)
        return REM_EPROTO;
    end = in->at + length;
    if (u16(fixed + 2) == CLASS_IN && (u16(fixed) == type || u16(fixed) == REM_DNS_CNAME)) {
        ttl = u32(fixed + 4) <= REM_DNS_TTL_MAX ? u32(fixed + 4) : REM_DNS_TTL_MAX;
        if (u16(fixed) == REM_DNS_CNAME)
            rc = add_alias(records, in);
        else if (type == REM_DNS_SRV)
            rc = add_service(records, in, length);
        else
            rc = add_addr(records, in->message + in->at, length, type);
        if (ttl < records->ttl)
            records->ttl = ttl;
    }
    in->at = end;
    return rc;
}

int rem_dns_records_read(struct rem_dns_records *records, const unsigned char *message, size_t n,
                         enum rem_dns_type type)
{
    struct reading in = {message, n, HEADER};
    int rc = REM_OK;

    if (n < HEADER || n > UINT16_MAX || (message[2] & IS_RESPONSE) == 0)
        return REM_EPROTO;
    for (unsigned left = u16(message + 4); left != 0 && rc == REM_OK; left--) {
        rc = skip_name(&in);
        if (rc == REM_OK && (in.at > n || n - in.at < QUESTION_REST))
            rc = REM_EPROTO;
        in.at += QUESTION_REST;
    }
    for (unsigned left = u16(message + 6); left != 0 && rc == REM_OK; left--)
        rc = take_record(records, &in, type);
    return rc;
}
