/* SPDX-License-Identifier: Apache-2.0 */
/* api_bench.c - changes per second through the admin API, and the agent's CPU time for each.
 *
 *   ninja bench_api_bench && tests/bench/api_bench.py     (a Release build; starts a remora, and
 * wrk)
 *
 * By hand: bench_api_bench SOCKET|PORT AGENT_PID [CASE...], against a running remora that has a
 * writable upstream "app" with two servers and a method without tables of its own.  */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 8 << 20, DEPTH = 32, LARGE = 10000 };

static int sock = -1;
static long agent_pid;
static char in[BUFFER];
static size_t in_n;
static char out[BUFFER];

static void die(const char *what)
{
    fprintf(stderr, "api_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A path, or a port on the loopback. */
static void dial(const char *where)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int on = 1;
    bool is_path = where[0] == '/';

    snprintf(path.sun_path, sizeof(path.sun_path), "%s", where);
    port.sin_port = htons((uint16_t)atoi(where));
    sock = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (sock < 0 || connect(sock, is_path ? (struct sockaddr *)&path : (struct sockaddr *)&port,
                            is_path ? sizeof(path) : sizeof(port)) != 0)
        die(where);
    if (!is_path && setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        die("setsockopt");
}

static void send_all(const char *p, size_t n)
{
    while (n != 0) {
        ssize_t sent = send(sock, p, n, MSG_NOSIGNAL);
        if (sent < 0)
            die("send");
        p += sent;
        n -= (size_t)sent;
    }
}

/* Takes one response out of `in`, reading what is missing.  Returns its status. */
static int response(void)
{
    for (;;) {
        char *end = in_n != 0 ? memmem(in, in_n, "\r\n\r\n", 4) : NULL;
        if (end != NULL) {
            char *length = memmem(in, (size_t)(end - in), "Content-Length: ", 16);
            size_t body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
            size_t total = (size_t)(end - in) + 4 + body;
            if (in_n >= total) {
                int status = atoi(in + 9);
                if (status >= 300)
                    fprintf(stderr, "api_bench: %.*s\n", (int)total, in);
                in_n -= total;
                memmove(in, in + total, in_n);
                return status;
            }
        }
        ssize_t n = recv(sock, in + in_n, sizeof(in) - in_n, 0);
        if (n <= 0)
            die("recv");
        in_n += (size_t)n;
    }
}

static size_t request(char *to, const char *method, const char *path, const char *body)
{
    return (size_t)sprintf(to,
                           "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\n\r\n%s",
                           method, path, strlen(body), body);
}

static int call(const char *method, const char *path, const char *body)
{
    send_all(out, request(out, method, path, body));
    return response();
}

/* ---- time ---- */

struct mark {
    double wall, cpu;
};

static double agent_cpu(void)
{
    unsigned long user = 0, sys = 0;
    char path[64], text[1024] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/stat", agent_pid);
    f = fopen(path, "r");
    if (f == NULL || fgets(text, sizeof(text), f) == NULL)
        die(path);
    fclose(f);
    char *rest = strrchr(text, ')');
    if (rest == NULL ||
        sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
        die(path);
    return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static struct mark now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct mark){(double)ts.tv_sec + (double)ts.tv_nsec / 1e9, agent_cpu()};
}

static void report(const char *name, struct mark from, int changes)
{
    struct mark to = now();
    double wall = to.wall - from.wall, cpu = to.cpu - from.cpu;

    printf("%-34s %9.0f /s  %9.3f ms each  agent %8.1f us each\n", name, changes / wall,
           wall * 1e3 / changes, cpu * 1e6 / changes);
    fflush(stdout);
}

/* ---- cases ---- */

/* Sends `count` requests that `make` writes, up to `depth` under way. */
static void run(const char *name, int count, int depth,
                size_t (*make)(char *to, int number, const void *data), const void *data)
{
    struct mark from = now();
    int sent = 0, got = 0;

    while (got < count) {
        size_t n = 0;
        while (sent < count && sent - got < depth)
            n += make(out + n, sent++, data);
        send_all(out, n);
        int wanted = depth > 1 && sent < count ? depth / 2 : 1; /* in halves, to stay busy */
        for (int i = 0; i < wanted && got < count; i++, got++)
            if (response() >= 300)
                die("refused");
    }
    report(name, from, count);
}

static size_t plus_weight(char *to, int number, const void *data)
{
    char body[64];

    snprintf(body, sizeof(body), "{\"weight\":%d}", 1 + number % 7);
    return request(to, "PATCH", data, body);
}

static size_t plus_drain(char *to, int number, const void *data)
{
    return request(to, "PATCH", data, number % 2 ? "{\"drain\":true}" : "{\"drain\":false}");
}

static size_t v1_weight(char *to, int number, const void *data)
{
    char body[256];

    (void)data;
    snprintf(
        body, sizeof(body),
        "{\"operations\":[{\"op\":\"update\",\"upstream\":\"app\",\"address\":\"127.0.0.1:81\","
        "\"server\":{\"weight\":%d}}]}",
        1 + number % 7);
    return request(to, "POST", "/v1/transactions", body);
}

static size_t plus_add(char *to, int number, const void *data)
{
    char body[64];

    snprintf(body, sizeof(body), "{\"server\":\"127.%d.%d.%d:81\"}", 1 + number / 62500,
             1 + number / 250 % 250, 1 + number % 250);
    return request(to, "POST", data, body);
}

static const char servers[] = "/api/9/http/upstreams/app/servers";

static char *large_body(int net, int weight)
{
    char *body = malloc(LARGE * 64 + 8), *at = body;

    if (body == NULL)
        die("memory");
    *at++ = '[';
    for (int i = 0; i < LARGE; i++)
        at += sprintf(at, "%s{\"server\":\"10.%d.%d.%d:80\",\"weight\":%d}", i != 0 ? "," : "", net,
                      i / 250, 1 + i % 250, i == 0 ? weight : 1);
    sprintf(at, "]");
    return body;
}

static size_t large_put(char *to, int number, const void *data)
{
    const char *const *bodies = data;

    return request(to, "PUT", "/v1/http/upstreams/app/servers", bodies[number % 2]);
}

/* The id of the upstream's first server, from the API. */
static int first_id(void)
{
    char text[4096] = "", *id;

    send_all(out, request(out, "GET", servers, ""));
    for (;;) {
        ssize_t n = recv(sock, text, sizeof(text) - 1, MSG_PEEK);
        if (n <= 0)
            die("recv");
        text[n] = '\0';
        id = strstr(text, "\"id\":");
        if (id != NULL)
            break;
    }
    if (response() != 200)
        die("list");
    return atoi(id + 5);
}

static void two_servers(void)
{
    if (call("PUT", "/v1/http/upstreams/app/servers",
             "[{\"server\":\"127.0.0.1:81\"},{\"server\":\"127.0.0.1:82\"}]") != 200)
        die("reset");
}

static void small_cases(int depth)
{
    char path[128], name[64];

    two_servers();
    snprintf(path, sizeof(path), "%s/%d", servers, first_id());
    snprintf(name, sizeof(name), "weight, PATCH, depth %d", depth);
    run(name, 40000, depth, plus_weight, path);
    snprintf(name, sizeof(name), "drain, PATCH, depth %d", depth);
    run(name, 40000, depth, plus_drain, path);
    snprintf(name, sizeof(name), "weight, /v1, depth %d", depth);
    run(name, depth > 1 ? 40000 : 10000, depth, v1_weight, NULL);
    snprintf(name, sizeof(name), "add up to 2000, POST, depth %d", depth);
    run(name, 2000, depth, plus_add, servers);
    two_servers();
}

/* Puts the large set a number of times. */
static void put_cases(int count)
{
    const char *bodies[3] = {large_body(0, 1), large_body(0, 2), large_body(1, 1)};
    const char *others[2] = {bodies[2], bodies[0]};

    run("PUT of 10,000 servers", count, 1, large_put, bodies);
    if (count > 1)
        run("PUT of 10,000 other servers", count, 1, large_put, others);
    for (int i = 0; i < 3; i++)
        free((char *)(uintptr_t)bodies[i]);
}

static void large_cases(void)
{
    char path[128];

    put_cases(1);
    snprintf(path, sizeof(path), "%s/%d", servers, first_id());
    run("weight in 10,000, PATCH, depth 1", 400, 1, plus_weight, path);
    run("weight in 10,000, PATCH, depth 32", 4000, DEPTH, plus_weight, path);
    run("drain in 10,000, PATCH, depth 1", 400, 1, plus_drain, path);
    two_servers();
}

int main(int argc, char **argv)
{
    bool all = argc == 3;

    if (argc < 3) {
        fprintf(stderr,
                "usage: bench_api_bench SOCKET|PORT AGENT_PID [small|pipelined|put|large...]\n");
        return 2;
    }
    agent_pid = atol(argv[2]);
    dial(argv[1]);
    for (int i = all ? 2 : 3; i < argc; i++) {
        if (all || strcmp(argv[i], "small") == 0)
            small_cases(1);
        if (all || strcmp(argv[i], "pipelined") == 0)
            small_cases(DEPTH);
        if (all || strcmp(argv[i], "put") == 0)
            put_cases(20);
        if (all || strcmp(argv[i], "large") == 0)
            large_cases();
    }
    close(sock);
    return 0;
}
