/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/http/subrequest_scripts.h"
#include "tests/unit/suite.h"

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
    char expected[4096];
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

/* A script that may start those behind it in "mxyz". */
static void make_script(char *out, unsigned who, uint32_t *state)
{
    static const char names[] = "mxyz";
    unsigned n = 0, at = 0;

    for (*state = *state * 1664525 + 1013904223, n = *state >> 29; n != 0; n--) {
        *state = *state * 1664525 + 1013904223;
        if ((*state >> 28) < 4 && who < 3) {
            out[at++] = '<';
            out[at++] = names[who + 1 + (*state >> 20) % (3 - who)];
            out[at++] = '>';
        } else {
            out[at++] = (*state >> 28) < 8 ? '!' : (char)('a' + (*state >> 20) % 26);
        }
    }
    out[at] = '\0';
}

START_TEST(test_any_order)
{
    uint32_t state = (uint32_t)_i;

    for (unsigned round = 0; round < 12; round++) {
        char text[4][32];

        for (unsigned who = 0; who < 4; who++)
            make_script(text[who], who, &state);
        run_order(&(struct order_case){text[0], text[1], text[2], text[3]}, state >> 24);
    }
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

int main(void)
{
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, test_order, 0, REM_COUNT(order_cases));
    tcase_add_loop_test(t, test_any_order, 0, 8);
    tcase_add_loop_test(t, test_cut, 0, REM_COUNT(cut_cases));
    tcase_add_test(t, test_client_leaves);
    tcase_add_test(t, test_pressure);
    return run_suite("order", t);
}
