/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proto/wire/h1_feed.h"
#include "tests/unit/suite.h"

struct row {
    const char *raw;
    size_t n;
    const char *want; /* what feed_all_ways tells */
};

#define ROW(raw, want)                                                                             \
    {                                                                                              \
        raw, sizeof(raw) - 1, want                                                                 \
    }
#define HEAD               "GET / HTTP/1.1\r\nHost: a\r\n"
#define FIELDS(raw, want)  ROW(HEAD raw "\r\n", "GET / 1.1 host=a" want)
#define REFUSED(raw, want) ROW(HEAD raw "\r\n", want)
#define LINE(line, want)   ROW(line "\r\nHost: a\r\n\r\n", want)

#define BAD_LINE   "400 client sent invalid request line"
#define BAD_FIELD  "400 client sent invalid header line"
#define BAD_METHOD "400 client sent invalid method"
#define BAD_HOST   "400 client sent invalid host header"
#define BAD_LENGTH "400 client sent invalid \"Content-Length\" header"
#define BAD_CODING "400 client sent invalid \"Transfer-Encoding\" header"

static const struct row rows[] = {
    /* Request lines */
    ROW("GET /c HTTP/1.1\r\nHost: t.example\r\n\r\n",
        "GET /c 1.1 host=t.example none persists | Host=t.example"),
    ROW("GET /c HTTP/1.0\r\n\r\n", "GET /c 1.0 host= none closes"),
    ROW("GET /c HTTP/1.1\nHost: a\n\n", "GET /c 1.1 host=a none persists | Host=a"),
    ROW("\r\n\r\n\nGET / HTTP/1.0\r\n\r\n", "GET / 1.0 host= none closes"),
    ROW("\r\n\rGET / HTTP/1.0\r\n\r\n", BAD_LINE),
    ROW("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nGET / HTTP/1.0\r\n\r\n", "GET / 1.0 host= none closes"),
    ROW("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nGET / HTTP/1.0\r\n\r\n", BAD_LINE),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n", "more"),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n\r", "more"),
    ROW("GET", "more"),
    LINE("GET /a?b#c HTTP/1.9", "GET /a?b#c 1.9 host=a none persists | Host=a"),
    LINE("M-SEARCH /x_Y HTTP/1.1", "M-SEARCH /x_Y 1.1 host=a none persists | Host=a"),
    LINE("OPTIONS * HTTP/1.1", "OPTIONS * 1.1 host=a none persists | Host=a"),
    LINE("GET http://B.c:81/x?y HTTP/1.1",
         "GET http://B.c:81/x?y 1.1 host=B.c none persists | Host=a"),
    LINE("GET /\xc3\xa4 HTTP/1.1", "GET /\xc3\xa4 1.1 host=a none persists | Host=a"),
    LINE("GET  / HTTP/1.1", BAD_LINE),
    LINE("GET /  HTTP/1.1", BAD_LINE),
    LINE("GET / HTTP/1.1 ", BAD_LINE),
    LINE("GET /", BAD_LINE),
    LINE("GET / HTTP/", BAD_LINE),
    LINE("GET / HTTP/1", BAD_LINE),
    LINE("GET / HTTP/1.", BAD_LINE),
    LINE("GET / HTTP/1.10", BAD_LINE),
    LINE("GET / HTTP/1,1", BAD_LINE),
    LINE("GET / HTTP/11.1", BAD_LINE),
    LINE("GET / http/1.1", BAD_LINE),
    LINE("GET / HTTP/0.9", BAD_LINE),
    LINE("GET / HTTP/2.0", "505 client sent invalid version"),
    LINE("GET /\tx HTTP/1.1", BAD_LINE),
    LINE("GET /\x7f HTTP/1.1", BAD_LINE),
    LINE("GET /\x01 HTTP/1.1", BAD_LINE),
    LINE("GET /a\rb HTTP/1.1", BAD_LINE),
    LINE("GET /a\0b HTTP/1.1", BAD_LINE),
    LINE("GET * HTTP/1.1", BAD_LINE),
    LINE("GET a HTTP/1.1", BAD_LINE),
    LINE("GET a:80 HTTP/1.1", BAD_LINE),
    LINE("GET @evil/c HTTP/1.1", BAD_LINE),
    LINE("GET ftp://a/ HTTP/1.1", BAD_LINE),
    LINE("GET http://u:p@a/ HTTP/1.1", BAD_LINE),
    LINE("GET http:/// HTTP/1.1", BAD_LINE),
    LINE("GET http://a:99999/ HTTP/1.1", "400 client sent invalid host in request line"),
    LINE("get / HTTP/1.1", BAD_METHOD),
    LINE("GE(T / HTTP/1.1", BAD_METHOD),
    LINE(" GET / HTTP/1.1", BAD_METHOD),
    LINE("GET\t/ HTTP/1.1", BAD_METHOD),
    LINE("GET\0 / HTTP/1.1", BAD_METHOD),
    LINE("CONNECT a:443 HTTP/1.1", "405 client sent CONNECT method"),
    LINE("CONNECT a HTTP/1.1", BAD_LINE),
    LINE("CONNECT /c HTTP/1.1", BAD_LINE),
    LINE("TRACE / HTTP/1.1", "405 client sent TRACE method"),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 client sent invalid version"),
    ROW("GET / HTTP/1.1\r\n\r\n", "400 client sent HTTP/1.1 request without \"Host\" header"),
    ROW("GET http://b/ HTTP/1.1\r\n\r\n",
        "400 client sent HTTP/1.1 request without \"Host\" header"),
    /* Field lines */
    FIELDS("X-A:b\r\nX-B: \t c d \t\r\nX-C:\r\nX-D: \r\n",
           " none persists | Host=a | X-A=b | X-B=c d | X-C= | X-D="),
    FIELDS("X-A: 1\nX-B: \xe4\n", " none persists | Host=a | X-A=1 | X-B=\xe4"),
    FIELDS("X_A: 1\r\nX.A: 1\r\nX(A: 1\r\nX\xe4: 1\r\nA: 2\r\n",
           " none persists dropped=4 | Host=a | A=2"),
    REFUSED("nocolon\r\n", BAD_FIELD),
    REFUSED(": v\r\n", BAD_FIELD),
    REFUSED("X-A : 1\r\n", BAD_FIELD),
    REFUSED("X-A\t: 1\r\n", BAD_FIELD),
    REFUSED("X A: 1\r\n", BAD_FIELD),
    REFUSED(" X: 1\r\n", BAD_FIELD),
    REFUSED("X: 1\r\n folded\r\n", BAD_FIELD),
    REFUSED("X\0A: 1\r\n", BAD_FIELD),
    REFUSED("X\x7f: 1\r\n", BAD_FIELD),
    REFUSED("X: a\0b\r\n", BAD_FIELD),
    REFUSED("X: a\rb\r\n", BAD_FIELD),
    REFUSED("X: a\r\r\n", BAD_FIELD),
    REFUSED("X: a\x01\r\n", BAD_FIELD),
    REFUSED("X: a\x7f\r\n", BAD_FIELD),
    ROW(HEAD "\rXGET / HTTP/1.1\r\n\r\n", BAD_FIELD),
    /* Host */
    REFUSED("Host: a\r\n", "400 client sent duplicate host header"),
    ROW("GET / HTTP/1.1\r\nhOST: [::1]:8080\r\n\r\n",
        "GET / 1.1 host=[::1] none persists | hOST=[::1]:8080"),
    ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", BAD_HOST),
    ROW("GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n", BAD_HOST),
    /* Framing */
    FIELDS("Content-Length: 005\r\n", " length=5 persists | Host=a | Content-Length=005"),
    FIELDS("Content-Length: 9223372036854775807\r\n",
           " length=9223372036854775807 persists | Host=a | "
           "Content-Length=9223372036854775807"),
    REFUSED("Content-Length: 9223372036854775808\r\n", BAD_LENGTH),
    REFUSED("Content-Length: 18446744073709551621\r\n", BAD_LENGTH),
    REFUSED("Content-Length: +5\r\n", BAD_LENGTH),
    REFUSED("Content-Length: -5\r\n", BAD_LENGTH),
    REFUSED("Content-Length: 0x5\r\n", BAD_LENGTH),
    REFUSED("Content-Length: 5, 5\r\n", BAD_LENGTH),
    REFUSED("Content-Length: 1 0\r\n", BAD_LENGTH),
    REFUSED("Content-Length:\r\n", BAD_LENGTH),
    REFUSED("Content-Length: \xa0"
            "5\r\n",
            BAD_LENGTH),
    REFUSED("Content-Length: 5\r\nContent-Length: 5\r\n",
            "400 client sent duplicate \"Content-Length\" header"),
    FIELDS("Transfer-Encoding:CHUNKED\r\n",
           " chunked persists | Host=a | Transfer-Encoding=CHUNKED(h)"),
    REFUSED("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "400 client sent duplicate \"Transfer-Encoding\" header"),
    REFUSED("Transfer-Encoding: chunked, chunked\r\n", BAD_CODING),
    REFUSED("Transfer-Encoding: chunked, gzip\r\n", BAD_CODING),
    REFUSED("Transfer-Encoding: ,chunked\r\n", BAD_CODING),
    REFUSED("Transfer-Encoding: chunked,\r\n", BAD_CODING),
    REFUSED("Transfer-Encoding:\r\n", BAD_CODING),
    REFUSED("Transfer-Encoding: gzip, chunked\r\n",
            "501 client sent unknown \"Transfer-Encoding\""),
    REFUSED("Transfer-Encoding: identity\r\n", "501 client sent unknown \"Transfer-Encoding\""),
    REFUSED("Transfer-Encoding: chunked;q=1\r\n", "501 client sent unknown \"Transfer-Encoding\""),
    REFUSED("Transfer-Encoding: \"chunked\"\r\n", "501 client sent unknown \"Transfer-Encoding\""),
    REFUSED(
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "400 client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time"),
    ROW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "400 client sent HTTP/1.0 request with \"Transfer-Encoding\" header"),
    /* Connection */
    FIELDS("Connection: close\r\n", " none closes | Host=a | Connection=close(h)"),
    ROW("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "GET / 1.0 host= none persists | Connection=Keep-Alive(h)"),
    FIELDS("Connection: x-a , X-B,, x-real-ip\r\nX-A: 1\r\nX-C: 2\r\nX-B: 3\r\nX-Real-IP: 4\r\n",
           " none persists | Host=a | Connection=x-a , X-B,, x-real-ip(h) | X-A=1(h) | X-C=2 | "
           "X-B=3(h) | X-Real-IP=4(h)"),
    FIELDS("X-A: 1\r\nConnection: y\r\nConnection: x-a\r\n",
           " none persists | Host=a | X-A=1(h) | Connection=y(h) | Connection=x-a(h)"),
    FIELDS("Connection: Content-Length, Host\r\nContent-Length: 3\r\n",
           " length=3 persists | Host=a | Connection=Content-Length, Host(h) | Content-Length=3"),
    FIELDS("Keep-Alive: 1\r\nProxy-Connection: close\r\nTE: trailers\r\nHTTP2-Settings: A\r\n",
           " none persists | Host=a | Keep-Alive=1(h) | Proxy-Connection=close(h) | "
           "TE=trailers(h) | HTTP2-Settings=A(h)"),
    FIELDS("Connection: Upgrade\r\nUpgrade: websocket\r\n",
           " none persists upgrade | Host=a | Connection=Upgrade(h) | Upgrade=websocket(h)"),
    FIELDS("Upgrade: websocket\r\n", " none persists | Host=a | Upgrade=websocket(h)"),
    FIELDS("Connection: Upgrade\r\n", " none persists | Host=a | Connection=Upgrade(h)"),
    FIELDS("Connection: Upgrade\r\nUpgrade: foo, H2C\r\n",
           " none persists | Host=a | Connection=Upgrade(h) | Upgrade=foo, H2C(h)"),
    FIELDS("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: foo\r\n",
           " none persists | Host=a | Connection=Upgrade(h) | Upgrade=h2c(h) | Upgrade=foo(h)"),
    ROW("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / 1.0 host= none closes | Connection=Upgrade(h) | Upgrade=websocket(h)"),
    /* Expect */
    FIELDS("Expect: 100-Continue\r\n", " none persists expect | Host=a | Expect=100-Continue"),
    REFUSED("Expect: y 100-continue\r\n", "417 client sent unknown \"Expect\" header"),
    ROW("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
        "GET / 1.0 host= none closes | Expect=100-continue"),
};

START_TEST(request_rows)
{
    const struct feed feed = {.limits = &rem_h1_limits_default};
    const struct row *row = &rows[_i];
    size_t used;
    char *got = feed_all_ways(&feed, row->raw, row->n, &used);

    ck_assert_str_eq(got, row->want);
    free(got);
}
END_TEST

/* What follows a head is left alone. */
START_TEST(head_size_is_exact)
{
    static const char raw[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab\nGET";
    const struct feed feed = {.limits = &rem_h1_limits_default};
    size_t used;

    free(feed_all_ways(&feed, raw, sizeof(raw) - 1, &used));
    ck_assert_uint_eq(used, sizeof(raw) - 1 - 6);
}
END_TEST

struct limit_row {
    struct rem_h1_limits limits;
    const char *raw;
    const char *want;
};

#define L(line, head, count)                                                                       \
    {                                                                                              \
        .max_line = line, .max_head = head, .max_fields = count, .ignore_invalid = true            \
    }

static const struct limit_row limit_rows[] = {
    {L(16, 100, 9), "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 host= none closes"},
    {L(15, 100, 9), "GET / HTTP/1.0\r\n\r\n", "414 client sent too long URI"},
    {L(100, 18, 9), "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 host= none closes"},
    {L(100, 17, 9), "GET / HTTP/1.0\r\n\r\n", "431 client sent too large request"},
    {L(100, 15, 9), "GET / HTTP/1.0\r\n\r\n", "414 client sent too long URI"},
    {L(16, 100, 9), "GET / HTTP/1.0\r\nAbcdefg: 012345\r\n\r\n",
     "431 client sent too long header line"},
    {L(17, 100, 9), "GET / HTTP/1.0\r\nAbcdefg: 012345\r\n\r\n",
     "GET / 1.0 host= none closes | Abcdefg=012345"},
    {L(17, 100, 9), "GET / HTTP/1.0\r\nAbcdefghijklmnopqrst",
     "431 client sent too long header line"},
    {L(17, 100, 9), "GET / HTTP/1.0\r\nA: \t                        b",
     "431 client sent too long header line"},
    {L(100, 100, 2), "GET / HTTP/1.0\r\nA:1\r\nB:2\r\n\r\n",
     "GET / 1.0 host= none closes | A=1 | B=2"},
    {L(100, 100, 2), "GET / HTTP/1.0\r\nA:1\r\nB:2\r\nC:3\r\n\r\n",
     "431 client sent too many header lines"},
    {L(100, 100, 2), "GET / HTTP/1.0\r\nA_:1\r\nB_:2\r\nC_:3\r\n\r\n",
     "431 client sent too many header lines"},
    {L(99, 100, 9),
     "GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG"
     "GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG",
     "414 client sent too long URI"},
    {{99, 99, 9, true, true, false, false},
     "GET / HTTP/1.0\r\nX_A: 1\r\nX.A: 2\r\n\r\n",
     "GET / 1.0 host= none closes dropped=1 | X_A=1(u)"},
    {{99, 99, 9, false, false, false, false},
     "GET / HTTP/1.0\r\nX_A: 1\r\nX.A: 2\r\nX(A: 3\r\n\r\n",
     "GET / 1.0 host= none closes | X_A=1(u) | X.A=2 | X(A=3(i)"},
    {{99, 99, 9, false, false, false, false},
     "GET / HTTP/1.0\r\nX A: 1\r\n\r\n",
     "400 client sent invalid header line"},
    {{99, 99, 9, false, true, true, true},
     "CONNECT b:443 HTTP/1.1\r\nHost: c\r\n\r\n",
     "CONNECT b:443 1.1 host=b none persists | Host=c"},
    {{99, 99, 9, false, true, true, true},
     "CONNECT /c HTTP/1.1\r\nHost: c\r\n\r\n",
     "400 client sent invalid request line"},
    {{99, 99, 9, false, true, true, true},
     "CONNECT b HTTP/1.1\r\nHost: c\r\n\r\n",
     "400 client sent invalid request line"},
    {{99, 99, 9, false, true, true, true},
     "TRACE / HTTP/1.1\r\nHost: c\r\n\r\n",
     "TRACE / 1.1 host=c none persists | Host=c"},
};

START_TEST(limits)
{
    const struct limit_row *row = &limit_rows[_i];
    const struct feed feed = {.limits = &row->limits};
    size_t used;
    char *got = feed_all_ways(&feed, row->raw, strlen(row->raw), &used);

    ck_assert_str_eq(got, row->want);
    free(got);
}
END_TEST

/* 1000 fields, more than any first allocation. */
START_TEST(many_fields)
{
    const struct feed feed = {.limits = &rem_h1_limits_default};
    struct rem_sbuf raw, want;
    size_t used;
    char *got;

    rem_sbuf_init(&raw);
    rem_sbuf_init(&want);
    rem_sbuf_adds(&raw, "GET / HTTP/1.0\r\n");
    rem_sbuf_adds(&want, "GET / 1.0 host= none closes");
    for (int i = 0; i < 1000; i++) {
        rem_sbuf_addf(&raw, "X-%d: %d\r\n", i, i * 7);
        rem_sbuf_addf(&want, " | X-%d=%d", i, i * 7);
    }
    rem_sbuf_adds(&raw, "\r\n");
    rem_sbuf_addc(&want, '\0');
    got = feed_all_ways(&feed, raw.p, raw.n, &used);
    ck_assert_str_eq(got, want.p);
    ck_assert_uint_eq(used, raw.n);
    free(got);
    rem_sbuf_fini(&raw);
    rem_sbuf_fini(&want);
}
END_TEST

START_TEST(connection_options_are_bounded)
{
    const struct feed feed = {.limits = &rem_h1_limits_default};

    for (int count = 64; count <= 65; count++) {
        struct rem_sbuf raw;
        size_t used;
        char *got;

        rem_sbuf_init(&raw);
        rem_sbuf_adds(&raw, "GET / HTTP/1.0\r\nConnection: a");
        for (int i = 1; i < count; i++)
            rem_sbuf_adds(&raw, ",b");
        rem_sbuf_adds(&raw, "\r\n\r\n");
        got = feed_all_ways(&feed, raw.p, raw.n, &used);
        if (count == 64)
            ck_assert_uint_eq(used, raw.n);
        else
            ck_assert_str_eq(got, "400 client sent too many connection options");
        free(got);
        rem_sbuf_fini(&raw);
    }
}
END_TEST

START_TEST(seen_line)
{
    static const struct {
        const char *raw;
        const char *want;
    } lines[] = {
        {"", ""},
        {"GET", "GET"},
        {"\r\nGET /x", "GET /x"},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1"},
        {"\n\nGET / HTTP/1.1\r\nBad line\r\n", "GET / HTTP/1.1"},
        {"garbage\r\n", "garbage"},
    };

    for (size_t i = 0; i < REM_COUNT(lines); i++) {
        struct rem_arena arena;
        struct rem_h1_request req;
        struct rem_str seen;

        rem_arena_init(&arena, NULL);
        rem_h1_request_init(&req, &rem_h1_limits_default, &arena);
        ck_assert(rem_h1_is_untouched(&req.head));
        ck_assert_int_ne(rem_h1_request_parse(&req, lines[i].raw, strlen(lines[i].raw)), REM_OK);
        ck_assert_int_eq(rem_h1_is_untouched(&req.head),
                         lines[i].raw[0] == '\0' || lines[i].raw[0] == 'g');
        seen = rem_h1_request_seen_line(&req, lines[i].raw, strlen(lines[i].raw));
        ck_assert_msg(rem_str_is(seen, lines[i].want), "row %zu: '%.*s'", i, REM_STR_ARG(seen));
        rem_arena_reset(&arena);
    }
}
END_TEST

/* Whose error page it is, as far as the lines before the bad one say. */
START_TEST(refusal)
{
    static const struct {
        uint32_t max_line;
        const char *raw;
        const char *want;
    } heads[] = {
        {99, "GET / HTTP/1.1\r\nX Y: 1\r\n\r\n", "client sent invalid header line: \"X\\x20...\""},
        {99, "GET / HTTP/1.1\r\nA: b\r\n: 1\r\n\r\n",
         "client sent invalid header line: \"\\x3a...\""},
        {99, "GET / HTTP/1.1\r\nA: b\x01 c\r\n",
         "client sent invalid header line: \"A: b\\x01...\""},
        {99, "GET / HTTP/1.1\r\nA: b\rc\r\n", "client sent invalid header line: \"A: b\\x0d...\""},
        {16, "GET / HTTP/1.1\r\nA: 0123456789abcd\r\n",
         "client sent too long header line: \"A: 0123456789abc...\""},
        {99, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "client sent duplicate host header"},
        {99, "GE T / HTTP/1.1\r\n", "client sent invalid request line"},
    };

    for (size_t i = 0; i < REM_COUNT(heads); i++) {
        struct rem_h1_limits narrow = rem_h1_limits_default;
        size_t n = strlen(heads[i].raw);
        struct rem_arena arena;
        struct rem_h1_request req;

        narrow.max_line = heads[i].max_line;
        rem_arena_init(&arena, NULL);
        rem_h1_request_init(&req, &narrow, &arena);
        ck_assert_int_ne(rem_h1_request_parse(&req, heads[i].raw, n), REM_OK);
        ck_assert_str_eq(rem_h1_refusal(&req.head, heads[i].raw, n, &arena), heads[i].want);
        rem_arena_reset(&arena);
    }
}
END_TEST

START_TEST(refusal_is_bounded)
{
    static char raw[5000] = "GET / HTTP/1.1\r\nX: ";
    struct rem_arena arena;
    struct rem_h1_request req;

    memset(raw + strlen(raw), 'y', sizeof(raw) - 21);
    raw[sizeof(raw) - 1] = '\x01';
    rem_arena_init(&arena, NULL);
    rem_h1_request_init(&req, &rem_h1_limits_default, &arena);
    ck_assert_int_eq(rem_h1_request_parse(&req, raw, sizeof(raw)), REM_EPROTO);
    ck_assert_uint_lt(strlen(rem_h1_refusal(&req.head, raw, sizeof(raw), &arena)), 1100);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(left_out)
{
    static const char raw[] = "\r\nGET / HTTP/1.1\r\nA_: 1\r\nHost: h\r\nB.c: 2\nB: x\r\n"
                              "B_: 3 \r\nC: y\r\nD_D:\r\n\r\n";
    static const char *const want[] = {"A_: 1", "B.c: 2", "B_: 3", "D_D:"};
    struct rem_h1_walk walk = {0};
    struct rem_arena arena;
    struct rem_h1_request req;
    struct rem_str line;

    rem_arena_init(&arena, NULL);
    rem_h1_request_init(&req, &rem_h1_limits_default, &arena);
    ck_assert_int_eq(rem_h1_request_parse(&req, raw, strlen(raw)), REM_OK);
    ck_assert_uint_eq(req.head.dropped, REM_COUNT(want));
    for (size_t i = 0; i < REM_COUNT(want); i++) {
        ck_assert(rem_h1_next_left_out(&req, raw, &walk, &line));
        ck_assert_msg(rem_str_is(line, want[i]), "row %zu: '%.*s'", i, REM_STR_ARG(line));
    }
    ck_assert(!rem_h1_next_left_out(&req, raw, &walk, &line));
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(seen_host)
{
    static const struct {
        const char *raw;
        const char *host;
    } heads[] = {
        {"GET / HTTP/1.1\r\nHost: A.test:81\r\nbad\r\n\r\n", "A.test"},
        {"GET / HTTP/1.1\nhost:a\nbad\n\n", "a"},
        {"\r\n\r\nGET / HTTP/1.1\r\nX: y\r\nHost: a\r\nContent-Length: x\r\n\r\n", "a"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "a"},
        {"GET http://b/ HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n", "b"},
        {"GET http://b/ HTTP/1.1\r\nbad\r\n\r\n", "b"},
        {"GET http://b/ HTTP/1.1\r\nX: y\r\n\r\n", "b"},
        {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "a"},
        {"CONNECT b:1 HTTP/1.1\r\nHost: a\r\n\r\n", "b"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: y", "a"}, /* unfinished */
        {"GET / HTTP/1.1\r\nbad\r\nHost: a\r\n\r\n", ""},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ""},
        {"GET / HTTP/1.1\r\nHost: a", ""},
        {"GET / HTTP/1.1\r\nX: y\r\n\r\n", ""},
        {"GET http://b/ HTTP/2.0\r\nHost: a\r\n\r\n", ""},
        {"GET /", ""},
        {"\r\n", ""},
        {"", ""},
    };

    for (size_t i = 0; i < REM_COUNT(heads); i++) {
        struct rem_authority host = {0};
        struct rem_h1_request req;
        struct rem_arena arena;
        size_t n = strlen(heads[i].raw);
        bool seen;
        rem_arena_init(&arena, NULL);
        rem_h1_request_init(&req, &rem_h1_limits_default, &arena);
        ck_assert_int_ne(rem_h1_request_parse(&req, heads[i].raw, n), REM_OK);
        seen = rem_h1_request_seen_host(&req, heads[i].raw, n, &host);
        ck_assert_msg(seen == (heads[i].host[0] != '\0'), "%s", heads[i].raw);
        if (seen)
            ck_assert_msg(rem_str_is(host.host, heads[i].host), "%s", heads[i].raw);
        rem_arena_reset(&arena);
    }
}
END_TEST

/* What logs and error pages have of a request that failed. */
START_TEST(salvage)
{
    static const struct {
        const char *raw;
        const char *want; /* method target path args, fields; NULL: the line was not whole */
    } heads[] = {
        {"GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\nbad\r\n\r\n", "GET /a?b /a b Host=a X=y"},
        {"GET /a?b HTTP/1.1\r\nContent-Length: x\r\nX: y\r\n\r\n",
         "GET /a?b /a b Content-Length=x X=y"},
        {"\r\nHEAD / HTTP/1.1\r\nX: y\r\n\r\n", "HEAD / /  X=y"},
        {"FOO / HTTP/1.1\r\nX: y\r\nY: z", "FOO / /  X=y"},
        {"GET http://b/c HTTP/1.1\r\nX: y\r\n\r\n", "GET http://b/c /c  X=y"},
        {"GET b HTTP/1.1\r\nX: y\r\n\r\n", "GET b   X=y"},
        {"GET / HTTP/1.1\r\n", "GET / / "},
        {"GET / HTTP/1.1", NULL},
        {"GET / HTTP/9.1\r\nX: y\r\n\r\n", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < REM_COUNT(heads); i++) {
        struct rem_arena arena;
        struct rem_h1_request req;
        struct rem_sbuf got;
        const char *raw = heads[i].raw;

        rem_arena_init(&arena, NULL);
        rem_sbuf_init(&got);
        rem_h1_request_init(&req, &rem_h1_limits_default, &arena);
        ck_assert_int_ne(rem_h1_request_parse(&req, raw, strlen(raw)), REM_OK);
        ck_assert_int_eq(rem_h1_request_salvage(&req, raw), heads[i].want != NULL);
        if (heads[i].want != NULL) {
            ck_assert(rem_h1_request_salvage(&req, raw)); /* once more is no harm */
            rem_sbuf_addf(&got, "%.*s %.*s %.*s %.*s", REM_STR_ARG(req.method_text),
                          REM_STR_ARG(req.target), REM_STR_ARG(req.uri.path),
                          REM_STR_ARG(req.uri.args));
            REM_FIELDS_EACH(field, &req.head.fields) {
                ck_assert(field->flags & REM_FIELD_HOP);
                rem_sbuf_addf(&got, " %.*s=%.*s", REM_STR_ARG(field->name),
                              REM_STR_ARG(field->value));
            }
            ck_assert_msg(rem_str_is(rem_sbuf_str(&got), heads[i].want), "row %zu: '%.*s'", i,
                          REM_STR_ARG(rem_sbuf_str(&got)));
        }
        rem_sbuf_fini(&got);
        rem_arena_reset(&arena);
    }
}
END_TEST

START_TEST(methods)
{
    for (int i = REM_METHOD_GET; i < REM_METHODS; i++) {
        struct rem_str name = rem_method_name((enum rem_method)i);

        ck_assert_uint_gt(name.n, 2);
        ck_assert_int_eq(rem_method_parse(name), i);
    }
    ck_assert_int_eq(rem_method_parse(REM_STR("GETT")), REM_METHOD_OTHER);
    ck_assert_int_eq(rem_method_parse(REM_STR("")), REM_METHOD_OTHER);
    ck_assert_uint_eq(rem_method_name(REM_METHOD_OTHER).n, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, request_rows, 0, (int)REM_COUNT(rows));
    tcase_add_loop_test(tc, limits, 0, (int)REM_COUNT(limit_rows));
    tcase_add_test(tc, head_size_is_exact);
    tcase_add_test(tc, many_fields);
    tcase_add_test(tc, connection_options_are_bounded);
    tcase_add_test(tc, seen_line);
    tcase_add_test(tc, refusal);
    tcase_add_test(tc, refusal_is_bounded);
    tcase_add_test(tc, left_out);
    tcase_add_test(tc, seen_host);
    tcase_add_test(tc, salvage);
    tcase_add_test(tc, methods);
    return run_suite("h1_request", tc);
}
