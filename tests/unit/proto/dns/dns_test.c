/* SPDX-License-Identifier: Apache-2.0 */
/* Against a DNS server in the same loop, which answers as the test says, or not at all. */
#include "proto/dns/dns.h"

#include "proto/base/clock.h"

#include "tests/unit/suite.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FDS = 16 };

/* ---- the loop ---- */

static struct {
    int fd;
    bool read, write;
} watched[FDS];
static size_t watched_count;
static uint64_t timer_ms; /* when; 0: not set */
static uint64_t skew_ms;  /* the test's clock goes ahead */
static struct rem_dns *dns;

static uint64_t now_ms(void *data)
{
    (void)data;
    return rem_mono_ms() + skew_ms;
}

/* What this loop keeps of a descriptor. */
static void *mark_of(int fd)
{
    return (void *)((uintptr_t)fd + 1);
}

static int watch(void *data, int fd, bool read, bool write, void **kept)
{
    size_t i = 0;

    (void)data;
    while (i < watched_count && watched[i].fd != fd)
        i++;
    ck_assert_uint_lt(i, FDS);
    ck_assert_ptr_eq(*kept, i == watched_count ? NULL : mark_of(fd));
    if (!read && !write) {
        ck_assert_uint_lt(i, watched_count); /* it was known */
        watched[i] = watched[--watched_count];
        return REM_OK;
    }
    if (i == watched_count)
        watched_count++;
    watched[i].fd = fd;
    watched[i].read = read;
    watched[i].write = write;
    *kept = mark_of(fd);
    return REM_OK;
}

static void set_timer(void *data, uint64_t delay_ms)
{
    (void)data;
    timer_ms = now_ms(NULL) + delay_ms + 1;
}

static unsigned counts[REM_DNS_COUNTERS];

static void count(void *data, enum rem_dns_counter counter)
{
    (void)data;
    counts[counter]++;
}

/* ---- the server ---- */

static int server = -1;
static struct rem_addr server_addr;
static unsigned asked;      /* questions so far */
static int answer_code;     /* of the response; -1: silence */
static unsigned answer_ttl; /* of the A record; AAAA has none */

static void serve(void)
{
    unsigned char message[512];
    struct sockaddr_in peer;
    socklen_t peer_len = sizeof(peer);
    ssize_t n = recvfrom(server, message, sizeof(message), 0, (struct sockaddr *)&peer, &peer_len);
    bool is_a;

    ck_assert_int_gt(n, 12);
    asked++;
    if (answer_code < 0)
        return;
    is_a = message[n - 3] == 1; /* the type, in the question's end */
    message[2] = 0x81;
    message[3] = (unsigned char)(0x80 | answer_code);
    message[6] = 0;
    message[7] = is_a && answer_code == 0 ? 2 : 0;
    for (unsigned i = 0; i < message[7]; i++) {
        const unsigned char record[] = {0xc0,
                                        12,
                                        0,
                                        1,
                                        0,
                                        1,
                                        0,
                                        0,
                                        (unsigned char)(answer_ttl >> 8),
                                        (unsigned char)answer_ttl,
                                        0,
                                        4,
                                        127,
                                        0,
                                        0,
                                        (unsigned char)(1 + i)};
        memcpy(message + n, record, sizeof(record));
        n += (ssize_t)sizeof(record);
    }
    ck_assert_int_eq(sendto(server, message, (size_t)n, 0, (struct sockaddr *)&peer, peer_len), n);
}

/* Turns until `*done` has become `wanted`. */
static void turn_until(const unsigned *done, unsigned wanted)
{
    uint64_t end = rem_mono_ms() + 10000;

    while (*done < wanted) {
        struct pollfd fds[FDS + 1] = {{.fd = server, .events = POLLIN}};
        size_t count = watched_count;
        uint64_t now = now_ms(NULL);
        int wait = timer_ms == 0 ? 1000 : timer_ms > now ? (int)(timer_ms - now) : 0;

        ck_assert_msg(rem_mono_ms() < end, "%u of %u answers", *done, wanted);
        for (size_t i = 0; i < count; i++)
            fds[i + 1] = (struct pollfd){.fd = watched[i].fd,
                                         .events = (short)((watched[i].read ? POLLIN : 0) |
                                                           (watched[i].write ? POLLOUT : 0))};
        ck_assert_int_ge(poll(fds, (nfds_t)count + 1, wait < 1000 ? wait : 1000), 0);
        if (fds[0].revents != 0)
            serve();
        for (size_t i = 1; i <= count; i++)
            if (fds[i].revents != 0)
                rem_dns_on_fd(dns, fds[i].fd, fds[i].revents & ~POLLOUT, fds[i].revents & POLLOUT);
        if (timer_ms != 0 && now_ms(NULL) >= timer_ms) {
            timer_ms = 0;
            rem_dns_on_timer(dns);
        }
    }
}

/* ---- what came out ---- */

static unsigned done_count;
static int last_code;
static size_t last_count;
static uint64_t last_ttl_ms;
static char last_first[REM_ADDR_TEXT];

static void on_done(void *data, int code, const struct rem_dns_answer *answer)
{
    (void)data;
    done_count++;
    last_code = code;
    ck_assert_int_eq(answer != NULL, code == REM_DNS_OK);
    if (answer == NULL)
        return;
    last_count = answer->count;
    last_ttl_ms = answer->ttl_ms;
    rem_addr_text(&answer->targets[0].addr, last_first, sizeof(last_first));
}

static struct rem_dns_query *ask_for(const char *name, unsigned flags, uint64_t timeout_ms)
{
    const struct rem_dns_question question = {.name = rem_str_from(name),
                                              .port = 80,
                                              .timeout_ms = timeout_ms,
                                              .flags = flags,
                                              .done = on_done};
    struct rem_dns_query *query;

    ck_assert_int_eq(rem_dns_addrs(dns, &question, &query), REM_OK);
    return query;
}

static void open_dns(int64_t valid_ms)
{
    const struct rem_dns_spec spec = {
        .servers = &server_addr, .server_count = 1, .valid_ms = valid_ms};
    const struct rem_dns_io io = {
        .watch = watch, .set_timer = set_timer, .now_ms = now_ms, .count = count};

    rem_dns_free(&dns);
    ck_assert_int_eq(rem_dns_new(&spec, &io, &dns), REM_OK);
}

static void setup(void)
{
    socklen_t len = sizeof(server_addr.u.in);

    server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    server_addr = (struct rem_addr){.len = len};
    server_addr.u.in.sin_family = AF_INET;
    server_addr.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(server, &server_addr.u.sa, len), 0);
    ck_assert_int_eq(getsockname(server, &server_addr.u.sa, &len), 0);
    answer_code = 0;
    answer_ttl = 60;
    open_dns(-1);
}

static void teardown(void)
{
    rem_dns_free(&dns);
    ck_assert_uint_eq(watched_count, 0); /* all was given back */
    close(server);
}

START_TEST(answers_and_remembers)
{
    ck_assert_ptr_nonnull(ask_for("app.test", 0, 5000));
    turn_until(&done_count, 1);
    ck_assert_int_eq(last_code, REM_DNS_OK);
    ck_assert_uint_eq(last_count, 2);
    ck_assert_uint_gt(last_ttl_ms, 55000);
    ck_assert_str_eq(last_first, "127.0.0.1:80");
    ck_assert_uint_eq(asked, 2);
    /* Another time from memory, at once, whatever the letters' case; the addresses take turns. */
    ck_assert_ptr_null(ask_for("APP.test", 0, 5000));
    ck_assert_uint_eq(done_count, 2);
    ck_assert_str_eq(last_first, "127.0.0.2:80");
    ck_assert_uint_eq(asked, 2);
    /* Unless it is to be fresh, or too old. */
    ck_assert_ptr_nonnull(ask_for("app.test", REM_DNS_FRESH, 5000));
    turn_until(&done_count, 3);
    ck_assert_uint_eq(asked, 4);
    skew_ms += 61000;
    ck_assert_ptr_nonnull(ask_for("app.test", 0, 5000));
    turn_until(&done_count, 4);
    ck_assert_uint_eq(asked, 6);
    ck_assert_uint_eq(counts[REM_DNS_COUNT_NAME], 4);
    ck_assert_uint_eq(counts[REM_DNS_COUNT_NOERROR], 4);
}
END_TEST

START_TEST(valid_overrides_the_ttl)
{
    open_dns(1000);
    ask_for("app.test", 0, 5000);
    turn_until(&done_count, 1);
    ck_assert_uint_le(last_ttl_ms, 1000);
    skew_ms += 1001;
    ck_assert_ptr_nonnull(ask_for("app.test", 0, 5000));
    turn_until(&done_count, 2);
}
END_TEST

START_TEST(asks_once_for_many)
{
    for (int i = 0; i < 50; i++)
        ck_assert_ptr_nonnull(ask_for("app.test", 0, 5000));
    turn_until(&done_count, 50);
    ck_assert_uint_eq(asked, 2);
    ck_assert_int_eq(last_code, REM_DNS_OK);
}
END_TEST

static const struct {
    int code, expected;
} codes[] = {
    {1, REM_DNS_FORMERR}, {2, REM_DNS_SERVFAIL}, {3, REM_DNS_NXDOMAIN},
    {4, REM_DNS_NOTIMP},  {5, REM_DNS_REFUSED},
};

START_TEST(reports_failures_and_forgets_them)
{
    answer_code = codes[_i].code;
    ask_for("app.test", 0, 5000);
    turn_until(&done_count, 1);
    ck_assert_int_eq(last_code, codes[_i].expected);
    ck_assert_uint_eq(counts[REM_DNS_COUNT_NOERROR + codes[_i].code], 1);
    answer_code = 0;
    ask_for("app.test", 0, 5000);
    turn_until(&done_count, 2);
    ck_assert_int_eq(last_code, REM_DNS_OK);
}
END_TEST

START_TEST(waits_no_longer_than_told)
{
    uint64_t start = rem_mono_ms();

    answer_code = -1;
    ask_for("app.test", 0, 80);
    ask_for("app.test", 0, 160);
    turn_until(&done_count, 1);
    ck_assert_uint_ge(rem_mono_ms() - start, 80);
    ck_assert_int_eq(last_code, REM_DNS_TIMEDOUT);
    turn_until(&done_count, 2);
    ck_assert_uint_ge(rem_mono_ms() - start, 160);
    ck_assert_int_eq(last_code, REM_DNS_TIMEDOUT);
}
END_TEST

START_TEST(cancelled_is_not_told)
{
    struct rem_dns_query *gone = ask_for("app.test", 0, 5000);

    ask_for("app.test", 0, 5000);
    rem_dns_cancel(&gone);
    ck_assert_ptr_null(gone);
    rem_dns_cancel(&gone);
    turn_until(&done_count, 1);
    ck_assert_uint_eq(done_count, 1);
    /* And what is cancelled altogether is remembered all the same. */
    gone = ask_for("other.test", 0, 5000);
    rem_dns_cancel(&gone);
    turn_until(&asked, 4);
    ask_for("third.test", 0, 5000);
    turn_until(&done_count, 2);
    ck_assert_ptr_null(ask_for("other.test", 0, 5000));
    ck_assert_uint_eq(done_count, 3);
}
END_TEST

START_TEST(ends_with_questions_open)
{
    answer_code = -1;
    ask_for("app.test", 0, 5000);
    turn_until(&asked, 1);
    rem_dns_free(&dns);
    ck_assert_uint_eq(done_count, 0);
}
END_TEST

static const char *const bad_names[] = {"", "a b", "a\\b", "a\tb"};

START_TEST(refuses_names)
{
    const struct rem_dns_question question = {
        .name = rem_str_from(bad_names[_i]), .timeout_ms = 1000, .done = on_done};
    struct rem_dns_query *query;

    ck_assert_int_eq(rem_dns_addrs(dns, &question, &query), REM_EINVAL);
    ck_assert_ptr_null(query);
    ck_assert_uint_eq(done_count, 0);
}
END_TEST

/* A name that c-ares does not like fails before the call returns. */
START_TEST(fails_at_once)
{
    char name[] = "0123456789012345678901234567890123456789012345678901234567890123456789.test";

    ck_assert_ptr_null(ask_for(name, 0, 1000));
    ck_assert_uint_eq(done_count, 1);
    ck_assert_int_eq(last_code, REM_DNS_NXDOMAIN);
    ck_assert_ptr_null(ask_for("a..b", 0, 1000));
    ck_assert_uint_eq(done_count, 2);
}
END_TEST

/* Asks again for what it was told, and for so many other names that no answer is remembered. */
static void on_done_ask_more(void *data, int code, const struct rem_dns_answer *answer)
{
    char name[32];

    on_done(data, code, answer);
    ck_assert_ptr_null(ask_for("app.test", 0, 5000));
    answer_code = -1;
    for (int i = 0; i < 4200; i++) {
        (void)snprintf(name, sizeof(name), "n%d.test", i);
        ask_for(name, 0, 5000);
    }
}

/* Whoever is told may ask for the same name, and the answer stays until everybody has been told. */
START_TEST(asks_when_told)
{
    const struct rem_dns_question question = {
        .name = REM_STR("app.test"), .port = 80, .timeout_ms = 5000, .done = on_done_ask_more};
    struct rem_dns_query *query;

    ck_assert_int_eq(rem_dns_addrs(dns, &question, &query), REM_OK);
    turn_until(&done_count, 2);
    ck_assert_int_eq(last_code, REM_DNS_OK);
    ck_assert_ptr_null(ask_for("app.test", 0, 5000));
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, answers_and_remembers);
    tcase_add_test(all, valid_overrides_the_ttl);
    tcase_add_test(all, asks_once_for_many);
    tcase_add_loop_test(all, reports_failures_and_forgets_them, 0, REM_COUNT(codes));
    tcase_add_test(all, waits_no_longer_than_told);
    tcase_add_test(all, cancelled_is_not_told);
    tcase_add_test(all, ends_with_questions_open);
    tcase_add_loop_test(all, refuses_names, 0, REM_COUNT(bad_names));
    tcase_add_test(all, fails_at_once);
    tcase_add_test(all, asks_when_told);
    return run_suite("dns", all);
}
