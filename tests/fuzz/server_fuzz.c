/* SPDX-License-Identifier: Apache-2.0 */
/* server_fuzz.c - a whole worker: what a client says to it, and what the server behind it answers.
 *
 * Input:      a byte of choices (enum choice), a byte that says where the client's bytes are cut in
 *             two, the client's bytes, FF FF, the server's bytes.
 * Reached:    heads, bodies, PROXY protocol, realip, rewrite, captures, maps, variables, log
 * formats, static files, ranges, gzip, gunzip, sub_filter, subrequests, proxying, tunnels. Checked:
 * when the client has gone, no connection, no request and no pin is left.  */
#include "proto/shm/writer.h"
#include "proxy/http/h1_server.h"
#include "proxy/net/worker.h"
#include "proxy/process/generation.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum choice {
    CHOOSE_PROXY_PROTOCOL = 1 << 0,
    CHOOSE_HALF_CLOSE = 1 << 1,    /* the client sends FIN behind its bytes */
    CHOOSE_SERVER_CLOSES = 1 << 2, /* the server behind its */
    CHOOSE_SERVER_PIECES = 1 << 3, /* its bytes come in two pieces */
};

enum { SERVERS = 16, TURNS = 40, TURNS_END = 2000 };

static struct world {
    char dir[32];
    struct rem_generation *gen;
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_worker worker;
    struct rem_post stop;
    int listener;         /* of the server behind */
    int servers[SERVERS]; /* its connections; -1: none */
    bool answered[SERVERS];
} w;

static const char conf[] =
    "error_log /dev/null info; pid pid;\n"
    "events { worker_connections 256; }\n"
    "http {\n"
    "  log_format plain '$request_method $uri $args $http_user_agent $cookie_c $upstream_addr "
    "$upstream_status $upstream_http_x $sent_http_x $proxy_protocol_addr $realip_remote_addr "
    "$proxy_protocol_tlv_alpn $request_uri $host $status $request_body';\n"
    "  log_format json escape=json '$request $http_x $arg_a $remote_addr $upstream_cookie_c';\n"
    "  access_log /dev/null plain;\n  access_log /dev/null json if=$http_x;\n"
    "  map $http_x $m { default none; ~^(?<first>.)(.*)$ $2-$first; ~*(b+) <$1>; xyz $host; }\n"
    "  map $host $n { hostnames; default 0; *.example 1; .test 2; www.* 3; }\n"
    "  geo $http_x $g { ranges; default no; 10.0.0.0-10.0.0.255 ten; }\n"
    "  geo $t { default no; proxy 127.0.0.0/8; 10.0.0.0/8 ten; 2001:db8::/32 six; }\n"
    "  split_clients $arg_s $s { 50% half; 0.01% bit; * rest; }\n"
    "  include upstreams.conf;\n"
    "  client_body_buffer_size 64; client_max_body_size 4k; client_body_in_single_buffer on;\n"
    "  proxy_http_version 1.1; proxy_next_upstream error timeout invalid_header http_503;\n"
    "  proxy_ignore_headers X-Accel-Limit-Rate;\n" /* nothing is to wait for the clock */
    "  proxy_set_header Connection ''; proxy_set_header X-Real-IP $remote_addr;\n"
    "  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
    "  gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any; gzip_vary on;\n"
    "  server {\n"
    "    listen 127.0.0.1:1; listen 127.0.0.1:2 proxy_protocol;\n"
    "    server_name t.example ~^(?<label>[a-z]+)\\.(?<zone>.+)$;\n"
    "    set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8; real_ip_recursive on;\n"
    "    real_ip_header X-Forwarded-For;\n"
    "    root .; error_page 404 = @missing; error_page 502 504 =200 /file;\n"
    "    if ($http_x ~* \"^if(a+)(b*)\") { set $v $1$2$m; return 203 \"$v $1\"; }\n"
    "    location / { expires modified 1h; add_header X-M \"$m $n $g $t $s\" always; }\n"
    "    location @missing { return 404 \"$uri $is_args$args $label $zone\"; }\n"
    "    location /html { charset utf-8; sub_filter ab \"[$m]\"; sub_filter $arg_a 'x';\n"
    "      sub_filter_once off; sub_filter_types *; alias ./file; max_ranges 8; }\n"
    "    location /r/ { rewrite ^/r/(.)(.*)$ /$2/$1?x=$2&$args last; }\n"
    "    location /loop/ { rewrite ^/loop/(.*)$ /loop/$1$1; }\n"
    "    location /red/ { rewrite ^/red/(.*)$ http://$host/$1? redirect; }\n"
    "    location ~ ^/cap/(?<p>[^/]*)/(.*)$ { return 200 \"$p $2 $1 $arg_a $cookie_c $http_x "
    "$request_id $binary_remote_addr $content_length $http_cookie\"; }\n"
    "    location ~* ^/alias/(.*)\\.x$ { alias ./$1; }\n"
    "    location /try { try_files $uri $uri/ /$arg_a /p/; }\n"
    "    location /p/ { proxy_pass http://u; proxy_redirect ~^http://([^/]*)(.*)$ /$1/x$2;\n"
    "      proxy_redirect / /y/; proxy_cookie_domain ~(.*)\\.example $1.test;\n"
    "      proxy_cookie_path /a/ /b/; proxy_cookie_flags c secure samesite=lax; gunzip on;\n"
    "      sub_filter x <y>; sub_filter_types *; proxy_intercept_errors on; }\n"
    "    location /base/ { proxy_pass http://h/other/; proxy_buffer_size 4k; }\n"
    "    location /un/ { proxy_pass http://u; proxy_buffering off; proxy_request_buffering off;\n"
    "      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;\n"
    "      gzip off; early_hints 1; add_trailer X-T $upstream_trailer_x; }\n"
    "    location /one/ { proxy_pass http://u; proxy_http_version 1.0; proxy_force_ranges on; }\n"
    "    location /var/ { proxy_pass http://u$request_uri; proxy_set_body \"$m$request_body\";\n"
    "      proxy_method $http_x; }\n"
    "    location /auth/ { auth_request /base/; auth_request_set $a $upstream_http_x;\n"
    "      add_header X-A $a; }\n"
    "    location /add/ { add_before_body /file; add_after_body /p/; addition_types *;\n"
    "      try_files /file =404; }\n"
    "    location /mirror/ { mirror /base/; proxy_pass http://h; }\n"
    "    location /basic/ { auth_basic r; auth_basic_user_file users; satisfy any; deny all; }\n"
    "    location /in/ { internal; proxy_pass http://u; }\n"
    "    location /ref/ { valid_referers none blocked *.example ~x$; if ($invalid_referer) {\n"
    "      return 403; } limit_except GET { deny all; } return 204; }\n"
    "  }\n"
    "}\n";

static const char upstreams[] =
    "upstream u { zone u; server unix:%s/s; keepalive 2; sticky cookie sid path=/; }\n"
    "upstream h { zone h; server unix:%s/s; hash $arg_s$http_x consistent; }\n";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void drop_dir(void)
{
    (void)nftw(w.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_file(const char *name, const char *text)
{
    char path[64];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", w.dir, name);
    f = fopen(path, "w");
    REM_CHECK(f != NULL && fputs(text, f) >= 0);
    REM_CHECK(fclose(f) == 0);
}

/* A directory of our own is the prefix; what requests do to files stays in there. */
static void make_files(void)
{
    char text[3000];

    strcpy(w.dir, "/tmp/remora-fuzz-XXXXXX");
    REM_CHECK(mkdtemp(w.dir) != NULL && atexit(drop_dir) == 0);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "abcab\n"[i % 6];
    text[sizeof(text) - 1] = '\0';
    put_file("file", text);
    put_file("index.html", "<html>ab</html>");
    put_file("users", "user:{PLAIN}secret\n");
    (void)snprintf(text, sizeof(text), upstreams, w.dir, w.dir);
    put_file("upstreams.conf", text);
    put_file("fuzz.conf", conf);
}

static void make_listener(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", w.dir);
    w.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    REM_CHECK(w.listener >= 0);
    REM_CHECK(bind(w.listener, (struct sockaddr *)(void *)&addr, sizeof(addr)) == 0);
    REM_CHECK(listen(w.listener, SERVERS) == 0);
    for (int i = 0; i < SERVERS; i++)
        w.servers[i] = -1;
}

/* What the agent does at a start. */
static void make_registry(const struct rem_setup *setup)
{
    struct rem_upstream_spec specs[8];
    struct rem_registry_conf registry = {.upstreams = specs, .generation = 1};
    struct rem_err err;

    REM_CHECK(setup->upstream_count <= REM_COUNT(specs));
    for (; registry.upstream_count < setup->upstream_count; registry.upstream_count++)
        specs[registry.upstream_count] = *setup->upstreams[registry.upstream_count];
    registry.tables = REM_ARRAY_OF(&setup->tables, struct rem_table_spec);
    registry.table_count = setup->tables.n;
    REM_CHECK(rem_region_create(&w.region, 16 << 20, 1) == REM_OK);
    REM_CHECK(rem_writer_new(&w.region, &w.writer, &err) == REM_OK);
    REM_CHECK(rem_writer_reconcile(w.writer, &registry, &err) == REM_OK);
}

static void on_stop(struct rem_post *post)
{
    (void)post;
    rem_loop_stop(&w.worker.loop);
}

static void start(void)
{
    const struct rem_options options = {.prefix = w.dir, .conf = "fuzz.conf"};
    const struct rem_reporter to = {.terminal = stderr};
    struct rem_setup *setup;
    struct rem_err err;

    make_files();
    make_listener();
    REM_CHECK(rem_generation_load(&options, &to, &w.gen) == REM_OK);
    REM_CHECK(rem_generation_prepare(w.gen, &to) == REM_OK);
    setup = &w.gen->setup;
    make_registry(setup);
    REM_CHECK(rem_zones_open(setup->zones, NULL, &err) == REM_OK);
    REM_CHECK(rem_stats_open(setup->stats, w.region.header, 1, &err) == REM_OK);
    w.worker = (struct rem_worker){.setup = setup, .generation = 1};
    w.worker.counters = rem_region_worker(&w.region, 0);
    rem_reader_init(&w.worker.reader, &w.region, 0);
    rem_stats_use(setup->stats, 0);
    REM_CHECK(rem_worker_init(&w.worker) == REM_OK);
    REM_CHECK(setup->worker_init == NULL || setup->worker_init(&w.worker) == REM_OK);
    rem_post_init(&w.stop, on_stop);
}

static void turn(void)
{
    w.worker.loop.stopping = false;
    rem_loop_post(&w.worker.loop, &w.stop);
    rem_loop_run(&w.worker.loop);
}

static void drain(int fd)
{
    char got[16384];

    while (recv(fd, got, sizeof(got), MSG_DONTWAIT) > 0)
        ;
}

/* ---- the server behind ---- */

static void server_accept(void)
{
    for (int i = 0; i < SERVERS; i++) {
        if (w.servers[i] >= 0)
            continue;
        w.servers[i] = accept4(w.listener, NULL, NULL, SOCK_NONBLOCK);
        w.answered[i] = false;
        if (w.servers[i] < 0)
            return;
    }
}

static void server_turn(struct rem_str text, unsigned choices)
{
    server_accept();
    for (int i = 0; i < SERVERS; i++) {
        size_t cut = choices & CHOOSE_SERVER_PIECES ? text.n / 2 : 0;

        if (w.servers[i] < 0)
            continue;
        drain(w.servers[i]);
        if (w.answered[i])
            continue;
        w.answered[i] = true;
        (void)!send(w.servers[i], text.p, cut, MSG_NOSIGNAL);
        turn();
        (void)!send(w.servers[i], text.p + cut, text.n - cut, MSG_NOSIGNAL);
        if (choices & CHOOSE_SERVER_CLOSES)
            shutdown(w.servers[i], SHUT_WR);
    }
}

static void server_end(void)
{
    server_accept();
    for (int i = 0; i < SERVERS; i++) {
        if (w.servers[i] >= 0)
            close(w.servers[i]);
        w.servers[i] = -1;
    }
}

/* ---- the client ---- */

static int client_connect(bool proxy_protocol)
{
    struct rem_list *at = w.gen->setup.listeners.next;
    struct rem_addr peer = {.len = sizeof(sa_family_t)};
    int pair[2];

    if (proxy_protocol)
        at = at->next;
    peer.u.sa.sa_family = AF_UNIX;
    REM_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    REM_CHECK(rem_worker_acquire(&w.worker) == REM_OK);
    rem_h1_server_accept(&w.worker, REM_LIST_ENTRY(at, struct rem_listener, node), pair[1], &peer);
    return pair[0];
}

static void talk(struct rem_str client, size_t cut, struct rem_str server, unsigned choices)
{
    int fd = client_connect(choices & CHOOSE_PROXY_PROTOCOL);

    (void)!send(fd, client.p, cut, MSG_NOSIGNAL);
    turn();
    (void)!send(fd, client.p + cut, client.n - cut, MSG_NOSIGNAL);
    if (choices & CHOOSE_HALF_CLOSE)
        shutdown(fd, SHUT_WR);
    for (int i = 0; i < TURNS && w.worker.connections > 0; i++) {
        turn();
        server_turn(server, choices);
        drain(fd);
    }
    close(fd);
}

/* Whatever the two have said, the worker is as it was before. */
static void check_end(void)
{
    struct rem_shm_worker *counters = w.worker.counters;

    for (int i = 0; i < TURNS_END && w.worker.connections > 0; i++) {
        server_end();
        turn();
    }
    turn();
    REM_CHECK(w.worker.connections == 0);
    REM_CHECK(rem_list_empty(&w.worker.clients));
    REM_CHECK(atomic_load(&counters->requests_current) == 0);
    REM_CHECK(atomic_load(&counters->conn_reading) == 0);
    REM_CHECK(atomic_load(&counters->conn_writing) == 0);
    REM_CHECK(atomic_load(&counters->conn_waiting) == 0);
    for (size_t i = 0; i < w.gen->setup.upstream_count; i++) {
        struct rem_upstream_status status;
        struct rem_arena arena;

        rem_arena_init(&arena, NULL);
        REM_CHECK(rem_writer_status(w.writer, i, rem_mono_ms(), &arena, &status) == REM_OK);
        for (size_t s = 0; s < status.server_count; s++)
            REM_CHECK(status.servers[s].active == 0);
        rem_arena_reset(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_str client, server = REM_STR("");
    const char *mark;

    if (size < 3)
        return 0;
    if (w.gen == NULL)
        start();
    client = rem_str_make((const char *)data + 2, size - 2);
    mark = memmem(client.p, client.n, "\xff\xff", 2);
    if (mark != NULL) {
        server = rem_str_skip(client, (size_t)(mark - client.p) + 2);
        client.n = (size_t)(mark - client.p);
    }
    talk(client, data[1] * client.n / 256, server, data[0]);
    check_end();
    return 0;
}
