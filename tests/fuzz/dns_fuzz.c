/* SPDX-License-Identifier: Apache-2.0 */
/* DNS answers: whatever the bytes are, reading them ends, stays inside, and owns what it keeps. */
#include "proto/dns/record.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum rem_dns_type types[] = {REM_DNS_A, REM_DNS_AAAA, REM_DNS_SRV};
    struct rem_dns_records records;

    rem_dns_records_init(&records);
    for (size_t i = 0; i < REM_COUNT(types); i++) {
        (void)!rem_dns_records_read(&records, data, size, types[i]);
        REM_CHECK(records.addr_count <= REM_DNS_RECORDS_MAX);
        REM_CHECK(records.service_count <= REM_DNS_RECORDS_MAX);
    }
    for (size_t i = 0; i < records.addr_count; i++)
        REM_CHECK(rem_addr_family(&records.addrs[i]) != AF_UNSPEC);
    for (size_t i = 0; i < records.service_count; i++)
        REM_CHECK(strlen(records.services[i].target) < 1100);
    rem_dns_records_fini(&records);
    return 0;
}
