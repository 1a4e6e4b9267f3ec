/* SPDX-License-Identifier: Apache-2.0 */
/* subrequest_scripts.h - requests by script, for the tests of subrequests and their order.
 *
 * A request's URI names a script, one letter; the script is what it sends, letter by letter, with
 * <x> where the subrequest "/x" stands, ! where it pauses until the test lets somebody go on, and #
 * where it breaks off. */
#ifndef REM_TESTS_HTTP_SUBREQUEST_SCRIPTS_H
#define REM_TESTS_HTTP_SUBREQUEST_SCRIPTS_H

#include "tests/unit/proxy/http/fixture.h"

#include "proxy/http/order.h"
#include "proxy/http/subrequest.h"

enum { WAITING_MAX = 256 };

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

static inline void on_letter_done(struct rem_buf *buf)
{
    struct letter *letter = REM_CONTAINER(buf, struct letter, buf);

    ck_assert(letter->lent);
    letter->lent = false;
    returned++;
}

static inline int send_letter(struct rem_request *request, char text, bool final)
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

static inline void start_child(struct rem_request *request, char name)
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
static inline void run_script(struct rem_request *request, const char *at)
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

static inline void on_over(void *data)
{
    struct rem_request *request = data;

    for (size_t i = 0; i < n_waiting; i++) {
        if (waiting[i].request == request)
            waiting[i--] = waiting[--n_waiting];
    }
}

static inline void on_freed(void *data)
{
    (void)data;
    freed++;
}

static inline void watch(struct rem_request *request)
{
    ran++;
    ck_assert_int_eq(rem_arena_on_reset(&request->arena, on_freed, NULL), 0);
}

static inline int on_content(struct rem_request *request)
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

static inline void let_go(size_t i)
{
    struct running it = waiting[i];

    waiting[i] = waiting[--n_waiting];
    run_script(it.request, it.at);
}

static inline void start(void)
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

static inline void ask(void)
{
    fx_connect();
    fx_send("GET /m HTTP/1.0\r\n\r\n", strlen("GET /m HTTP/1.0\r\n\r\n"));
}

#endif
