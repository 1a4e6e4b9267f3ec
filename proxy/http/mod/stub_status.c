/* SPDX-License-Identifier: Apache-2.0 */
/* stub_status.c - the counters of all workers, as a page and as $connections_*.  */
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"

static void totals_of(const struct rem_request *request, struct rem_region_totals *out)
{
    const struct rem_region region = {.header = request->worker->reader.header};

    rem_region_totals(&region, out);
}

static int respond(struct rem_request *request)
{
    struct rem_region_totals t;
    struct rem_str page;

    if (request->method != REM_METHOD_GET && request->method != REM_METHOD_HEAD)
        return 405;
    rem_body_discard(request);
    totals_of(request, &t);
    page = rem_arena_printf(&request->arena,
                            "Active connections: %lld \n"
                            "server accepts handled requests\n"
                            " %llu %llu %llu \n"
                            "Reading: %lld Writing: %lld Waiting: %lld \n",
                            (long long)(t.conn_reading + t.conn_writing + t.conn_waiting),
                            (unsigned long long)t.conn_accepted, (unsigned long long)t.conn_handled,
                            (unsigned long long)t.requests, (long long)t.conn_reading,
                            (long long)t.conn_writing, (long long)t.conn_waiting);
    if (page.p == NULL)
        return 500;
    return rem_http_respond(request, 200, REM_STR("text/plain"), page);
}

static int set_stub_status(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)d;
    (void)conf;
    rem_core_set_handler(cf, respond);
    return 0;
}

/* ---- variables ---- */

static const char active[] = "active", reading[] = "reading", writing[] = "writing",
                  waiting[] = "waiting";

static int get_gauge(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_region_totals t;
    int64_t n;

    totals_of(rem_core_var_request(e), &t);
    if (v->data == reading)
        n = t.conn_reading;
    else if (v->data == writing)
        n = t.conn_writing;
    else if (v->data == waiting)
        n = t.conn_waiting;
    else
        n = t.conn_reading + t.conn_writing + t.conn_waiting;
    return rem_core_var_number(e, out, n);
}

static int add_variables(struct rem_http_setup *setup)
{
    static const struct rem_core_var_def defs[] = {
        {"connections_active", get_gauge, active, REM_VAR_NOCACHE},
        {"connections_reading", get_gauge, reading, REM_VAR_NOCACHE},
        {"connections_writing", get_gauge, writing, REM_VAR_NOCACHE},
        {"connections_waiting", get_gauge, waiting, REM_VAR_NOCACHE},
    };

    return rem_core_var_define(setup->vars, defs, REM_COUNT(defs));
}

/* Once, the directive took a word that meant nothing. */
static const struct rem_directive directives[] = {
    {"stub_status", REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_0 | REM_ARGS_1, set_stub_status,
     REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.variables = add_variables};

extern struct rem_module rem_stub_status_module;

struct rem_module rem_stub_status_module = {
    .name = "stub_status",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .hooks = &hooks,
};
