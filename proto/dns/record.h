/* SPDX-License-Identifier: Apache-2.0 */
/* record.h - the records of one DNS answer that lead to addresses.
 *
 * Ownership:  struct rem_dns_records owns its arrays until fini.  */
#ifndef REM_DNS_RECORD_H
#define REM_DNS_RECORD_H

#include "proto/base/addr.h"
#include "proto/base/err.h"

enum rem_dns_type {
    REM_DNS_A = 1,
    REM_DNS_CNAME = 5,
    REM_DNS_AAAA = 28,
    REM_DNS_SRV = 33,
};

enum { REM_DNS_RECORDS_MAX = 4096, REM_DNS_TTL_MAX = 7 * 86400 };

struct rem_dns_srv {
    uint16_t priority, weight, port;
    char *target; /* owned */
};

struct rem_dns_records {
    struct rem_addr *addrs; /* port 0 */
    size_t addr_count, addr_room;
    struct rem_dns_srv *services;
    size_t service_count, service_room;
    char *alias;  /* what the last CNAME says; NULL: none */
    uint32_t ttl; /* smallest, in seconds; UINT32_MAX: no record */
};

void rem_dns_records_init(struct rem_dns_records *records);
void rem_dns_records_fini(struct rem_dns_records *records);

/* Adds what the answer section of `message` has of `type`, and aliases, whoever they belong to: a
 * server that answers for an alias lists records under names that were not asked for.
 * Errors: REM_EPROTO (malformed; what came before stays added), REM_ENOMEM. */
int rem_dns_records_read(struct rem_dns_records *records, const unsigned char *message, size_t n,
                         enum rem_dns_type type) REM_MUST_CHECK;

#endif
