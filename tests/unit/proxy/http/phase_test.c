/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/http/fixture.h"
#include "tests/unit/suite.h"

#include "proxy/http/phase.h"

/* What each phase's handlers return, and who was called. */
static struct script {
    int results[REM_PHASE_COUNT][2];
    char trace[256];
    int rewrites; /* how often the rewrite phase changes the URI */
    bool own_content;
} script;

static int step(struct rem_request *request, enum rem_phase phase, int which)
{
    static const char names[] = "prfRwqaAtcl";
    size_t n = strlen(script.trace);

    if (n + 3 < sizeof(script.trace)) {
        script.trace[n] = names[phase];
        script.trace[n + 1] = which == 0 ? '1' : '2';
    }
    if (phase == REM_PHASE_REWRITE && script.rewrites > 0) {
        script.rewrites--;
        request->uri_changed = true;
    }
    if (phase == REM_PHASE_CONTENT && script.results[phase][which] == REM_HTTP_OK)
        return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("done"));
    return script.results[phase][which];
}

#define HANDLER(name, phase, which)                                                                \
    static int name(struct rem_request *request)                                                   \
    {                                                                                              \
        return step(request, phase, which);                                                        \
    }
HANDLER(post_read_1, REM_PHASE_POST_READ, 0)
HANDLER(post_read_2, REM_PHASE_POST_READ, 1)
HANDLER(server_rewrite_1, REM_PHASE_SERVER_REWRITE, 0)
HANDLER(rewrite_1, REM_PHASE_REWRITE, 0)
HANDLER(preaccess_1, REM_PHASE_PREACCESS, 0)
HANDLER(access_1, REM_PHASE_ACCESS, 0)
HANDLER(access_2, REM_PHASE_ACCESS, 1)
HANDLER(precontent_1, REM_PHASE_PRECONTENT, 0)
HANDLER(content_1, REM_PHASE_CONTENT, 0)
HANDLER(content_2, REM_PHASE_CONTENT, 1)
HANDLER(log_1, REM_PHASE_LOG, 0)
HANDLER(log_2, REM_PHASE_LOG, 1)

static int own_content(struct rem_request *request)
{
    return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("own"));
}

static void add(enum rem_phase phase, rem_phase_fn handler)
{
    ck_assert_int_eq(rem_http_add_handler(&fx.http_setup, phase, handler), 0);
}

static void start(void)
{
    fx_start();
    memset(&script, 0, sizeof(script));
    for (int phase = 0; phase < REM_PHASE_COUNT; phase++) {
        script.results[phase][0] = REM_HTTP_DECLINED;
        script.results[phase][1] = REM_HTTP_DECLINED;
    }
    add(REM_PHASE_POST_READ, post_read_1);
    add(REM_PHASE_POST_READ, post_read_2);
    add(REM_PHASE_SERVER_REWRITE, server_rewrite_1);
    add(REM_PHASE_REWRITE, rewrite_1);
    add(REM_PHASE_PREACCESS, preaccess_1);
    add(REM_PHASE_ACCESS, access_1);
    add(REM_PHASE_ACCESS, access_2);
    add(REM_PHASE_PRECONTENT, precontent_1);
    add(REM_PHASE_CONTENT, content_1);
    add(REM_PHASE_CONTENT, content_2);
    add(REM_PHASE_LOG, log_1);
    add(REM_PHASE_LOG, log_2);
    fx_compile();
}

static const struct phase_case {
    const char *name;
    struct {
        enum rem_phase phase;
        int which, result;
    } set[3];
    int satisfy, rewrites;
    const char *uri, *trace, *answer;
} cases[] = {
    {"all decline", {{0, 0, 0}}, REM_SATISFY_ALL, 0, "/x", "p2r1R1q1a1a2t1c1c2l1l2", " 404 "},
    {"directory", {{0, 0, 0}}, REM_SATISFY_ALL, 0, "/x/", "p2r1R1q1a1a2t1c1c2l1l2", " 403 "},
    {"content",
     {{REM_PHASE_CONTENT, 0, REM_HTTP_OK}},
     REM_SATISFY_ALL,
     0,
     "/x",
     "p2r1R1q1a1a2t1c1l1l2",
     "done"},
    {"a status ends it",
     {{REM_PHASE_PREACCESS, 0, 503}},
     REM_SATISFY_ALL,
     0,
     "/x",
     "p2r1R1q1l1l2",
     " 503 "},
    {"all: one refuses",
     {{REM_PHASE_ACCESS, 0, REM_HTTP_OK}, {REM_PHASE_ACCESS, 1, 403}},
     REM_SATISFY_ALL,
     0,
     "/x",
     "p2r1R1q1a1a2l1l2",
     " 403 "},
    {"any: the first allows",
     {{REM_PHASE_ACCESS, 0, REM_HTTP_OK}, {REM_PHASE_ACCESS, 1, 403}, {REM_PHASE_CONTENT, 0, 0}},
     REM_SATISFY_ANY,
     0,
     "/x",
     "p2r1R1q1a1t1c1l1l2",
     "done"},
    {"any: the second allows",
     {{REM_PHASE_ACCESS, 0, 403}, {REM_PHASE_ACCESS, 1, REM_HTTP_OK}, {REM_PHASE_CONTENT, 0, 0}},
     REM_SATISFY_ANY,
     0,
     "/x",
     "p2r1R1q1a1a2t1c1l1l2",
     "done"},
    {"any: 401 wins over 403",
     {{REM_PHASE_ACCESS, 0, 401}, {REM_PHASE_ACCESS, 1, 403}},
     REM_SATISFY_ANY,
     0,
     "/x",
     "p2r1R1q1a1a2l1l2",
     " 401 "},
    {"rewritten twice",
     {{REM_PHASE_CONTENT, 0, REM_HTTP_OK}},
     REM_SATISFY_ALL,
     2,
     "/x",
     "p2r1R1R1R1q1a1a2t1c1l1l2",
     "done"},
    {"rewritten for ever",
     {{0, 0, 0}},
     REM_SATISFY_ALL,
     100,
     "/x",
     "p2r1R1R1R1R1R1R1R1R1R1R1R1l1l2",
     " 500 "},
};

START_TEST(test_phases)
{
    const struct phase_case *c = &cases[_i];
    char raw[64];

    start();
    for (size_t i = 0; i < REM_COUNT(c->set); i++) {
        if (c->set[i].phase != REM_PHASE_POST_READ)
            script.results[c->set[i].phase][c->set[i].which] = c->set[i].result;
    }
    /* OK ends its phase: the first post-read handler is all that runs of it. */
    script.results[REM_PHASE_POST_READ][0] = REM_HTTP_DECLINED;
    script.results[REM_PHASE_POST_READ][1] = REM_HTTP_OK;
    script.rewrites = c->rewrites;
    fx.loc.satisfy = c->satisfy;
    sprintf(raw, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", c->uri);
    fx_connect();
    fx_send(raw, strlen(raw));
    ck_assert_msg(fx_expect(c->answer, 1), "%s: %s", c->name, fx.got);
    ck_assert_msg(strncmp(script.trace, "p1", 2) == 0, "%s", script.trace);
    ck_assert_msg(strcmp(script.trace + 2, c->trace) == 0, "%s: ran %s, not %s", c->name,
                  script.trace + 2, c->trace);
    fx_end();
}
END_TEST

START_TEST(test_own_content)
{
    start();
    fx.loc.handler = own_content;
    script.results[REM_PHASE_CONTENT][0] = 500;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("own", 1));
    ck_assert_str_eq(script.trace, "p1p2r1R1q1a1a2t1l1l2");
    fx_end();
}
END_TEST

/* A handler that suspends is called again by rem_request_resume. */
static struct rem_request *suspended;
static int suspensions;

static int suspend_twice(struct rem_request *request)
{
    suspended = request;
    if (suspensions++ == 0) {
        rem_request_resume(request); /* from inside: takes effect after the return */
        return REM_HTTP_AGAIN;
    }
    return suspensions == 2 ? REM_HTTP_AGAIN : REM_HTTP_DECLINED;
}

START_TEST(test_resume)
{
    start();
    add(REM_PHASE_PRECONTENT, suspend_twice);
    fx_compile();
    suspensions = 0;
    fx.loc.handler = own_content;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    fx_pump(5);
    fx_receive();
    ck_assert_int_eq(suspensions, 2);
    ck_assert_uint_eq(fx.n, 0);
    rem_request_resume(suspended);
    ck_assert(fx_expect("own", 1));
    ck_assert_int_eq(suspensions, 3);
    fx_end();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("all");

    tcase_add_loop_test(t, test_phases, 0, REM_COUNT(cases));
    tcase_add_test(t, test_own_content);
    tcase_add_test(t, test_resume);
    return run_suite("phase", t);
}
