/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/dns/record.h"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

/* A message in the making. */
static unsigned char message[2048];
static size_t length;

static void put(const void *bytes, size_t n)
{
    memcpy(message + length, bytes, n);
    length += n;
}

static void put16(unsigned n)
{
    const unsigned char bytes[] = {(unsigned char)(n >> 8), (unsigned char)n};

    put(bytes, 2);
}

#define NAME "\3app\4test"

/* A header and the question "app.test". */
static void begin(unsigned answers)
{
    length = 0;
    put16(1);
    put16(0x8180);
    put16(1);
    put16(answers);
    put16(0);
    put16(0);
    put(NAME, sizeof(NAME));
    put16(1);
    put16(1);
}

static void answer(unsigned type, unsigned ttl, const void *data, size_t n)
{
    put16(0xc00c);
    put16(type);
    put16(1);
    put16(ttl >> 16);
    put16(ttl & 0xffff);
    put16((unsigned)n);
    put(data, n);
}

static struct rem_dns_records records;

static int read_as(enum rem_dns_type type)
{
    return rem_dns_records_read(&records, message, length, type);
}

static void setup(void)
{
    rem_dns_records_init(&records);
}

static void teardown(void)
{
    rem_dns_records_fini(&records);
}

START_TEST(reads_addresses)
{
    char text[REM_ADDR_TEXT];

    begin(4);
    answer(REM_DNS_A, 300, "\x7f\0\0\1", 4);
    answer(16, 1, "\3txt", 4); /* others are stepped over, their TTL too */
    answer(REM_DNS_AAAA, 2, "0123456789abcdef", 16);
    answer(REM_DNS_A, 200, "\x7f\0\0\2", 4);
    ck_assert_int_eq(read_as(REM_DNS_A), REM_OK);
    ck_assert_uint_eq(records.addr_count, 2);
    ck_assert_uint_eq(records.ttl, 200);
    rem_addr_host_text(&records.addrs[1], text, sizeof(text));
    ck_assert_str_eq(text, "127.0.0.2");
    ck_assert_ptr_null(records.alias);
    ck_assert_int_eq(read_as(REM_DNS_AAAA), REM_OK); /* adds */
    ck_assert_uint_eq(records.addr_count, 3);
    ck_assert_uint_eq(records.ttl, 2);
    ck_assert_int_eq(records.addrs[2].u.sa.sa_family, AF_INET6);
}
END_TEST

START_TEST(reads_aliases_and_services)
{
    begin(3);
    answer(REM_DNS_CNAME, 9, "\5other\xc0\x10", 8);
    answer(REM_DNS_SRV, 7, "\0\1\0\2\x1f\x90\1h\xc0\x0c", 10);
    answer(REM_DNS_SRV, 7, "\0\0\0\0\0\0\0", 7);
    ck_assert_int_eq(read_as(REM_DNS_SRV), REM_OK);
    ck_assert_str_eq(records.alias, "other.test");
    ck_assert_uint_eq(records.service_count, 2);
    ck_assert_uint_eq(records.services[0].priority, 1);
    ck_assert_uint_eq(records.services[0].weight, 2);
    ck_assert_uint_eq(records.services[0].port, 8080);
    ck_assert_str_eq(records.services[0].target, "h.app.test");
    ck_assert_str_eq(records.services[1].target, "");
    ck_assert_uint_eq(records.ttl, 7);
}
END_TEST

START_TEST(caps_times)
{
    begin(1);
    answer(REM_DNS_A, 0xffffffffu, "\x7f\0\0\1", 4);
    ck_assert_int_eq(read_as(REM_DNS_A), REM_OK);
    ck_assert_uint_eq(records.ttl, REM_DNS_TTL_MAX);
}
END_TEST

/* Cut anywhere, a message is malformed and nothing behind its end is read. */
START_TEST(refuses_what_is_cut)
{
    begin(2);
    answer(REM_DNS_A, 300, "\x7f\0\0\1", 4);
    answer(REM_DNS_CNAME, 300, "\5other\xc0\x10", 8);
    for (size_t n = 0; n < length; n++) {
        unsigned char *copy = malloc(n + 1); /* for the sanitizer */
        memcpy(copy, message, n);
        ck_assert_int_eq(rem_dns_records_read(&records, copy, n, REM_DNS_A), REM_EPROTO);
        free(copy);
        rem_dns_records_fini(&records);
    }
    ck_assert_int_eq(read_as(REM_DNS_A), REM_OK);
}
END_TEST

static const struct {
    enum rem_dns_type type;
    const char *data;
    size_t n;
} bad[] = {
    {REM_DNS_A, "\x7f\0\0", 3},      {REM_DNS_A, "\x7f\0\0\1\1", 5},
    {REM_DNS_AAAA, "\x7f\0\0\1", 4}, {REM_DNS_SRV, "\0\1\0\2\x1f\x90", 6},
    {REM_DNS_CNAME, "\xc0\xff", 2}, /* beyond the end */
    {REM_DNS_CNAME, "\xc0\x26", 2}, /* to itself */
    {REM_DNS_CNAME, "\x3fno", 3},
};

START_TEST(refuses_bad_records)
{
    begin(1);
    answer(bad[_i].type, 1, bad[_i].data, bad[_i].n);
    ck_assert_int_eq(read_as(bad[_i].type), REM_EPROTO);
}
END_TEST

START_TEST(takes_no_more_than_so_many)
{
    static unsigned char huge[65535];

    memset(huge, 0, sizeof(huge));
    huge[2] = 0x80;
    huge[6] = 0xff; /* answers without names: 0.0.0.0 of root */
    huge[7] = 0xff;
    for (size_t at = 12; at + 15 <= sizeof(huge); at += 15) {
        huge[at + 2] = REM_DNS_A;
        huge[at + 4] = 1;
        huge[at + 10] = 4;
    }
    ck_assert_int_eq(rem_dns_records_read(&records, huge, sizeof(huge), REM_DNS_A), REM_EPROTO);
    ck_assert_uint_eq(records.addr_count, REM_DNS_RECORDS_MAX);
}
END_TEST

START_TEST(refuses_questions)
{
    begin(1);
    answer(REM_DNS_A, 60, "\1\2\3\4", 4);
    ck_assert_int_eq(read_as(REM_DNS_A), REM_OK);
    message[2] &= 0x7f;
    ck_assert_int_eq(read_as(REM_DNS_A), REM_EPROTO);
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, reads_addresses);
    tcase_add_test(all, reads_aliases_and_services);
    tcase_add_test(all, caps_times);
    tcase_add_test(all, refuses_what_is_cut);
    tcase_add_loop_test(all, refuses_bad_records, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(all, takes_no_more_than_so_many);
    tcase_add_test(all, refuses_questions);
    return run_suite("record", all);
}
