/* SPDX-License-Identifier: Apache-2.0 */
/* wire_bench.c - nanoseconds per message head, chunk, path and date.
 *
 *   ninja bench_wire_bench && tests/bench_wire_bench      (a Release build) */
#include "proto/base/err.h"
#include "proto/wire/chunk.h"
#include "proto/wire/date.h"
#include "proto/wire/h1.h"
#include "proto/wire/put.h"

#include <stdio.h>
#include <stdlib.h>

static const char tiny[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

static const char browser[] =
    "GET /assets/app/main.css?v=20261120 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36\r\n"
    "Accept: text/css,*/*;q=0.1\r\n"
    "Referer: https://www.example.com/articles/2026/11/20/proxies\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n"
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "X-Requested-With: XMLHttpRequest\r\n"
    "\r\n";

static const char reply[] = "HTTP/1.1 200 OK\r\n"
                            "Server: backend\r\n"
                            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                            "Content-Type: text/html; charset=utf-8\r\n"
                            "Content-Length: 4096\r\n"
                            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                            "Connection: keep-alive\r\n"
                            "ETag: \"2d1a-5e8f\"\r\n"
                            "Accept-Ranges: bytes\r\n"
                            "\r\n";

struct job {
    const char *name;
    void (*run)(struct rem_arena *arena);
};

/* Keeps a result alive without storing it anywhere. */
static void use(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

static void request(struct rem_arena *arena, const char *raw, size_t n)
{
    struct rem_h1_request req;

    rem_h1_request_init(&req, &rem_h1_limits_default, arena);
    REM_CHECK(rem_h1_request_parse(&req, raw, n) == REM_OK);
    use(&req);
}

static void run_tiny(struct rem_arena *arena)
{
    request(arena, tiny, sizeof(tiny) - 1);
}

static void run_browser(struct rem_arena *arena)
{
    request(arena, browser, sizeof(browser) - 1);
}

static void run_reply(struct rem_arena *arena)
{
    struct rem_h1_response resp;

    rem_h1_response_init(&resp, &rem_h1_limits_default, arena);
    REM_CHECK(rem_h1_response_parse(&resp, REM_H1_ASKED_OTHER, reply, sizeof(reply) - 1) == REM_OK);
    use(&resp);
}

static void run_parse_and_put(struct rem_arena *arena)
{
    struct rem_h1_response resp;
    struct rem_put put;
    char out[1024];

    rem_h1_response_init(&resp, &rem_h1_limits_default, arena);
    REM_CHECK(rem_h1_response_parse(&resp, REM_H1_ASKED_OTHER, reply, sizeof(reply) - 1) == REM_OK);
    rem_put_init(&put, out, sizeof(out));
    rem_put_status_line(&put, resp.code, resp.reason);
    rem_put_fields(&put, &resp.head.fields);
    REM_PUT_FIELD(&put, "Connection", REM_STR("keep-alive"));
    rem_put_crlf(&put);
    REM_CHECK(!put.full);
    use(out);
}

static void run_chunks(struct rem_arena *arena)
{
    static const char raw[] = "10\r\n0123456789abcdef\r\n0\r\n\r\n";
    struct rem_chunk_decoder d;
    struct rem_str data;
    size_t at = 0, used;

    rem_chunk_decoder_init(&d, &rem_h1_limits_default, arena);
    do {
        REM_CHECK(rem_chunk_decode(&d, raw + at, sizeof(raw) - 1 - at, &used, &data) == REM_OK);
        at += used;
    } while (data.n != 0);
    use(&d);
}

static void run_normal_path(struct rem_arena *arena)
{
    struct rem_str out;

    REM_CHECK(rem_uri_normalize(REM_STR("/assets/app/css/main.css"), true, arena, &out) == REM_OK);
    use(&out);
}

static void run_odd_path(struct rem_arena *arena)
{
    struct rem_str out;

    REM_CHECK(rem_uri_normalize(REM_STR("/assets//app/../css/main%20file.css"), true, arena,
                                &out) == REM_OK);
    use(&out);
}

static void run_date(struct rem_arena *arena)
{
    time_t when;

    (void)arena;
    REM_CHECK(rem_date_parse(REM_STR("Sun, 06 Nov 1994 08:49:37 GMT"), 0, &when) == REM_OK);
    use(&when);
}

static const struct job jobs[] = {
    {"request, tiny", run_tiny},
    {"request, browser, 10 fields", run_browser},
    {"response, 8 fields", run_reply},
    {"response parsed and written", run_parse_and_put},
    {"chunked body, one chunk", run_chunks},
    {"path, normal", run_normal_path},
    {"path, to be normalised", run_odd_path},
    {"date", run_date},
};

static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(void)
{
    struct rem_block_pool pool;
    struct rem_arena arena;

    rem_block_pool_init(&pool, 4096, 16);
    rem_arena_init(&arena, &pool);
    for (size_t i = 0; i < REM_COUNT(jobs); i++) {
        double best = 1e18;

        /* The best of several rounds: what disturbs only ever adds. */
        for (int round = 0; round < 10; round++) {
            enum { TURNS = 50000 };
            double start = now_ns();

            for (int turn = 0; turn < TURNS; turn++) {
                jobs[i].run(&arena);
                rem_arena_reset(&arena);
            }
            double each = (now_ns() - start) / TURNS;
            best = each < best ? each : best;
        }
        printf("%-32s %8.1f ns\n", jobs[i].name, best);
    }
    rem_block_pool_fini(&pool);
    return 0;
}
