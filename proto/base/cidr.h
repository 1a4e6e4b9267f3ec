/* SPDX-License-Identifier: Apache-2.0 */
/* cidr.h - ranges of addresses: "10.0.0.0/8", "2001:db8::/32", a single address, "unix:", "all". */
#ifndef REM_BASE_CIDR_H
#define REM_BASE_CIDR_H

#include "proto/base/addr.h"

struct rem_cidr {
    int family;   /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC: every address ("all") */
    uint8_t bits; /* of `bytes` that count */
    uint8_t bytes[16];
};

/* An address or a range, or "unix:"; "all" is for the caller.  `*low` (may be NULL): bits behind
 * the prefix were set, and have been cleared.  Errors: REM_EINVAL. */
int rem_cidr_parse(struct rem_str text, struct rem_cidr *out, bool *low) REM_MUST_CHECK;

/* One address as a range, whatever its port. */
void rem_cidr_from_addr(const struct rem_addr *addr, struct rem_cidr *out);

/* An IPv4 address mapped into IPv6 is taken for the IPv4 address. */
bool rem_cidr_has(const struct rem_cidr *cidr, const struct rem_addr *addr);

#endif
