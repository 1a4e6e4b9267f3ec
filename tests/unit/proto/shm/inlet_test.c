/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/inlet.h"

#include "tests/unit/proto/shm/fixture.h"

#include <stdio.h>
#include <unistd.h>

static int connect_to(const struct rem_inlet *inlet)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, &inlet->addr.u.sa, inlet->addr.len), 0);
    return fd;
}

static bool same_address(const struct rem_inlet *a, const struct rem_inlet *b)
{
    return a->addr.len == b->addr.len && memcmp(&a->addr.u, &b->addr.u, a->addr.len) == 0;
}

START_TEST(opens_where_one_can_connect)
{
    struct rem_inlet a, b;
    int fd, accepted;

    rem_inlet_init(&a);
    ck_assert(!rem_inlet_is_open(&a));
    rem_inlet_close(&a);
    ck_assert_int_eq(rem_inlet_open(&a), 0);
    ck_assert_int_eq(rem_inlet_open(&b), 0);
    ck_assert(rem_inlet_is_open(&a));
    ck_assert(!same_address(&a, &b));
    ck_assert_str_ne(a.secret, b.secret);
    ck_assert_uint_eq(strlen(a.secret), REM_INLET_SECRET);
    fd = connect_to(&a);
    accepted = accept(a.fd, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    ck_assert(rem_inlet_is_ours(accepted));
    close(fd);
    close(accepted);
    rem_inlet_close(&a);
    rem_inlet_close(&b);
    ck_assert_int_eq(a.fd, -1);
}
END_TEST

START_TEST(is_passed_on)
{
    struct rem_inlet old, next;
    char secret[REM_INLET_SECRET + 1];
    int fd, wrong[2];

    rem_inlet_init(&next);
    ck_assert_int_eq(rem_inlet_open(&old), 0);
    memcpy(secret, old.secret, sizeof(secret));
    ck_assert_int_eq(rem_inlet_adopt(&next, old.fd, "short"), REM_EINVAL);
    ck_assert_int_eq(pipe(wrong), 0);
    ck_assert_int_eq(rem_inlet_adopt(&next, wrong[0], secret), REM_EINVAL);
    ck_assert(!rem_inlet_is_open(&next));
    ck_assert_int_eq(rem_inlet_adopt(&next, dup(old.fd), secret), 0);
    ck_assert(same_address(&old, &next));
    ck_assert_str_eq(next.secret, secret);
    rem_inlet_close(&old);
    fd = connect_to(&next);
    close(fd);
    close(wrong[0]);
    close(wrong[1]);
    rem_inlet_close(&next);
}
END_TEST

static const struct field_case {
    const char *before;
    bool secret;
    const char *behind;
    bool good, write;
} field_cases[] = {
    {"", true, " write", true, true},
    {"", true, " read", true, false},
    {"", true, "", false, false},
    {"", true, " ", false, false},
    {"", true, " admin", false, false},
    {"", true, "  write", false, false},
    {"", true, " write ", false, false},
    {" ", true, " write", false, false},
    {"", false, "", false, false},
    {"", false, "write", false, false},
    {"00000000000000000000000000000000", false, " write", false, false},
};

START_TEST(only_the_secret_counts)
{
    const struct field_case *c = &field_cases[_i];
    struct rem_inlet inlet = {.fd = -1, .secret = "0123456789abcdef0123456789abcdef"};
    char text[128];
    bool write = false;

    (void)snprintf(text, sizeof(text), "%s%s%s", c->before, c->secret ? inlet.secret : "",
                   c->behind);
    ck_assert_msg(rem_inlet_check(&inlet, rem_str_from(text), &write) == c->good, "%s", text);
    if (c->good)
        ck_assert_int_eq(write, c->write);
    for (size_t i = 0; c->good && i < REM_INLET_SECRET; i++) {
        text[i]++;
        ck_assert_msg(!rem_inlet_check(&inlet, rem_str_from(text), &write), "digit %zu", i);
        text[i]--;
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("inlet");

    tcase_add_test(tcase, opens_where_one_can_connect);
    tcase_add_test(tcase, is_passed_on);
    tcase_add_loop_test(tcase, only_the_secret_counts, 0, REM_COUNT(field_cases));
    return run_suite("inlet", tcase);
}
