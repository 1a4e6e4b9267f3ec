/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_protocol_fuzz.c - the PROXY protocol's header and its TLVs.
 *
 * Checked: a header found in some bytes is the same with more bytes behind it, and incomplete with
 * fewer; what it says lies within the bytes; it has both addresses or none.  */
#include "proto/wire/proxy_protocol.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first `n` bytes in memory of just that size: reading on is noticed. */
static int parse(const uint8_t *data, size_t n, struct rem_proxy_header *out)
{
    char *copy = malloc(n != 0 ? n : 1);
    int rc;

    REM_CHECK(copy != NULL);
    memcpy(copy, data, n);
    rc = rem_proxy_header_parse(copy, n, out, NULL);
    if (rc == REM_OK) {
        REM_CHECK(out->size <= n && out->tlvs.n <= out->size);
        if (out->tlvs.n != 0)
            out->tlvs.p = (const char *)data + (out->tlvs.p - copy);
    }
    free(copy);
    return rc;
}

static void check_tlvs(struct rem_str tlvs)
{
    struct rem_str value, inner;
    uint32_t verify;

    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        if (rem_proxy_tlv(tlvs, (uint8_t)type, &value) != REM_OK)
            continue;
        REM_CHECK(value.p >= tlvs.p && value.p + value.n <= tlvs.p + tlvs.n);
        if (rem_proxy_ssl_tlv(value, &verify, &inner) == REM_OK)
            (void)!rem_proxy_tlv(inner, (uint8_t)type, &value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_proxy_header whole, part;

    if (parse(data, size, &whole) != REM_OK) {
        REM_CHECK(size < REM_PROXY_MAX || parse(data, size, &whole) != REM_EAGAIN);
        return 0;
    }
    REM_CHECK((whole.src.len == 0) == (whole.dst.len == 0));
    REM_CHECK(parse(data, whole.size, &part) == REM_OK && part.size == whole.size);
    REM_CHECK(parse(data, whole.size - 1, &part) == REM_EAGAIN);
    check_tlvs(whole.tlvs);
    return 0;
}
