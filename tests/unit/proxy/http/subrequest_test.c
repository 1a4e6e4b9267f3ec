/* SPDX-License-Identifier: Apache-2.0 */
/* Subrequests and their order.  A request's URI names a script, one letter; the script is what it
 * sends, letter by letter, with <x> where the subrequest "/x" stands, and ! where it pauses until
 * the test lets somebody go on. */
#include "tests/unit/proxy/http/fixture.h"

#include "proxy/http/order.h"
#include "proxy/http/subrequest.h"

enum { WAITING_MAX = 64 };

static const char *scripts[256];

/* A letter on its way; in the request's arena. */
struct letter {
    struct rem_buf buf;
    char text;
    bool lent;
};

static struct running {
    struct rem_request *request;
    const char *at;
} waiting[WAITING_MAX];
static size_t n_waiting;
static unsigned lent, returned, refused, started, ran, freed;

static void on_letter_done(struct rem_buf *buf)
{
    struct letter *letter = REM_CONTAINER(buf, struct letter, buf);

    ck_assert(letter->lent);
    letter->lent = false;
    returned++;
}

static int send_letter(struct rem_request *request, char text, bool final)
{
    struct letter *letter = rem_arena_zalloc(&request->arena, sizeof(*letter));

    letter->text = text;
    letter->lent = true;
    letter->buf = (struct rem_buf){.pos = &letter->text,
                                   .last = &letter->text + (text != '\0'),
                                   .fd = -1,
                                   .final = final,
                                   .flush = true,
                                   .done = on_letter_done};
    lent++;
    return rem_http_send_body(request, &letter->buf);
}

static void start_child(struct rem_request *request, char name)
{
    struct rem_subrequest_spec spec = {.kind = REM_SUBREQUEST_OUTPUT};
    struct rem_str uri = rem_arena_printf(&request->arena, "/%c", name);

    spec.uri = uri;
    if (rem_subrequest_start(request, &spec, NULL) == 0)
        started++;
    else
        refused++;
}

/* Goes on until the script pauses or ends. */
static void run_script(struct rem_request *request, const char *at)
{
    for (; *at != '\0'; at++) {
        int rc = REM_OK;

        if (*at == '!') {
            ck_assert_uint_lt(n_waiting, WAITING_MAX);
            waiting[n_waiting++] = (struct running){request, at + 1};
            return;
        }
        if (*at == '<') {
            start_child(request, at[1]);
            at += 2;
        } else if (*at == '#') { /* breaks off */
            rem_request_finalize(request, REM_HTTP_ERROR);
            return;
        } else {
            rc = send_letter(request, *at, false);
        }
        if (rc != REM_OK && rc != REM_EAGAIN) {
            rem_request_finalize(request, REM_HTTP_ERROR);
            return;
        }
    }
    (void)!send_letter(request, '\0', true);
    rem_request_finalize(request, REM_HTTP_OK);
}

static void on_over(void *data)
{
    struct rem_request *request = data;

    for (size_t i = 0; i < n_waiting; i++) {
        if (waiting[i].request == request)
            waiting[i--] = waiting[--n_waiting];
    }
}

static void on_freed(void *data)
{
    (void)data;
    freed++;
}

static void watch(struct rem_request *request)
{
    ran++;
    ck_assert_int_eq(rem_arena_on_reset(&request->arena, on_freed, NULL), 0);
}

static int on_content(struct rem_request *request)
{
    const char *script = scripts[(unsigned char)request->uri.p[1]];

    ck_assert_ptr_nonnull(script);
    ck_assert_int_eq(rem_request_on_cleanup(request, on_over, request), 0);
    watch(request);
    request->response.status = 200;
    if (rem_http_send_head(request) != REM_OK)
        return REM_HTTP_ERROR;
    run_script(request, script);
    return REM_HTTP_DONE;
}

static void let_go(size_t i)
{
    struct running it = waiting[i];

    waiting[i] = waiting[--n_waiting];
    run_script(it.request, it.at);
}

static void start(void)
{
    const struct rem_http_hooks *hooks = rem_order_module.hooks;

    fx_start();
    memset(scripts, 0, sizeof(scripts));
    n_waiting = 0;
    lent = returned = refused = started = ran = freed = 0;
    ck_assert_int_eq(hooks->install(&fx.http_setup), 0);
    fx_compile();
    fx.loc.handler = on_content;
    fx.loc.postpone_output = 0;
}

static void ask(void)
{
    fx_connect();
    fx_send("GET /m HTTP/1.0\r\n\r\n", strlen("GET /m HTTP/1.0\r\n\r\n"));
}

/* What the script stands for. */
static size_t expand(char *out, char name)
{
    size_t n = 0;

    for (const char *at = scripts[(unsigned char)name]; *at != '\0'; at++) {
        if (*at == '<') {
            n += expand(out + n, at[1]);
            at += 2;
        } else if (*at != '!') {
            out[n++] = *at;
        }
    }
    out[n] = '\0';
    return n;
}

/* ---- order ---- */

static const struct order_case {
    const char *m, *x, *y, *z;
} order_cases[] = {
    {"abc", "", "", ""},
    {"<x>", "1", "", ""},
    {"a<x>b", "1", "", ""},
    {"<x><y>", "1", "2", ""},
    {"a<x>b<y>c", "12", "34", ""},
    {"a<x>b!<y>!c", "!1!2", "!3!4!", ""},
    {"<x><x><x>", "!1!", "", ""},
    {"a<x>", "1<y>2", "3<z>4", "5"},
    {"a!<x>!b", "!1!<y>!2", "3!<z>4!", "!5!6!"},
    {"<x><y>!", "!<y>!<z>", "!2<z>!", "!3"},
    {"<x>", "", "", ""},
    {"", "", "", ""},
    {"<x>a", "!<y>", "<z>!", ""},
    {"!!a!!<x>b<y>c<z>!", "1!2!3", "4!5!6", "7!8!9"},
};

/* Each case with those who pause going on in several orders. */
static void run_order(const struct order_case *c, unsigned order)
{
    char expected[256];
    const char *body;
    uint64_t end = rem_mono_ms() + FX_TIMEOUT_MS;

    start();
    scripts['m'] = c->m;
    scripts['x'] = c->x;
    scripts['y'] = c->y;
    scripts['z'] = c->z;
    expand(expected, 'm');
    ask();
    while (!fx.eof && rem_mono_ms() < end) {
        fx_pump(1);
        if (n_waiting != 0)
            let_go(order == 0 ? 0 : order == 1 ? n_waiting - 1 : order * 7 % n_waiting);
        fx_receive();
    }
    body = strstr(fx.got, "\r\n\r\n");
    ck_assert_msg(body != NULL && strcmp(body + 4, expected) == 0, "%s with order %u: %s, not %s",
                  c->m, order, fx.got, expected);
    fx_end();
    ck_assert_uint_eq(lent, returned);
    ck_assert_uint_eq(freed, started + 1);
    ck_assert_uint_eq(refused, 0);
}

START_TEST(test_order)
{
    for (unsigned order = 0; order < 5; order++)
        run_order(&order_cases[_i], order);
}
END_TEST

/* ---- ends ---- */

static const struct order_case cut_cases[] = {
    {"a<x>b", "1#", "", ""},     {"a<x>b!", "!1#", "", ""},
    {"a<x><y>b", "!1", "#", ""}, /* its turn has not come */
    {"a<x>b", "<y>1", "2#", ""}, {"a<x>#", "!1", "", ""},
    {"a<x>", "!<y>#", "!", ""},
};

START_TEST(test_cut)
{
    uint64_t end = rem_mono_ms() + FX_TIMEOUT_MS;

    start();
    scripts['m'] = cut_cases[_i].m;
    scripts['x'] = cut_cases[_i].x;
    scripts['y'] = cut_cases[_i].y;
    ask();
    while (!fx.eof && rem_mono_ms() < end) {
        fx_pump(1);
        if (n_waiting != 0)
            let_go(0);
        fx_receive();
    }
    ck_assert(fx.eof);
    fx_end();
    ck_assert_uint_eq(lent, returned);
    ck_assert_uint_eq(freed, ran); /* who was cut off may not have begun */
}
END_TEST

START_TEST(test_client_leaves)
{
    start();
    scripts['m'] = "a<x>b<y>!";
    scripts['x'] = "1<z>!2";
    scripts['y'] = "3!";
    scripts['z'] = "4!";
    ask();
    ck_assert(fx_expect("a14", 1));
    ck_assert_uint_eq(n_waiting, 4);
    fx_disconnect();
    while (n_waiting != 0) /* somebody writes, and learns of it */
        let_go(0), fx_pump(1);
    fx_end();
    ck_assert_uint_eq(lent, returned);
    ck_assert_uint_eq(freed, started + 1);
}
END_TEST

/* ---- bounds ---- */

START_TEST(test_depth)
{
    char expected[64];

    start();
    scripts['m'] = "m<x>";
    scripts['x'] = "x<x>";
    ask();
    ck_assert(fx_expect(NULL, 0));
    memset(expected, 'x', sizeof(expected));
    expected[0] = 'm';
    expected[1 + REM_SUBREQUEST_DEPTH_MAX] = '\0';
    ck_assert_str_eq(strstr(fx.got, "\r\n\r\n") + 4, expected);
    ck_assert_uint_eq(started, REM_SUBREQUEST_DEPTH_MAX);
    ck_assert_uint_eq(refused, 1);
    fx_end();
    ck_assert_uint_eq(freed, started + 1);
}
END_TEST

START_TEST(test_count)
{
    static char script[3 * (REM_SUBREQUEST_COUNT_MAX + 2) + 1];

    start();
    for (size_t i = 0; i < REM_SUBREQUEST_COUNT_MAX + 2; i++)
        memcpy(script + 3 * i, "<x>", 3);
    scripts['m'] = script;
    scripts['x'] = "x";
    ask();
    ck_assert(fx_expect(NULL, 0));
    ck_assert_uint_eq(strlen(strstr(fx.got, "\r\n\r\n") + 4), REM_SUBREQUEST_COUNT_MAX);
    ck_assert_uint_eq(refused, 2);
    fx_end();
    ck_assert_uint_eq(freed, started + 1);
    ck_assert_uint_eq(lent, returned);
}
END_TEST

/* Whoever waits is told to pause. */
static char block[16384];
static unsigned paused_after;

static void many(struct rem_request *request)
{
    for (unsigned i = 0; i < 64; i++) {
        struct letter *letter = rem_arena_zalloc(&request->arena, sizeof(*letter));
        int rc;

        letter->lent = true;
        letter->buf = (struct rem_buf){
            .pos = block, .last = block + sizeof(block), .fd = -1, .done = on_letter_done};
        lent++;
        rc = rem_http_send_body(request, &letter->buf);
        if (rc == REM_EAGAIN) {
            paused_after = i + 1;
            break;
        }
        ck_assert_int_eq(rc, REM_OK);
    }
    request->on_writable = NULL;
    (void)!send_letter(request, '\0', true);
    rem_request_finalize(request, REM_HTTP_OK);
}

static int on_pressure(struct rem_request *request)
{
    if (request->parent == NULL || request->uri.p[1] != 'y')
        return on_content(request);
    request->response.status = 200;
    watch(request);
    ck_assert_int_eq(rem_http_send_head(request), 0);
    many(request);
    return REM_HTTP_DONE;
}

START_TEST(test_pressure)
{
    start();
    paused_after = 0;
    memset(block, 'y', sizeof(block));
    scripts['m'] = "<x><y>";
    scripts['x'] = "!1";
    fx.loc.handler = on_pressure;
    ask();
    while (paused_after == 0)
        fx_pump(1);
    ck_assert_uint_le(paused_after * sizeof(block), 128 << 10);
    ck_assert_uint_eq(n_waiting, 1);
    let_go(0);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_uint_eq(strlen(strstr(fx.got, "\r\n\r\n1") + 5), paused_after * sizeof(block));
    fx_end();
    ck_assert_uint_eq(lent, returned);
    ck_assert_uint_eq(freed, started + 1);
}
END_TEST

/* ---- for the parent's eyes ---- */

static struct rem_subrequest_spec spec;
static struct rem_subrequest_result result;
static char result_text[256]; /* of its body */
static unsigned done_calls;
static int child_fd; /* of a file that is the child's body; -1: the script "/x" is */

static void on_done(struct rem_request *child, const struct rem_subrequest_result *end, void *data)
{
    ck_assert_ptr_eq(data, &spec);
    result = *end;
    ck_assert_uint_lt(end->body.n, sizeof(result_text));
    memcpy(result_text, end->body.n != 0 ? end->body.p : "", end->body.n);
    result_text[end->body.n] = '\0';
    done_calls++;
    rem_request_resume(child->parent);
}

static int on_parent(struct rem_request *request)
{
    if (done_calls == 0) {
        ck_assert_int_eq(rem_subrequest_start(request, &spec, NULL), 0);
        started++;
        return REM_HTTP_AGAIN;
    }
    request->response.content_length = -1;
    return rem_http_respond(request, result.status == 200 ? 200 : 500, REM_STR("text/plain"),
                            result.body);
}

static int on_kinds(struct rem_request *request)
{
    static struct rem_buf buf;

    if (request->parent == NULL)
        return REM_HTTP_DONE;
    if (child_fd < 0)
        return on_content(request);
    request->response.status = 200;
    watch(request);
    ck_assert_int_eq(rem_http_send_head(request), 0);
    buf = (struct rem_buf){.in_file = true, .fd = child_fd, .file_last = 5, .final = true};
    return rem_http_send_body(request, &buf) == REM_OK ? REM_HTTP_OK : REM_HTTP_ERROR;
}

/* The phase in which a parent waits. */
static int on_precontent(struct rem_request *request)
{
    int rc;

    if (request->parent != NULL)
        return REM_HTTP_DECLINED;
    rc = on_parent(request);
    if (rc == REM_HTTP_AGAIN)
        return rc;
    rem_request_finalize(request, rc);
    return REM_HTTP_DONE;
}

static void start_kinds(enum rem_subrequest_kind kind, size_t limit)
{
    start();
    ck_assert_int_eq(rem_http_add_handler(&fx.http_setup, REM_PHASE_PRECONTENT, on_precontent), 0);
    fx_compile();
    fx.loc.handler = on_kinds;
    spec = (struct rem_subrequest_spec){
        .kind = kind, .uri = REM_STR("/x"), .limit = limit, .done = on_done, .data = &spec};
    result = (struct rem_subrequest_result){0};
    done_calls = 0;
    child_fd = -1;
}

static const struct memory_case {
    const char *x, *y;
    size_t limit;
    int status;
    const char *body; /* NULL: too big */
} memory_cases[] = {
    {"hello", "", 5, 200, "hello"},
    {"hello", "", 4, 200, NULL},
    {"hello", "", 0, 200, NULL},
    {"", "", 0, 200, ""},
    {"!he!llo!", "", 100, 200, "hello"},
    {"a<y>b", "!1!2", 100, 200, "a12b"}, /* its own subrequests' bodies are part of it */
    {"a<y>b", "1#", 100, 500, "a1"},
    {"abc#", "", 100, 500, "abc"},
};

START_TEST(test_memory)
{
    const struct memory_case *c = &memory_cases[_i];
    uint64_t end = rem_mono_ms() + FX_TIMEOUT_MS;

    start_kinds(REM_SUBREQUEST_MEMORY, c->limit);
    scripts['x'] = c->x;
    scripts['y'] = c->y;
    ask();
    while (done_calls == 0 && rem_mono_ms() < end) {
        fx_pump(1);
        if (n_waiting != 0)
            let_go(0);
    }
    ck_assert_uint_eq(done_calls, 1);
    ck_assert_int_eq(result.status, c->status);
    ck_assert_int_eq(result.too_big, c->body == NULL);
    if (c->body != NULL)
        ck_assert_str_eq(result_text, c->body);
    ck_assert(fx_expect(c->status == 200 ? "HTTP/1.1 200 OK" : "HTTP/1.1 500 ", 1));
    fx_end();
    ck_assert_uint_eq(lent, returned);
}
END_TEST

START_TEST(test_memory_of_a_file)
{
    char name[] = "/tmp/rem-subrequest-XXXXXX";
    int fd = mkstemp(name);

    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(write(fd, "12345", 5), 5);
    start_kinds(REM_SUBREQUEST_MEMORY, 100);
    child_fd = fd;
    ask();
    ck_assert(fx_expect("\r\n\r\n12345", 1));
    fx_end();
    ck_assert_int_eq(ftruncate(fd, 3), 0); /* shorter than it was: no verdict at all */
    start_kinds(REM_SUBREQUEST_MEMORY, 100);
    child_fd = fd;
    ask();
    ck_assert(fx_expect("HTTP/1.1 500 ", 1));
    fx_end();
    close(fd);
}
END_TEST

START_TEST(test_head)
{
    start_kinds(REM_SUBREQUEST_HEAD, 0);
    scripts['x'] = "nobody";
    ask();
    ck_assert(fx_expect("HTTP/1.1 200 OK", 1));
    ck_assert_uint_eq(result.body.n, 0);
    ck_assert_int_eq(result.status, 200);
    fx_end();
    ck_assert_uint_eq(lent, returned);
    ck_assert_uint_eq(freed, 1); /* the client's own has no script */
}
END_TEST

START_TEST(test_parent_gone)
{
    start_kinds(REM_SUBREQUEST_HEAD, 0);
    scripts['x'] = "!a";
    ask();
    while (n_waiting == 0)
        fx_pump(1);
    rem_request_finalize(waiting[0].request->parent, REM_HTTP_ERROR);
    ck_assert_uint_eq(n_waiting, 0); /* it has gone with its parent */
    ck_assert_uint_eq(done_calls, 0);
    fx_end();
    ck_assert_uint_eq(freed, 1);
}
END_TEST

/* ---- in the background ---- */

static int on_background(struct rem_request *request)
{
    if (request->parent == NULL) {
        ck_assert_int_eq(rem_subrequest_start(request, &spec, NULL), 0);
        watch(request);
        return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("parent"));
    }
    return on_content(request);
}

START_TEST(test_background)
{
    struct rem_request *child;

    start();
    spec = (struct rem_subrequest_spec){
        .kind = REM_SUBREQUEST_BACKGROUND, .uri = REM_STR("/x"), .done = on_done, .data = &spec};
    done_calls = 0;
    fx.loc.handler = on_background;
    scripts['x'] = "a!<y>b";
    scripts['y'] = "!";
    ask();
    ck_assert(fx_expect("parent", 1));
    ck_assert(fx_expect(NULL, 0)); /* nobody waits for it */
    fx_disconnect();
    while (fx.worker.connections != 1 || n_waiting == 0) /* it stands for the one that closed */
        fx_pump(1);
    ck_assert_uint_eq(freed, 0);
    child = waiting[0].request;
    ck_assert_int_eq(child->conn->fd, -1);
    ck_assert_ptr_nonnull(child->peer);
    ck_assert_int_eq(child->peer->u.sa.sa_family, AF_UNIX);
    ck_assert(rem_str_is(child->parent->uri, "/m"));
    let_go(0);
    while (n_waiting == 0)
        fx_pump(1);
    ck_assert_int_eq(waiting[0].request->conn->fd, -1); /* its own children know as much */
    let_go(0);
    fx_pump(1);
    ck_assert_uint_eq(freed, 3);
    ck_assert_uint_eq(fx.worker.connections, 0);
    ck_assert_uint_eq(done_calls, 0);
    fx_end();
    ck_assert_uint_eq(lent, returned);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("subrequest");
    TCase *t = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, test_order, 0, REM_COUNT(order_cases));
    tcase_add_loop_test(t, test_cut, 0, REM_COUNT(cut_cases));
    tcase_add_test(t, test_client_leaves);
    tcase_add_test(t, test_depth);
    tcase_add_test(t, test_count);
    tcase_add_test(t, test_pressure);
    tcase_add_loop_test(t, test_memory, 0, REM_COUNT(memory_cases));
    tcase_add_test(t, test_memory_of_a_file);
    tcase_add_test(t, test_head);
    tcase_add_test(t, test_parent_gone);
    tcase_add_test(t, test_background);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
