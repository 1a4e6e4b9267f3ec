/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/chunk.h"

#include "proto/base/err.h"
#include "proto/base/sbuf.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

/* Decodes `raw` cut at the given offsets, each piece in memory of its own.  Returns: the body,
 * "|", trailers and "+N" for N bytes left over; or "!" and the reason; or "more"; to be freed. */
static char *decode_cut(const char *raw, const size_t *cuts, size_t count,
                        const struct rem_h1_limits *limits)
{
    struct rem_arena arena;
    struct rem_chunk_decoder d;
    struct rem_sbuf sb;
    size_t from = 0;
    int rc = REM_EAGAIN;

    rem_arena_init(&arena, NULL);
    rem_sbuf_init(&sb);
    rem_chunk_decoder_init(&d, limits, &arena);
    for (size_t i = 0; i < count && rc == REM_EAGAIN; i++) {
        size_t n = cuts[i] - from;
        char *piece = malloc(n ? n : 1);
        size_t at = 0;

        memcpy(piece, raw + from, n);
        for (;;) {
            struct rem_str data;
            size_t used;

            rc = rem_chunk_decode(&d, piece + at, n - at, &used, &data);
            ck_assert_uint_le(used, n - at);
            if (rc == REM_EAGAIN)
                ck_assert_uint_eq(used, n - at);
            if (data.n != 0)
                ck_assert(data.p >= piece && data.p + data.n <= piece + n);
            rem_sbuf_add(&sb, data);
            at += used;
            if (rc != REM_OK || data.n == 0)
                break;
        }
        from += at;
        free(piece);
    }
    ck_assert_int_eq(rem_chunk_is_done(&d), rc == REM_OK);
    if (rc == REM_OK) {
        rem_sbuf_addc(&sb, '|');
        REM_FIELDS_EACH(field, &d.trailers.fields)
            rem_sbuf_addf(&sb, "%.*s=%.*s;", REM_STR_ARG(field->name), REM_STR_ARG(field->value));
        if (cuts[count - 1] != from)
            rem_sbuf_addf(&sb, "+%zu", cuts[count - 1] - from);
    } else {
        rem_sbuf_clear(&sb);
        if (rc == REM_EAGAIN)
            rem_sbuf_adds(&sb, "more");
        else
            rem_sbuf_addf(&sb, "!%s", d.reason);
    }
    if (rc != REM_OK && rc != REM_EAGAIN) {
        size_t used;
        struct rem_str data;

        ck_assert_int_eq(rem_chunk_decode(&d, "0\r\n\r\n", 5, &used, &data), REM_EPROTO);
    }
    rem_sbuf_addc(&sb, '\0');
    rem_arena_reset(&arena);
    return sb.p;
}

static char *decode_all_ways(const char *raw, size_t n, const struct rem_h1_limits *limits)
{
    size_t *cuts = calloc(n + 1, sizeof(*cuts));
    char *whole = decode_cut(raw, &n, 1, limits);
    char *other;

    for (size_t i = 0; i < n; i++)
        cuts[i] = i + 1;
    other = decode_cut(raw, cuts, n, limits);
    if (strchr(whole, '+') == NULL)
        ck_assert_str_eq(whole, other);
    free(other);
    for (size_t at = 0; at <= n && n < 2000; at++) {
        const size_t two[] = {at, n};

        other = decode_cut(raw, two, 2, limits);
        ck_assert_msg(strcmp(whole, other) == 0, "cut at %zu: '%s' instead of '%s'", at, other,
                      whole);
        free(other);
    }
    free(cuts);
    return whole;
}

struct row {
    const char *raw;
    size_t n;
    const char *want;
};

#define ROW(raw, want)                                                                             \
    {                                                                                              \
        raw, sizeof(raw) - 1, want                                                                 \
    }
#define BAD_SIZE "!invalid chunk size line"
#define BAD_END  "!invalid line end in chunked body"

static const struct row rows[] = {
    ROW("5\r\nHELLO\r\n0\r\n\r\n", "HELLO|"),
    ROW("5\r\nHELLO\r\n1\r\n!\r\nA\r\n0123456789\r\n000\r\n\r\nGET", "HELLO!0123456789|+3"),
    ROW("0\r\n\r\n", "|"),
    ROW("0000000000000000000000000000000000000005\r\nHELLO\r\n0\r\n\r\n", "HELLO|"),
    ROW("5;a=b;c=\"d\\\"\x80\";e ; f = g\r\nHELLO\r\n0;x\r\n\r\n", "HELLO|"),
    ROW("5 ;a\r\nHELLO\r\n0\r\n\r\n", "HELLO|"),
    ROW("5\r\nHEL", "more"),
    ROW("5\r\nHELLO\r\n", "more"),
    ROW("5\r\nHELLO\r\n0\r\n", "more"),
    ROW("5\r\nHELLO\r\n0\r\n\r", "more"),
    ROW("0x5\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("+5\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("-5\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW(" 5\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("0_5\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5Z\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW(";a\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5 \r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5 a=b\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5;\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5;a=\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5;a\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5;a\"b\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5;a=\"x\r\ny\"\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5;\0a\r\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5;a\rX\r\nHELLO\r\n0\r\n\r\n", BAD_END),
    ROW("5\nHELLO\r\n0\r\n\r\n", BAD_SIZE),
    ROW("5\rXHELLO\r\n0\r\n\r\n", BAD_END),
    ROW("5\r\nHELLO\n0\r\n\r\n", BAD_END),
    ROW("5\r\nHELLOXX0\r\n\r\n", BAD_END),
    ROW("5\r\nHELLO!!\r\n0\r\n\r\n", BAD_END),
    ROW("5\r\nHELLO\r0\r\n\r\n", BAD_END),
    ROW("0\n\n", BAD_SIZE),
    ROW("0\r\n\n", "!invalid trailer line"),
    ROW("0\r\n\rX", BAD_END),
    ROW("1000000000000000\r\n", "more"),
    ROW("1000000000000001\r\n", "!chunked body is too large"),
    ROW("10000000000000005\r\n", "!chunk size is too large"),
    ROW("FFFFFFFFFFFFFFFF\r\n", "!chunk size is too large"),
    ROW("7FFFFFFFFFFFFFFE\r\n", "!chunk size is too large"),
    ROW("5\r\nHELLO\r\n1000000000000000\r\n", "!chunked body is too large"),
    /* Trailers */
    ROW("0\r\nX-T: v\r\nX-U:\r\n\r\nGET", "|X-T=v;X-U=;+3"),
    ROW("5\r\nHELLO\r\n0\r\nContent-Length: 0\r\nTransfer-Encoding: x\r\nHost: evil\r\n"
        "X-Real-IP: 1.1.1.1\r\nX: y\r\n\r\n",
        "HELLO|X=y;"),
    ROW("0\r\nno colon\r\n\r\n", "!invalid trailer line"),
    ROW("0\r\nnocolon\r\n\r\n", "!invalid trailer line"),
    ROW("0\r\nX : v\r\n\r\n", "!invalid trailer line"),
    ROW("0\r\nX: v\n\r\n", "!invalid trailer line"),
    ROW("0\r\nX: a\0b\r\n\r\n", "!invalid trailer line"),
    ROW("0\r\nX: v\r\n w\r\n\r\n", "!invalid trailer line"),
    ROW("0\r\nGET /SMUG HTTP/1.1\r\nHost: t.example\r\n\r\n", "!invalid trailer line"),
};

START_TEST(chunk_rows)
{
    const struct row *row = &rows[_i];
    char *got = decode_all_ways(row->raw, row->n, &rem_h1_limits_default);

    ck_assert_str_eq(got, row->want);
    free(got);
}
END_TEST

/* Feeds `count` chunks of `size` data bytes with `ext` bytes of extension each. */
static int overhead(size_t count, size_t size, size_t ext)
{
    struct rem_chunk_decoder d;
    struct rem_sbuf sb;
    struct rem_str data;
    size_t used;
    int rc;

    rem_sbuf_init(&sb);
    rem_chunk_decoder_init(&d, &rem_h1_limits_default, NULL);
    do {
        rem_sbuf_clear(&sb);
        rem_sbuf_addf(&sb, "%zx;", size);
        for (size_t i = 0; i < ext; i++)
            rem_sbuf_addc(&sb, 'e');
        rem_sbuf_adds(&sb, "\r\n");
        for (size_t i = 0; i < size; i++)
            rem_sbuf_addc(&sb, 'd');
        rem_sbuf_adds(&sb, "\r\n");
        rc = rem_chunk_decode(&d, sb.p, sb.n, &used, &data);
        if (rc == REM_OK)
            rc = rem_chunk_decode(&d, sb.p + used, sb.n - used, &used, &data);
    } while (rc == REM_EAGAIN && --count != 0);
    rem_sbuf_fini(&sb);
    return rc;
}

START_TEST(overhead_is_bounded)
{
    ck_assert_int_eq(overhead(1, 1, 4000), REM_EAGAIN);
    ck_assert_int_eq(overhead(1, 1, 5000), REM_ETOOBIG);
    ck_assert_int_eq(overhead(1, 1, 40000), REM_ETOOBIG);
    ck_assert_int_eq(overhead(60, 1, 1000), REM_ETOOBIG);
    ck_assert_int_eq(overhead(500, 4096, 1000), REM_EAGAIN);
    ck_assert_int_eq(overhead(500, 1000, 1000), REM_ETOOBIG);
}
END_TEST

START_TEST(zeros_are_bounded)
{
    struct rem_sbuf sb;
    char *got;

    rem_sbuf_init(&sb);
    for (int i = 0; i < 5000; i++)
        rem_sbuf_addc(&sb, '0');
    got = decode_all_ways(sb.p, sb.n, &rem_h1_limits_default);
    ck_assert_str_eq(got, "!too many bytes of chunk extensions");
    free(got);
    rem_sbuf_fini(&sb);
}
END_TEST

START_TEST(trailers_are_bounded)
{
    const struct rem_h1_limits limits = {20, 30, 2, false, true, false, false};
    static const struct row cases[] = {
        ROW("0\r\nA: b\r\nC: d\r\n\r\n", "|A=b;C=d;"),
        ROW("0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", "!client sent too many header lines"),
        ROW("0\r\nA: bbbbbbbbbbbbbbbbbbbbbb", "!client sent too large trailers"),
        ROW("0\r\nA: bbbbbbbbbbb\r\nC: dddddddddddd\r\n\r\n", "!client sent too large trailers"),
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        char *got = decode_all_ways(cases[i].raw, cases[i].n, &limits);

        ck_assert_str_eq(got, cases[i].want);
        free(got);
    }
}
END_TEST

/* More than the first allocation for trailers, byte by byte. */
START_TEST(long_trailers)
{
    struct rem_sbuf sb;
    char *got;

    rem_sbuf_init(&sb);
    rem_sbuf_adds(&sb, "0\r\n");
    for (int i = 0; i < 100; i++)
        rem_sbuf_addf(&sb, "X-Trailer-%d: value\r\n", i);
    rem_sbuf_adds(&sb, "\r\n");
    got = decode_all_ways(sb.p, sb.n, &rem_h1_limits_default);
    ck_assert(strncmp(got, "|X-Trailer-0=value;X-Trailer-1=value;", 36) == 0);
    ck_assert(strstr(got, "X-Trailer-99=value;") != NULL);
    free(got);
    rem_sbuf_fini(&sb);
}
END_TEST

START_TEST(trailers_need_an_arena)
{
    struct rem_chunk_decoder d;
    struct rem_str data;
    size_t used;

    rem_chunk_decoder_init(&d, &rem_h1_limits_default, NULL);
    ck_assert_int_eq(rem_chunk_decode(&d, "0\r\nA: b\r\n\r\n", 11, &used, &data), REM_EPROTO);
    rem_chunk_decoder_init(&d, &rem_h1_limits_default, NULL);
    ck_assert_int_eq(rem_chunk_decode(&d, "0\r\n\r\n", 5, &used, &data), REM_OK);
    ck_assert_uint_eq(used, 5);
}
END_TEST

/* What the encoder writes, the decoder reads back. */
START_TEST(round_trip)
{
    static const uint64_t sizes[] = {1, 9, 15, 16, 255, 4096, 65535};
    struct rem_arena arena;
    struct rem_fields trailers;
    struct rem_sbuf sb;
    char line[REM_CHUNK_HEAD_MAX];
    char last[100];
    struct rem_put put;
    char *got;
    size_t total = 0;

    rem_arena_init(&arena, NULL);
    rem_fields_init(&trailers, &arena);
    ck_assert_int_eq(rem_fields_add(&trailers, REM_STR("A"), REM_STR("b")), REM_OK);
    ck_assert_int_eq(rem_fields_add(&trailers, REM_STR("Connection"), REM_STR("c")), REM_OK);
    rem_sbuf_init(&sb);
    for (size_t i = 0; i < REM_COUNT(sizes); i++) {
        rem_sbuf_add(&sb, rem_str_make(line, rem_chunk_head(line, sizes[i])));
        for (uint64_t k = 0; k < sizes[i]; k++)
            rem_sbuf_addc(&sb, 'x');
        rem_sbuf_add(&sb, REM_CHUNK_TAIL);
        total += sizes[i];
    }
    rem_put_init(&put, last, sizeof(last));
    rem_chunk_put_last(&put, &trailers);
    ck_assert(!put.full);
    rem_sbuf_add(&sb, rem_put_str(&put));
    got = decode_cut(sb.p, &sb.n, 1, &rem_h1_limits_default);
    ck_assert_uint_eq(strspn(got, "x"), total);
    ck_assert_str_eq(got + total, "|A=b;");
    free(got);
    ck_assert_uint_eq(rem_chunk_head(line, UINT64_MAX), 18);
    ck_assert(memcmp(line, "ffffffffffffffff\r\n", 18) == 0);
    rem_put_init(&put, last, sizeof(last));
    rem_chunk_put_last(&put, NULL);
    ck_assert(rem_str_eq(rem_put_str(&put), REM_CHUNK_LAST));
    rem_sbuf_fini(&sb);
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, chunk_rows, 0, (int)REM_COUNT(rows));
    tcase_add_test(tc, overhead_is_bounded);
    tcase_add_test(tc, zeros_are_bounded);
    tcase_add_test(tc, trailers_are_bounded);
    tcase_add_test(tc, long_trailers);
    tcase_add_test(tc, trailers_need_an_arena);
    tcase_add_test(tc, round_trip);
    return run_suite("chunk", tc);
}
