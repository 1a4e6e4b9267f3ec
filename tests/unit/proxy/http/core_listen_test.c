/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/core_listen.h"

#include "tests/unit/proxy/http/http_conf.h"

static void addresses_of(const struct rem_listener *listener, struct rem_sbuf *out)
{
    const struct rem_http_port *port = listener->data;

    for (uint32_t i = 0; i < port->n; i++)
        rem_sbuf_addf(out, "%s%s", i != 0 ? "+" : "", port->addresses[i]->text.p);
}

/* All listeners, "socket" or "guest+socket", in order. */
static const char *listeners(void)
{
    static char text[512];
    struct rem_sbuf sb;

    rem_sbuf_init(&sb);
    REM_LIST_EACH(node, &hc.setup.listeners) {
        if (sb.n != 0)
            rem_sbuf_addc(&sb, ' ');
        addresses_of(REM_LIST_ENTRY(node, struct rem_listener, node), &sb);
    }
    snprintf(text, sizeof(text), "%.*s", REM_STR_ARG(rem_sbuf_str(&sb)));
    rem_sbuf_fini(&sb);
    return text;
}

static const struct {
    const char *servers, *listeners;
} good[] = {
    {"server { }", "0.0.0.0:80"},
    {"server { listen 81; }", "0.0.0.0:81"},
    {"server { listen *; }", "0.0.0.0:80"},
    {"server { listen *:81; }", "0.0.0.0:81"},
    {"server { listen 127.0.0.1; }", "127.0.0.1:80"},
    {"server { listen 127.0.0.1:81; }", "127.0.0.1:81"},
    {"server { listen [::]:81; }", "[::]:81"},
    {"server { listen [::1]; }", "[::1]:80"},
    {"server { listen unix:/tmp/s; }", "unix:/tmp/s"},
    {"server { listen 81; listen [::]:81; }", "0.0.0.0:81 [::]:81"},
    {"server { listen 81; } server { listen 81; }", "0.0.0.0:81"},
    {"server { listen 81-83; }", "0.0.0.0:81 0.0.0.0:82 0.0.0.0:83"},
    {"server { listen 127.0.0.1:81-82; }", "127.0.0.1:81 127.0.0.1:82"},
    {"server { listen [::1]:81-82; }", "[::1]:81 [::1]:82"},
    /* a wildcard's socket takes in the others of its port and family */
    {"server { listen 127.0.0.1:81; } server { listen 81; }", "127.0.0.1:81+0.0.0.0:81"},
    {"server { listen 81; } server { listen 127.0.0.1:81; } server { listen 127.0.0.2:81; }",
     "127.0.0.1:81+127.0.0.2:81+0.0.0.0:81"},
    {"server { listen 81; } server { listen 127.0.0.1:82; }", "0.0.0.0:81 127.0.0.1:82"},
    {"server { listen [::]:81; } server { listen 127.0.0.1:81; }", "[::]:81 127.0.0.1:81"},
    {"server { listen 81; } server { listen 127.0.0.1:81 bind; }", "0.0.0.0:81 127.0.0.1:81"},
};

START_TEST(sockets)
{
    make_dir();
    for (size_t i = 0; i < REM_COUNT(good); i++) {
        ck_assert_msg(http_load(good[i].servers) == 0, "%s: %s", good[i].servers, reported());
        ck_assert_msg(strcmp(listeners(), good[i].listeners) == 0, "%s: \"%s\", want \"%s\"",
                      good[i].servers, listeners(), good[i].listeners);
        http_unload();
    }
    drop_dir();
}
END_TEST

START_TEST(options)
{
    const struct rem_listen_options *o;

    make_dir();
    ck_assert_int_eq(http_load("server { listen 81 backlog=7 rcvbuf=8k sndbuf=1m fastopen=3 "
                               "reuseport deferred ipv6only=off so_keepalive=1m:2s:3; }"),
                     0);
    o = &REM_LIST_ENTRY(hc.setup.listeners.next, struct rem_listener, node)->options;
    ck_assert_int_eq(o->backlog, 7);
    ck_assert_int_eq(o->rcvbuf, 8192);
    ck_assert_int_eq(o->sndbuf, 1 << 20);
    ck_assert_int_eq(o->fastopen, 3);
    ck_assert(o->reuseport && o->deferred && !o->ipv6only);
    ck_assert_int_eq(o->keepalive, 1);
    ck_assert_int_eq(o->keepidle, 60);
    ck_assert_int_eq(o->keepintvl, 2);
    ck_assert_int_eq(o->keepcnt, 3);
    http_unload();

    ck_assert_int_eq(http_load("server { listen 81; }"), 0);
    o = &REM_LIST_ENTRY(hc.setup.listeners.next, struct rem_listener, node)->options;
    ck_assert_int_eq(o->backlog, 511);
    ck_assert_int_eq(o->fastopen, -1);
    ck_assert_int_eq(o->keepalive, -1);
    ck_assert(!o->reuseport && !o->deferred && o->ipv6only);
    http_unload();
    drop_dir();
}
END_TEST

static const struct {
    const char *servers, *report;
} bad[] = {
    {"server { listen 80; listen 80; }", "a duplicate listen 0.0.0.0:80"},
    {"server { listen 80 default_server; } server { listen *:80 default_server; }",
     "a duplicate default server for 0.0.0.0:80"},
    {"server { listen 80 backlog=5; } server { listen 80 backlog=5; }",
     "duplicate listen options for 0.0.0.0:80"},
    {"server { listen 80 foo; }", "invalid parameter \"foo\""},
    {"server { listen 80 backlog=0; }", "invalid backlog \"backlog=0\""},
    {"server { listen 80 backlog=; }", "invalid backlog \"backlog=\""},
    {"server { listen 80 rcvbuf=x; }", "invalid rcvbuf \"rcvbuf=x\""},
    {"server { listen 80 sndbuf=99999999999; }", "invalid sndbuf \"sndbuf=99999999999\""},
    {"server { listen 80 ipv6only=x; }", "invalid parameter \"ipv6only=x\""},
    {"server { listen 80 so_keepalive=x; }", "invalid so_keepalive value: \"x\""},
    {"server { listen 80 so_keepalive=::; }", "invalid so_keepalive value: \"::\""},
    {"server { listen 80 so_keepalive=1:2:3:4; }", "invalid so_keepalive value: \"1:2:3:4\""},
    {"server { listen 80 setfib=1; }", "invalid parameter \"setfib=1\""},
    {"server { listen 80 ssl; }",
     "the \"ssl\" parameter of the \"listen\" directive is not supported yet"},
    {"server { listen 80 http2; }",
     "the \"http2\" parameter of the \"listen\" directive is not supported yet"},
    {"server { listen 80 quic; }",
     "the \"quic\" parameter of the \"listen\" directive is not supported yet"},
    {"server { listen 80 http2; }",
     "the \"http2\" parameter of the \"listen\" directive is not supported yet"},
    {"server { listen 0; }", "invalid port in \"0\" of the \"listen\" directive"},
    {"server { listen 65536; }", "invalid port in \"65536\" of the \"listen\" directive"},
    {"server { listen 127.0.0.1:x; }",
     "invalid port in \"127.0.0.1:x\" of the \"listen\" directive"},
    {"server { listen 90-80; }", "invalid port range in \"90-80\" of the \"listen\" directive"},
    {"server { listen 80-65536; }",
     "invalid port range in \"80-65536\" of the \"listen\" directive"},
    {"server { listen unix:; }",
     "no path in the unix domain socket in \"unix:\" of the \"listen\" directive"},
};

START_TEST(what_is_refused)
{
    char want[256];

    make_dir();
    for (size_t i = 0; i < REM_COUNT(bad); i++) {
        snprintf(want, sizeof(want), "%s in DIR/c.conf:1\n", bad[i].report);
        ck_assert_msg(http_load(bad[i].servers) < 0, "%s was taken", bad[i].servers);
        ck_assert_msg(strcmp(reported(), want) == 0, "%s: \"%s\"", bad[i].servers, reported());
        http_unload();
    }
    drop_dir();
}
END_TEST

/* A connection to a wildcard's socket is for the address it came in on. */
START_TEST(which_address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct rem_listener *listener;
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[256];

    make_dir();
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(text, sizeof(text),
             "server { listen %u; server_name any; }"
             "server { listen 127.0.0.1:%u; server_name loop; }"
             "server { listen 127.0.0.2:%u; server_name other; }",
             ntohs(in.sin_port), ntohs(in.sin_port), ntohs(in.sin_port));
    ck_assert_int_eq(http_load(text), 0);
    listener = REM_LIST_ENTRY(hc.setup.listeners.next, struct rem_listener, node);
    ck_assert(rem_str_is(rem_core_address(listener, fd)->fallback->name, "loop"));
    close(fd);

    /* any other local address belongs to the wildcard */
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 2);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    ck_assert(rem_str_is(rem_core_address(listener, fd)->fallback->name, "any"));
    close(fd);
    http_unload();
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("listen");

    tcase_add_test(tc, sockets);
    tcase_add_test(tc, options);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, which_address);
    return run_tests(tc);
}
