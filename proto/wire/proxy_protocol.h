/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_protocol.h - the PROXY protocol's header, versions 1 and 2, as a proxy before us sends it.
 *
 * Runs in:    workers.  No I/O: bytes in, meaning out.
 * Strict:     a header is complete and correct, or the connection is not to be trusted.  Unknown
 *             address families and LOCAL connections have no addresses, which is no fault.
 * Not here:   reading it from a connection (proxy/http), writing it.  */
#ifndef REM_WIRE_PROXY_PROTOCOL_H
#define REM_WIRE_PROXY_PROTOCOL_H

#include "proto/base/addr.h"

enum {
    REM_PROXY_V1_MAX = 107,  /* of the specification: the line with its CRLF */
    REM_PROXY_V2_MAX = 4096, /* ours: head, addresses and TLVs */
    REM_PROXY_MAX = REM_PROXY_V2_MAX,
};

struct rem_proxy_header {
    size_t size;         /* bytes it took */
    struct rem_addr src; /* len 0: not told */
    struct rem_addr dst;
    /* The addresses as version 1 spells them, for version 2 as usual; empty: not told. */
    char src_text[INET6_ADDRSTRLEN], dst_text[INET6_ADDRSTRLEN];
    struct rem_str tlvs; /* borrowed from the bytes parsed; empty: none */
};

/* Parses what has arrived.  Returns: REM_OK; REM_EAGAIN: more bytes are needed (there are fewer
 * than REM_PROXY_MAX); REM_EPROTO: no header, or a broken one, with a text in *reason (may be
 * NULL): "broken header" and its like. */
int rem_proxy_header_parse(const char *p, size_t n, struct rem_proxy_header *out,
                           const char **reason) REM_MUST_CHECK;

/* The value of the first TLV of a type.  Errors: REM_ENOTFOUND. */
int rem_proxy_tlv(struct rem_str tlvs, uint8_t type, struct rem_str *out) REM_MUST_CHECK;

/* Of the SSL TLV's value: its result of verification, and the TLVs within.
 * Errors: REM_EPROTO (too short). */
int rem_proxy_ssl_tlv(struct rem_str value, uint32_t *verify, struct rem_str *tlvs) REM_MUST_CHECK;

/* The type of a name: "alpn", "authority", "unique_id", "ssl", "netns", "0xea"; with `in_ssl`
 * "version", "cn", "cipher", "sig_alg", "key_alg", "0x21".  Errors: REM_EINVAL. */
int rem_proxy_tlv_type(struct rem_str name, bool in_ssl, uint8_t *out) REM_MUST_CHECK;

#endif
