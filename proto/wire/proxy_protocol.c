/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/proxy_protocol.h"

#include <arpa/inet.h>

/* The twelve bytes that begin version 2. */
static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    SIGNATURE = sizeof(signature) - 1,
    V2_HEAD = SIGNATURE + 4, /* version and command, family and transport, length */
    TLV_HEAD = 3,
    SSL_HEAD = 5, /* of its TLV's value: flags, result of verification */
};

static unsigned be16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static int broken(const char **reason, const char *text)
{
    if (reason != NULL)
        *reason = text;
    return REM_EPROTO;
}

/* ---- version 1 ---- */

/* Takes the text up to the next space, or up to the end. */
static bool next_word(struct rem_str *rest, struct rem_str *word)
{
    const char *space = rem_str_chr(*rest, ' ');
    size_t n = space != NULL ? (size_t)(space - rest->p) : rest->n;

    *word = rem_str_make(rest->p, n);
    *rest = rem_str_skip(*rest, space != NULL ? n + 1 : n);
    return n != 0;
}

static bool set_host(struct rem_addr *addr, char text[INET6_ADDRSTRLEN], int family,
                     struct rem_str host)
{
    if (host.n >= INET6_ADDRSTRLEN)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    *addr = (struct rem_addr){0};
    addr->u.sa.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        addr->len = sizeof(addr->u.in);
        return inet_pton(AF_INET, text, &addr->u.in.sin_addr) == 1;
    }
    addr->len = sizeof(addr->u.in6);
    return inet_pton(AF_INET6, text, &addr->u.in6.sin6_addr) == 1;
}

static bool set_port(struct rem_addr *addr, struct rem_str text)
{
    uint64_t port;

    if (rem_str_to_u64(text, UINT16_MAX, &port) != REM_OK)
        return false;
    rem_addr_set_port(addr, (uint16_t)port);
    return true;
}

/* "TCP4 1.2.3.4 5.6.7.8 1000 80", as it stands between "PROXY " and the line's end. */
static bool parse_line(struct rem_str line, struct rem_proxy_header *out)
{
    struct rem_str family, src, dst, src_port, dst_port;
    const char *end = line.p + line.n;
    int af;

    if (!next_word(&line, &family))
        return false;
    if (rem_str_is(family, "UNKNOWN"))
        return true; /* whatever follows is to be ignored */
    if (rem_str_is(family, "TCP4"))
        af = AF_INET;
    else if (rem_str_is(family, "TCP6"))
        af = AF_INET6;
    else
        return false;
    return next_word(&line, &src) && next_word(&line, &dst) && next_word(&line, &src_port) &&
           next_word(&line, &dst_port) && dst_port.p + dst_port.n == end &&
           set_host(&out->src, out->src_text, af, src) &&
           set_host(&out->dst, out->dst_text, af, dst) && set_port(&out->src, src_port) &&
           set_port(&out->dst, dst_port);
}

static int parse_v1(struct rem_str bytes, struct rem_proxy_header *out, const char **reason)
{
    static const char word[] = "PROXY ";
    size_t known = bytes.n < sizeof(word) - 1 ? bytes.n : sizeof(word) - 1;
    const char *end;

    if (memcmp(bytes.p, word, known) != 0)
        return broken(reason, "broken header");
    if (bytes.n > REM_PROXY_V1_MAX)
        bytes.n = REM_PROXY_V1_MAX;
    end = rem_str_chr(bytes, '\n');
    if (end == NULL)
        return bytes.n < REM_PROXY_V1_MAX ? REM_EAGAIN : broken(reason, "broken header");
    if (end[-1] != '\r')
        return broken(reason, "broken header");
    out->size = (size_t)(end - bytes.p) + 1;
    if (!parse_line(rem_str_make(bytes.p + known, out->size - known - 2), out))
        return broken(reason, "broken header");
    return REM_OK;
}

/* ---- version 2 ---- */

static void set_bytes(struct rem_addr *addr, int family, const char *host, const char *port)
{
    *addr = (struct rem_addr){0};
    addr->u.sa.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        addr->len = sizeof(addr->u.in);
        memcpy(&addr->u.in.sin_addr, host, 4);
    } else {
        addr->len = sizeof(addr->u.in6);
        memcpy(&addr->u.in6.sin6_addr, host, 16);
    }
    rem_addr_set_port(addr, (uint16_t)be16(port));
}

/* Whether the TLVs fill their room exactly. */
static bool tlvs_fit(struct rem_str tlvs)
{
    while (tlvs.n != 0) {
        size_t n;

        if (tlvs.n < TLV_HEAD)
            return false;
        n = be16(tlvs.p + 1);
        if (tlvs.n - TLV_HEAD < n)
            return false;
        tlvs = rem_str_skip(tlvs, TLV_HEAD + n);
    }
    return true;
}

/* What follows the head: two addresses, two ports, TLVs. */
static int parse_addresses(struct rem_str rest, unsigned family, struct rem_proxy_header *out,
                           const char **reason)
{
    size_t width = family == 1 ? 4 : 16;
    int af = family == 1 ? AF_INET : AF_INET6;

    if (rest.n < 2 * width + 4)
        return broken(reason, "header is too small");
    set_bytes(&out->src, af, rest.p, rest.p + 2 * width);
    set_bytes(&out->dst, af, rest.p + width, rest.p + 2 * width + 2);
    rem_addr_host_text(&out->src, out->src_text, sizeof(out->src_text));
    rem_addr_host_text(&out->dst, out->dst_text, sizeof(out->dst_text));
    out->tlvs = rem_str_skip(rest, 2 * width + 4);
    return REM_OK;
}

static int parse_v2(struct rem_str bytes, struct rem_proxy_header *out, const char **reason)
{
    unsigned version, command, family, transport;
    struct rem_str rest;
    size_t n;

    if (bytes.n < V2_HEAD)
        return REM_EAGAIN;
    version = (unsigned char)bytes.p[SIGNATURE] >> 4;
    command = (unsigned char)bytes.p[SIGNATURE] & 0xf;
    family = (unsigned char)bytes.p[SIGNATURE + 1] >> 4;
    transport = (unsigned char)bytes.p[SIGNATURE + 1] & 0xf;
    n = be16(bytes.p + SIGNATURE + 2);
    if (version != 2)
        return broken(reason, "unknown PROXY protocol version");
    if (command > 1)
        return broken(reason, "unknown PROXY protocol command");
    if (n > REM_PROXY_V2_MAX - V2_HEAD)
        return broken(reason, "header is too large");
    if (bytes.n - V2_HEAD < n)
        return REM_EAGAIN;
    out->size = V2_HEAD + n;
    rest = rem_str_make(bytes.p + V2_HEAD, n);
    /* Of the proxy's own connections (LOCAL), and of what is not TCP over IP, all is skipped. */
    if (command == 1 && transport == 1 && (family == 1 || family == 2)) {
        int rc = parse_addresses(rest, family, out, reason);

        if (rc != REM_OK)
            return rc;
    }
    return tlvs_fit(out->tlvs) ? REM_OK : broken(reason, "broken TLV in header");
}

int rem_proxy_header_parse(const char *p, size_t n, struct rem_proxy_header *out,
                           const char **reason)
{
    struct rem_proxy_header made = {.size = 0, .tlvs = REM_STR("")};
    struct rem_str bytes = rem_str_make(p, n);
    size_t known = n < SIGNATURE ? n : SIGNATURE;
    int rc;

    if (n == 0)
        return REM_EAGAIN;
    rc = memcmp(p, signature, known) == 0 ? parse_v2(bytes, &made, reason)
                                          : parse_v1(bytes, &made, reason);
    if (rc == REM_OK)
        *out = made;
    return rc;
}

/* ---- TLVs ---- */

int rem_proxy_tlv(struct rem_str tlvs, uint8_t type, struct rem_str *out)
{
    while (tlvs.n >= TLV_HEAD) {
        size_t n = be16(tlvs.p + 1);

        if (tlvs.n - TLV_HEAD < n)
            break;
        if ((uint8_t)tlvs.p[0] == type) {
            *out = rem_str_make(tlvs.p + TLV_HEAD, n);
            return REM_OK;
        }
        tlvs = rem_str_skip(tlvs, TLV_HEAD + n);
    }
    return REM_ENOTFOUND;
}

int rem_proxy_ssl_tlv(struct rem_str value, uint32_t *verify, struct rem_str *tlvs)
{
    if (value.n < SSL_HEAD)
        return REM_EPROTO;
    *verify = (uint32_t)be16(value.p + 1) << 16 | be16(value.p + 3);
    *tlvs = rem_str_skip(value, SSL_HEAD);
    return REM_OK;
}

static int parse_hex(struct rem_str digits, uint8_t *out)
{
    unsigned value = 0;

    if (digits.n == 0)
        return REM_EINVAL;
    for (size_t i = 0; i < digits.n; i++) {
        int digit = rem_hex_value(digits.p[i]);

        if (digit < 0)
            return REM_EINVAL;
        value = value << 4 | (unsigned)digit;
        if (value > UINT8_MAX)
            return REM_EINVAL;
    }
    *out = (uint8_t)value;
    return REM_OK;
}

int rem_proxy_tlv_type(struct rem_str name, bool in_ssl, uint8_t *out)
{
    static const struct {
        const char *name;
        uint8_t type;
        bool in_ssl;
    } types[] = {
        {"alpn", 0x01, false},   {"authority", 0x02, false}, {"unique_id", 0x05, false},
        {"ssl", 0x20, false},    {"netns", 0x30, false},     {"version", 0x21, true},
        {"cn", 0x22, true},      {"cipher", 0x23, true},     {"sig_alg", 0x24, true},
        {"key_alg", 0x25, true},
    };

    if (rem_str_has_prefix(name, REM_STR("0x")))
        return parse_hex(rem_str_skip(name, 2), out);
    for (size_t i = 0; i < REM_COUNT(types); i++) {
        if (types[i].in_ssl == in_ssl && rem_str_is(name, types[i].name)) {
            *out = types[i].type;
            return REM_OK;
        }
    }
    return REM_EINVAL;
}
