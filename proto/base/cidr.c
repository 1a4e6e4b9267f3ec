/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/cidr.h"

#include <arpa/inet.h>

enum { LONGEST = INET6_ADDRSTRLEN };

/* Clears the bits behind the prefix.  Returns: whether any was set. */
static bool clear_low(struct rem_cidr *cidr, size_t width)
{
    bool low = false;

    for (size_t i = 0; i < width; i++) {
        size_t first = i * 8;
        uint8_t keep = 0xff;

        if (cidr->bits <= first)
            keep = 0;
        else if (cidr->bits < first + 8)
            keep = (uint8_t)(0xff << (first + 8 - cidr->bits));
        if ((cidr->bytes[i] & (uint8_t)~keep) != 0)
            low = true;
        cidr->bytes[i] &= keep;
    }
    return low;
}

int rem_cidr_parse(struct rem_str text, struct rem_cidr *out, bool *low)
{
    const char *slash = rem_str_chr(text, '/');
    size_t n = slash != NULL ? (size_t)(slash - text.p) : text.n;
    struct rem_cidr made = {.family = AF_UNSPEC};
    char host[LONGEST];
    uint64_t bits, width;

    if (low != NULL)
        *low = false;
    if (rem_str_is(text, "unix:")) {
        *out = (struct rem_cidr){.family = AF_UNIX};
        return REM_OK;
    }
    if (n == 0 || n >= sizeof(host) || memchr(text.p, '\0', n) != NULL)
        return REM_EINVAL;
    memcpy(host, text.p, n);
    host[n] = '\0';
    if (inet_pton(AF_INET, host, made.bytes) == 1)
        made.family = AF_INET;
    else if (inet_pton(AF_INET6, host, made.bytes) == 1)
        made.family = AF_INET6;
    else
        return REM_EINVAL;
    width = made.family == AF_INET ? 4 : 16;
    bits = width * 8;
    if (slash != NULL && rem_str_to_u64(rem_str_skip(text, n + 1), width * 8, &bits) != REM_OK)
        return REM_EINVAL;
    made.bits = (uint8_t)bits;
    if (clear_low(&made, width) && low != NULL)
        *low = true;
    *out = made;
    return REM_OK;
}

/* The bytes of an address, IPv4 where it is mapped. */
static int bytes_of(const struct rem_addr *addr, const uint8_t **bytes)
{
    const struct in6_addr *in6 = &addr->u.in6.sin6_addr;

    switch (rem_addr_family(addr)) {
    case AF_INET:
        *bytes = (const uint8_t *)&addr->u.in.sin_addr;
        return AF_INET;
    case AF_INET6:
        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            *bytes = in6->s6_addr + 12;
            return AF_INET;
        }
        *bytes = in6->s6_addr;
        return AF_INET6;
    default:
        *bytes = NULL;
        return rem_addr_family(addr);
    }
}

void rem_cidr_from_addr(const struct rem_addr *addr, struct rem_cidr *out)
{
    const uint8_t *bytes;

    *out = (struct rem_cidr){.family = bytes_of(addr, &bytes)};
    if (bytes == NULL)
        return;
    out->bits = out->family == AF_INET ? 32 : 128;
    memcpy(out->bytes, bytes, out->bits / 8);
}

bool rem_cidr_has(const struct rem_cidr *cidr, const struct rem_addr *addr)
{
    const uint8_t *bytes;
    int family = bytes_of(addr, &bytes);
    size_t whole = cidr->bits / 8;
    unsigned rest = cidr->bits % 8;

    if (cidr->family == AF_UNSPEC)
        return true;
    if (cidr->family != family)
        return false;
    if (bytes == NULL)
        return true;
    if (memcmp(cidr->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || ((cidr->bytes[whole] ^ bytes[whole]) & (uint8_t)(0xff << (8 - rest))) == 0;
}
