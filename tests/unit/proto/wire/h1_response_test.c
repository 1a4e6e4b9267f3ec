/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proto/wire/h1_feed.h"
#include "tests/unit/suite.h"

struct row {
    enum rem_h1_asked asked;
    const char *raw;
    size_t n;
    const char *want;
};

#define ROW(raw, want)                                                                             \
    {                                                                                              \
        REM_H1_ASKED_OTHER, raw, sizeof(raw) - 1, want                                             \
    }
#define ASKED(asked, raw, want)                                                                    \
    {                                                                                              \
        REM_H1_ASKED_##asked, raw, sizeof(raw) - 1, want                                           \
    }
#define FIELDS(raw, want) ROW("HTTP/1.1 200 OK\r\n" raw "\r\n", want)
#define BAD_LINE          "502 upstream sent no valid HTTP/1.0 header"
#define BAD_FIELD         "502 upstream sent invalid header"

static const struct row rows[] = {
    ROW("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "200 [OK] 1.1 length=2 persists | Content-Length=2"),
    ROW("HTTP/1.0 200\r\n\r\n", "200 [] 1.0 close closes"),
    ROW("HTTP/1.1 200 \r\n\r\n", "200 [] 1.1 close closes"),
    ROW("HTTP/1.1 404 Not  \xe4 found \nA: b\n\n", "404 [Not  \xe4 found ] 1.1 close closes | A=b"),
    ROW("HTTP/1.1 200 OK", "more"),
    ROW("HTTP/1.1 999 x\r\n\r\n", "999 [x] 1.1 close closes"),
    ROW("HTTP/1.1 099 x\r\n\r\n", BAD_LINE),
    ROW("HTTP/1.1 2000 OK\r\n\r\n", BAD_LINE),
    ROW("HTTP/1.1 20 OK\r\n\r\n", BAD_LINE),
    ROW("HTTP/1.1  200 OK\r\n\r\n", BAD_LINE),
    ROW("HTTP/1.1 200\tOK\r\n\r\n", BAD_LINE),
    ROW("HTTP/1.1 200 a\0b\r\n\r\n", BAD_LINE),
    ROW("HTTP/1.1 200 a\rb\r\n\r\n", BAD_LINE),
    ROW("HTTP/2.0 200 OK\r\n\r\n", BAD_LINE),
    ROW("HTTP/1.10 200 OK\r\n\r\n", BAD_LINE),
    ROW("\r\nHTTP/1.1 200 OK\r\n\r\n", BAD_LINE),
    ROW("ok, no status line at all", BAD_LINE),
    /* Bodies */
    FIELDS("", "200 [OK] 1.1 close closes"),
    FIELDS("Transfer-Encoding: Chunked\r\n",
           "200 [OK] 1.1 chunked persists | Transfer-Encoding=Chunked(h)"),
    FIELDS("Content-Length: 0\r\nConnection: close\r\n",
           "200 [OK] 1.1 length=0 closes | Content-Length=0 | Connection=close(h)"),
    ROW("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        "200 [OK] 1.0 length=0 persists | Content-Length=0 | Connection=keep-alive(h)"),
    ROW("HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\n",
        "204 [x] 1.1 none=2 persists | Content-Length=2"),
    ROW("HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "304 [x] 1.1 none persists | Transfer-Encoding=chunked(h)"),
    ROW("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1", "100 [Continue] 1.1 none persists"),
    ROW("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
        "101 [x] 1.1 none persists upgrade | Connection=Upgrade(h) | Upgrade=foo(h)"),
    ASKED(HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
          "200 [OK] 1.1 none=99 persists | Content-Length=99"),
    ASKED(HEAD, "HTTP/1.1 200 OK\r\n\r\n", "200 [OK] 1.1 none persists"),
    ASKED(CONNECT, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
          "200 [OK] 1.1 none=9 persists | Content-Length=9"),
    ASKED(CONNECT, "HTTP/1.1 400 x\r\nContent-Length: 9\r\n\r\n",
          "400 [x] 1.1 length=9 persists | Content-Length=9"),
    FIELDS(
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "502 upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time"),
    FIELDS("Content-Length: 2\r\nContent-Length: 2\r\n",
           "502 upstream sent duplicate header line: \"Content-Length\""),
    FIELDS("Content-Length: +2\r\n", "502 upstream sent invalid \"Content-Length\" header"),
    FIELDS("Transfer-Encoding: chunked, chunked\r\n",
           "502 upstream sent unknown \"Transfer-Encoding\""),
    FIELDS("Transfer-Encoding: gzip\r\n", "502 upstream sent unknown \"Transfer-Encoding\""),
    FIELDS("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
           "502 upstream sent duplicate header line: \"Transfer-Encoding\""),
    ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "502 upstream sent \"Transfer-Encoding\" header in HTTP/1.0 response"),
    /* Fields */
    FIELDS("X-A : b\r\nX_B: c\r\nX.C\t : d\r\nX(D: e\r\nHost: f\r\nHost: g\r\nExpect: h\r\n",
           "200 [OK] 1.1 close closes dropped=1 | X-A=b | X_B=c(u) | X.C=d | Host=f | Host=g | "
           "Expect=h"),
    FIELDS("X-A x: b\r\n", BAD_FIELD),
    FIELDS(" X: b\r\n", BAD_FIELD),
    FIELDS("X: a\r\n b\r\n", BAD_FIELD),
    FIELDS("X: a\0\r\n", BAD_FIELD),
    FIELDS("X: a\rb: c\r\n", BAD_FIELD),
    FIELDS("X\r\n", BAD_FIELD),
    FIELDS(": a\r\n", BAD_FIELD),
};

START_TEST(response_rows)
{
    const struct row *row = &rows[_i];
    const struct feed feed = {
        .response = true,
        .asked = row->asked,
        .limits = &rem_h1_limits_default,
    };
    size_t used;
    char *got = feed_all_ways(&feed, row->raw, row->n, &used);

    ck_assert_str_eq(got, row->want);
    free(got);
}
END_TEST

START_TEST(limits)
{
    static const char raw[] = "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
    static const struct {
        struct rem_h1_limits limits;
        const char *want;
    } cases[] = {
        {{17, 31, 2, 0, 0, 0, 0}, "200 [OK] 1.1 close closes | A=b | C=d"},
        {{16, 31, 2, 0, 0, 0, 0}, "502 upstream sent too big header"},
        {{17, 30, 2, 0, 0, 0, 0}, "502 upstream sent too big header"},
        {{17, 31, 1, 0, 0, 0, 0}, "502 upstream sent too many header lines"},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        const struct feed feed = {.response = true, .limits = &cases[i].limits};
        size_t used;
        char *got = feed_all_ways(&feed, raw, sizeof(raw) - 1, &used);

        ck_assert_str_eq(got, cases[i].want);
        free(got);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, response_rows, 0, (int)REM_COUNT(rows));
    tcase_add_test(tc, limits);
    return run_suite("h1_response", tc);
}
