/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/put.h"

#include "proto/base/err.h"
#include "proto/wire/h1.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

static void write_all(struct rem_put *put, const struct rem_fields *fields)
{
    rem_put_status_line(put, 404, REM_STR(""));
    rem_put_status_line(put, 299, REM_STR("Odd"));
    rem_put_status_line(put, 599, REM_STR(""));
    rem_put_request_line(put, REM_STR("GET"), REM_STR("/x"), 1);
    rem_put_request_line(put, REM_STR("PUT"), REM_STR("*"), 0);
    rem_put_fields(put, fields);
    REM_PUT_FIELD(put, "Empty", REM_STR(""));
    rem_put_field_u64(put, REM_STR("Length"), UINT64_MAX);
    rem_put_u64(put, 0);
    rem_put_char(put, ' ');
    rem_put_u64(put, 1234567890);
    rem_put_char(put, ' ');
    rem_put_hex(put, 0);
    rem_put_hex(put, 0xabcdef0123456789);
    REM_PUT(put, " end");
    rem_put_crlf(put);
}

static const char all[] = "HTTP/1.1 404 Not Found\r\n"
                          "HTTP/1.1 299 Odd\r\n"
                          "HTTP/1.1 599 \r\n"
                          "GET /x HTTP/1.1\r\n"
                          "PUT * HTTP/1.0\r\n"
                          "A: 1\r\n"
                          "C: \r\n"
                          "Empty: \r\n"
                          "Length: 18446744073709551615\r\n"
                          "0 1234567890 0abcdef0123456789 end\r\n";

/* Written whole where there is room, and never past the end where there is not. */
START_TEST(every_size)
{
    struct rem_arena arena;
    struct rem_fields fields;

    rem_arena_init(&arena, NULL);
    rem_fields_init(&fields, &arena);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("A"), REM_STR("1")), REM_OK);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("Connection"), REM_STR("b")), REM_OK);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("C"), REM_STR("")), REM_OK);
    ck_assert_uint_ge(rem_put_fields_size(&fields), sizeof("A: 1\r\nC: \r\n") - 1);
    for (size_t size = 0; size <= sizeof(all) + 2; size++) {
        char *memory = malloc(size ? size : 1);
        struct rem_put put;
        struct rem_str got;

        rem_put_init(&put, memory, size);
        write_all(&put, &fields);
        got = rem_put_str(&put);
        ck_assert_int_eq(put.full, size < sizeof(all) - 1);
        ck_assert(memcmp(got.p, all, got.n) == 0);
        if (!put.full)
            ck_assert_uint_eq(got.n, sizeof(all) - 1);
        free(memory);
    }
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(reasons)
{
    for (unsigned code = 0; code < 1000; code++) {
        struct rem_str reason = rem_status_reason(code);
        char memory[100];
        struct rem_put put;

        rem_put_init(&put, memory, sizeof(memory));
        rem_put_status_line(&put, code, REM_STR(""));
        ck_assert_uint_le(rem_put_str(&put).n, rem_put_status_line_size(REM_STR("")));
        ck_assert(rem_put_is_value(reason));
    }
    ck_assert(rem_str_is(rem_status_reason(100), "Continue"));
    ck_assert(rem_str_is(rem_status_reason(200), "OK"));
    ck_assert(rem_str_is(rem_status_reason(502), "Bad Gateway"));
    ck_assert(rem_str_is(rem_status_reason(511), "Network Authentication Required"));
    ck_assert_uint_eq(rem_status_reason(99).n, 0);
    ck_assert_uint_eq(rem_status_reason(299).n, 0);
    ck_assert_uint_eq(rem_status_reason(999).n, 0);
}
END_TEST

START_TEST(checks_of_text)
{
    ck_assert(rem_put_is_value(REM_STR("")));
    ck_assert(rem_put_is_value(REM_STR("a\tb c\x80")));
    ck_assert(!rem_put_is_value(REM_STR("a\r\nX: y")));
    ck_assert(!rem_put_is_value(REM_STR("a\0")));
    ck_assert(rem_put_is_token(REM_STR("X-A_b.c")));
    ck_assert(!rem_put_is_token(REM_STR("")));
    ck_assert(!rem_put_is_token(REM_STR("a:b")));
    ck_assert(!rem_put_is_token(REM_STR("a b")));
}
END_TEST

static struct rem_str random_text(struct rem_arena *arena, unsigned *seed, const char *set,
                                  size_t most)
{
    size_t n = 1 + (size_t)rand_r(seed) % most;
    char *p = rem_arena_alloc(arena, n);

    for (size_t i = 0; i < n; i++)
        p[i] = set[(size_t)rand_r(seed) % strlen(set)];
    return rem_str_make(p, n);
}

/* A head that was written reads back as what was written. */
START_TEST(heads_survive_a_round_trip)
{
    unsigned seed = 7;
    char memory[8192];

    for (int turn = 0; turn < 2000; turn++) {
        struct rem_arena arena;
        struct rem_fields fields;
        struct rem_h1_request req;
        struct rem_put put;
        struct rem_str method, target;
        int count = rand_r(&seed) % 40;

        rem_arena_init(&arena, NULL);
        rem_fields_init(&fields, &arena);
        method = random_text(&arena, &seed, "ABCXYZ", 12);
        target = random_text(&arena, &seed, "abc/%?&=#~", 60);
        ((char *)(uintptr_t)target.p)[0] = '/';
        ck_assert_int_eq(rem_fields_add(&fields, REM_STR("Host"), REM_STR("h")), REM_OK);
        for (int i = 0; i < count; i++) {
            struct rem_str name = random_text(&arena, &seed, "Xabc-0", 24);
            struct rem_str value = random_text(&arena, &seed, "v:,;\"\\\xff=", 80);

            ck_assert_int_eq(rem_fields_add(&fields, name, value), REM_OK);
        }
        rem_put_init(&put, memory, sizeof(memory));
        rem_put_request_line(&put, method, target, 1);
        rem_put_fields(&put, &fields);
        rem_put_crlf(&put);
        ck_assert(!put.full);
        rem_h1_request_init(&req, &rem_h1_limits_default, &arena);
        ck_assert_int_eq(rem_h1_request_parse(&req, memory, rem_put_str(&put).n), REM_OK);
        ck_assert_uint_eq(req.head.head_size, rem_put_str(&put).n);
        ck_assert(rem_str_eq(req.method_text, method));
        ck_assert(rem_str_eq(req.target, target));
        ck_assert_uint_eq(req.head.fields.n, fields.n);
        for (uint32_t i = 0; i < fields.n; i++) {
            ck_assert(rem_str_eq(req.head.fields.v[i].name, fields.v[i].name));
            ck_assert(rem_str_eq(req.head.fields.v[i].value, fields.v[i].value));
        }
        rem_arena_reset(&arena);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, every_size);
    tcase_add_test(tc, reasons);
    tcase_add_test(tc, checks_of_text);
    tcase_add_test(tc, heads_survive_a_round_trip);
    return run_suite("put", tc);
}
