/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/proxy_protocol.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

#define SIG   "\r\n\r\n\0\r\nQUIT\n"
#define ADDR4 "\300\0\2\1\300\0\2\2\0\173\026\056" /* 192.0.2.1:123 to 192.0.2.2:5678 */

#define BYTES(literal) literal, sizeof(literal) - 1

/* Parses a copy that ends where the bytes end, so that reading too far is found. */
static int parse(const char *bytes, size_t n, struct rem_proxy_header *out, const char **reason)
{
    char *copy = malloc(n != 0 ? n : 1);
    int rc;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, n);
    rc = rem_proxy_header_parse(copy, n, out, reason);
    if (rc == REM_OK && out->tlvs.n != 0)
        out->tlvs.p = bytes + (out->tlvs.p - copy);
    free(copy);
    return rc;
}

static const char *text_of(const struct rem_addr *addr, char *buf)
{
    if (addr->len == 0)
        return "-";
    rem_addr_text(addr, buf, REM_ADDR_TEXT);
    return buf;
}

/* Every header also arrives byte by byte: incomplete until its last byte is there. */
START_TEST(test_good)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *src, *dst;
        size_t tlvs;
    } cases[] = {
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 65535\r\n"), "1.2.3.4:1", "5.6.7.8:65535", 0},
        {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
         "255.255.255.255:65535", "255.255.255.255:65535", 0},
        {BYTES("PROXY TCP6 2001:DB8::1 ::2 123 5678\r\n"), "[2001:db8::1]:123", "[::2]:5678", 0},
        {BYTES("PROXY UNKNOWN\r\n"), "-", "-", 0},
        {BYTES("PROXY UNKNOWN what ever 1 2 3 4 5 6\r\n"), "-", "-", 0},
        {BYTES(SIG "\x21\x11\0\014" ADDR4), "192.0.2.1:123", "192.0.2.2:5678", 0},
        {BYTES(SIG
               "\x21\x21\0\044 \1\r\270\0\0\0\0\0\0\0\0\0\0\0\1 \1\r\270\0\0\0\0\0\0\0\0\0\0\0\2"
               "\0\173\026\056"),
         "[2001:db8::1]:123", "[2001:db8::2]:5678", 0},
        {BYTES(SIG "\x21\x11\0\023" ADDR4 "\1\0\0\2\0\1x"), "192.0.2.1:123", "192.0.2.2:5678", 7},
        {BYTES(SIG "\x20\x11\0\014" ADDR4), "-", "-", 0}, /* LOCAL */
        {BYTES(SIG "\x21\x12\0\014" ADDR4), "-", "-", 0}, /* UDP */
        {BYTES(SIG "\x21\x01\0\0"), "-", "-", 0},         /* no family */
        {BYTES(SIG "\x21\x41\0\4\1\2\3\4"), "-", "-", 0}, /* a family to come */
        {BYTES(SIG "\x21\x31\0\3abc"), "-", "-", 0},      /* unix */
    };
    char a[REM_ADDR_TEXT], b[REM_ADDR_TEXT];

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_proxy_header header;

        for (size_t n = 0; n < cases[i].n; n++)
            ck_assert_msg(parse(cases[i].bytes, n, &header, NULL) == REM_EAGAIN, "%zu at %zu", i,
                          n);
        ck_assert_msg(parse(cases[i].bytes, cases[i].n, &header, NULL) == REM_OK, "%zu", i);
        ck_assert_uint_eq(header.size, cases[i].n);
        ck_assert_str_eq(text_of(&header.src, a), cases[i].src);
        ck_assert_str_eq(text_of(&header.dst, b), cases[i].dst);
        ck_assert_uint_eq(header.tlvs.n, cases[i].tlvs);
    }
}
END_TEST

START_TEST(test_what_follows_is_left)
{
    static const char bytes[] = "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nPROXY TCP4 GET / \n";
    struct rem_proxy_header header;

    ck_assert_int_eq(parse(BYTES(bytes), &header, NULL), REM_OK);
    ck_assert_uint_eq(header.size, 32);
}
END_TEST

/* As sent in version 1, whose text is an address already. */
START_TEST(test_spelling)
{
    struct rem_proxy_header header;

    ck_assert_int_eq(parse(BYTES("PROXY TCP6 2001:DB8::1 0:0::2 1 2\r\n"), &header, NULL), REM_OK);
    ck_assert_str_eq(header.src_text, "2001:DB8::1");
    ck_assert_str_eq(header.dst_text, "0:0::2");
    ck_assert_int_eq(parse(BYTES(SIG "\x21\x11\0\014" ADDR4), &header, NULL), REM_OK);
    ck_assert_str_eq(header.src_text, "192.0.2.1");
    ck_assert_str_eq(header.dst_text, "192.0.2.2");
    ck_assert_int_eq(parse(BYTES("PROXY UNKNOWN\r\n"), &header, NULL), REM_OK);
    ck_assert_str_eq(header.src_text, "");
}
END_TEST

START_TEST(test_bad)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *reason;
    } cases[] = {
        {BYTES("GET / HTTP/1.1\r\n"), "broken header"},
        {BYTES("P!"), "broken header"},
        {BYTES("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), "broken header"},
        {BYTES("PROXY \n"), "broken header"},
        {BYTES("PROXY \r\n"), "broken header"},
        {BYTES("PROXY TCP4\r\n"), "broken header"},
        {BYTES("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n"), "broken header"},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r2\r\n"), "broken header"},
        {BYTES("\r\n\r\n\0\r\nQUIT\r"), "broken header"},
        {BYTES(SIG "\x11\x11\0\014"), "unknown PROXY protocol version"},
        {BYTES(SIG "\x31\x11\0\014"), "unknown PROXY protocol version"},
        {BYTES(SIG "\x22\x11\0\014"), "unknown PROXY protocol command"},
        {BYTES(SIG "\x21\x11\x0f\xf1"), "header is too large"},
        {BYTES(SIG "\x21\x11\xff\xff"), "header is too large"},
        {BYTES(SIG "\x21\x11\0\013\0\0\0\0\0\0\0\0\0\0\0"), "header is too small"},
        {BYTES(SIG "\x21\x21\0\014" ADDR4), "header is too small"},
        {BYTES(SIG "\x21\x11\0\016" ADDR4 "\1\0"), "broken TLV in header"},
        {BYTES(SIG "\x21\x11\0\020" ADDR4 "\1\0\2x"), "broken TLV in header"},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_proxy_header header = {.size = 77};
        const char *reason = "none";

        ck_assert_msg(parse(cases[i].bytes, cases[i].n, &header, &reason) == REM_EPROTO, "%zu: %s",
                      i, cases[i].bytes);
        ck_assert_str_eq(reason, cases[i].reason);
        ck_assert_uint_eq(header.size, 77);
    }
}
END_TEST

/* A line never asks for more than version 1 allows, however long it goes on. */
START_TEST(test_limits)
{
    static char line[REM_PROXY_V1_MAX + 2];
    struct rem_proxy_header header;

    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    ck_assert_int_eq(parse(line, REM_PROXY_V1_MAX - 1, &header, NULL), REM_EAGAIN);
    ck_assert_int_eq(parse(line, REM_PROXY_V1_MAX, &header, NULL), REM_EPROTO);
    memcpy(line + REM_PROXY_V1_MAX - 1, "\r\n", 2); /* one too long */
    ck_assert_int_eq(parse(line, REM_PROXY_V1_MAX + 1, &header, NULL), REM_EPROTO);
    memcpy(line + REM_PROXY_V1_MAX - 2, "\r\n", 2);
    ck_assert_int_eq(parse(line, REM_PROXY_V1_MAX, &header, NULL), REM_OK);
    ck_assert_uint_eq(header.size, REM_PROXY_V1_MAX);
}
END_TEST

START_TEST(test_longest_v2)
{
    static char bytes[REM_PROXY_V2_MAX] = SIG "\x21\x11\x0f\xf0" ADDR4 "\xea\x0f\xe1";
    struct rem_proxy_header header;
    struct rem_str value;

    ck_assert_int_eq(parse(bytes, sizeof(bytes) - 1, &header, NULL), REM_EAGAIN);
    ck_assert_int_eq(parse(bytes, sizeof(bytes), &header, NULL), REM_OK);
    ck_assert_int_eq(rem_proxy_tlv(header.tlvs, 0xea, &value), REM_OK);
    ck_assert_uint_eq(value.n, 0xfe1);
}
END_TEST

START_TEST(test_tlvs)
{
    static const char bytes[] = "\1\0\2h2\5\0\0\x20\0\015\1\0\0\1\2\x22\0\2cn\x21\0\0\1\0\1x";
    struct rem_str tlvs = rem_str_make(bytes, sizeof(bytes) - 2), value, inner;
    uint32_t verify = 0;

    ck_assert_int_eq(rem_proxy_tlv(tlvs, 1, &value), REM_OK);
    ck_assert(rem_str_is(value, "h2"));
    ck_assert_int_eq(rem_proxy_tlv(tlvs, 5, &value), REM_OK);
    ck_assert_uint_eq(value.n, 0);
    ck_assert_int_eq(rem_proxy_tlv(tlvs, 6, &value), REM_ENOTFOUND);
    ck_assert_int_eq(rem_proxy_tlv(tlvs, 0x20, &value), REM_OK);
    ck_assert_int_eq(rem_proxy_ssl_tlv(value, &verify, &inner), REM_OK);
    ck_assert_uint_eq(verify, 0x102);
    ck_assert_int_eq(rem_proxy_tlv(inner, 0x22, &value), REM_OK);
    ck_assert(rem_str_is(value, "cn"));
    ck_assert_int_eq(rem_proxy_ssl_tlv(REM_STR("abcd"), &verify, &inner), REM_EPROTO);
    /* Cut anywhere, nothing is read behind the end. */
    for (size_t n = 0; n < sizeof(bytes); n++)
        (void)!rem_proxy_tlv(rem_str_make(bytes, n), 0xff, &value);
}
END_TEST

START_TEST(test_names)
{
    static const struct {
        const char *name;
        bool in_ssl;
        int type; /* -1: none */
    } cases[] = {
        {"alpn", false, 1},      {"authority", false, 2}, {"unique_id", false, 5},
        {"ssl", false, 0x20},    {"netns", false, 0x30},  {"version", true, 0x21},
        {"cn", true, 0x22},      {"cipher", true, 0x23},  {"sig_alg", true, 0x24},
        {"key_alg", true, 0x25}, {"0x3", false, 3},       {"0x000ae", false, 0xae},
        {"0xFF", true, 0xff},    {"0x", false, -1},       {"0x100", false, -1},
        {"0xg", false, -1},      {"cn", false, -1},       {"alpn", true, -1},
        {"", false, -1},         {"x", false, -1},        {"0x00000000000000001", false, 1},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        uint8_t type = 0;
        int rc = rem_proxy_tlv_type(rem_str_from(cases[i].name), cases[i].in_ssl, &type);

        ck_assert_msg((rc == REM_OK ? type : -1) == cases[i].type, "%s", cases[i].name);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("proxy_protocol");

    tcase_add_test(tests, test_good);
    tcase_add_test(tests, test_what_follows_is_left);
    tcase_add_test(tests, test_spelling);
    tcase_add_test(tests, test_bad);
    tcase_add_test(tests, test_limits);
    tcase_add_test(tests, test_longest_v2);
    tcase_add_test(tests, test_tlvs);
    tcase_add_test(tests, test_names);
    return run_suite("proxy_protocol", tests);
}
