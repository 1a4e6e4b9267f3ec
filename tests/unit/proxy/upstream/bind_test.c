/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/bind.c"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <unistd.h>

static const struct local_case {
    const char *text;
    const char *host; /* NULL: no address */
    uint16_t port;
} locals[] = {
    {"127.0.0.1", "127.0.0.1", 0},
    {"127.0.0.2:8080", "127.0.0.2", 8080},
    {"[::1]", "::1", 0},
    {"[::1]:65535", "::1", 65535},
    {"", NULL, 0},
    {"localhost", NULL, 0},
    {"unix:/tmp/x", NULL, 0},
    {"127.0.0.1:", NULL, 0},
    {"127.0.0.1:0", NULL, 0},
    {"127.0.0.1:65536", NULL, 0},
    {"127.0.0.256", NULL, 0},
    {"[::1", NULL, 0},
    {"127.0.0.1 ", NULL, 0},
};

START_TEST(texts)
{
    const struct local_case *c = &locals[_i];
    struct rem_addr addr = {0};
    char text[REM_ADDR_TEXT];
    int rc = parse_local(rem_str_from(c->text), &addr);

    if (c->host == NULL) {
        ck_assert_msg(rc == REM_EINVAL, "\"%s\": %d", c->text, rc);
        return;
    }
    ck_assert_msg(rc == 0, "\"%s\": %d", c->text, rc);
    (void)rem_addr_host_text(&addr, text, sizeof(text));
    ck_assert_str_eq(text, c->host);
    ck_assert_uint_eq(rem_addr_port(&addr), c->port);
}
END_TEST

/* Connections of one server that come from different places have different keys, and those of one
 * place have the same. */
START_TEST(keys)
{
    static const struct rem_value_op op = {.kind = REM_VALUE_VAR};
    const struct rem_upstream_bind one = {.number = 1}, other = {.number = 2},
                                   last = {.number = NUMBER_MAX},
                                   beyond = {.number = NUMBER_MAX + 1},
                                   variable = {.number = 3, .value = {.ops = &op, .n_ops = 1}};

    ck_assert_uint_eq(rem_bind_key(NULL, 7), 7);
    ck_assert_uint_ne(rem_bind_key(&one, 7), 7);
    ck_assert_uint_eq(rem_bind_key(&one, 7), rem_bind_key(&one, 7));
    ck_assert_uint_ne(rem_bind_key(&one, 7), rem_bind_key(&other, 7));
    ck_assert_uint_ne(rem_bind_key(&one, 7), rem_bind_key(&one, 8));
    ck_assert_uint_ne(rem_bind_key(&last, 7), rem_bind_key(&last, 8));
    ck_assert_uint_eq(rem_bind_key(&beyond, 7), 0);
    ck_assert_uint_eq(rem_bind_key(&variable, 7), 0);
    ck_assert_uint_eq(rem_bind_key(&one, 0), 0);
    ck_assert_uint_eq(rem_bind_key(&one, UINT64_C(1) << NUMBER_SHIFT), 0);
}
END_TEST

START_TEST(sockets)
{
    struct rem_upstream_local local = {0};
    struct sockaddr_in bound;
    socklen_t len = sizeof(bound);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(rem_bind_socket(fd, &local), 0); /* no address: nothing happens */
    ck_assert_int_eq(parse_local(rem_str_from("127.0.0.5"), &local.addr), 0);
    ck_assert_int_eq(rem_bind_socket(fd, &local), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
    ck_assert_uint_eq(ntohl(bound.sin_addr.s_addr), 0x7f000005);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(parse_local(rem_str_from("192.0.2.1"), &local.addr), 0); /* nobody's */
    ck_assert_int_eq(rem_bind_socket(fd, &local), REM_EIO);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
    close(fd);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("bind");

    tcase_add_loop_test(tc, texts, 0, (int)REM_COUNT(locals));
    tcase_add_test(tc, keys);
    tcase_add_test(tc, sockets);
    return run_suite("bind", tc);
}
