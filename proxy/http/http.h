/* SPDX-License-Identifier: Apache-2.0 */
/* http.h - how a module takes part in HTTP: what it registers while a configuration is read.
 *
 * A module is a struct rem_module (proxy/conf/module.h) whose `hooks` point at a
 * struct rem_http_hooks.  modules.c lists all modules in order.  */
#ifndef REM_HTTP_HTTP_H
#define REM_HTTP_HTTP_H

#include "proxy/conf/module.h"
#include "proxy/http/exchange.h"
#include "proxy/http/filter.h"
#include "proxy/http/phase.h"

/* Collects what modules register; owned by the http block while it is read. */
struct rem_http_setup {
    struct rem_conf *conf;
    struct rem_arena *arena;
    struct rem_setup *setup;
    struct rem_vars *vars;
    struct rem_http_handler_list {
        rem_phase_fn *v;
        uint32_t n;
    } handlers[REM_PHASE_COUNT];
    struct rem_header_filter *header_filters;
    struct rem_body_filter *body_filters;
};

struct rem_http_hooks {
    /* Before the http block is parsed: variables. */
    int (*variables)(struct rem_http_setup *setup);
    /* After it has been parsed and merged: phase handlers and filters. */
    int (*install)(struct rem_http_setup *setup);
    /* When all variables are known, so that values can be evaluated.  Reports its errors. */
    int (*ready)(struct rem_http_setup *setup);
    /* In each worker, in the modules' order: when it starts, and when it exits. */
    int (*worker_init)(struct rem_worker *worker);
    void (*worker_fini)(struct rem_worker *worker);
    /* The worker is to finish: lets go of connections that serve nobody now. */
    void (*worker_drain)(struct rem_worker *worker);
    /* There is no room for a client: closes up to `n` connections that serve nobody now.
     * Returns: how many. */
    uint32_t (*worker_reclaim)(struct rem_worker *worker, uint32_t n);
};

/* Errors: REM_ENOMEM. */
int rem_http_add_handler(struct rem_http_setup *setup, enum rem_phase phase,
                         rem_phase_fn handler) REM_MUST_CHECK;
int rem_http_add_header_filter(struct rem_http_setup *setup,
                               rem_header_filter_fn filter) REM_MUST_CHECK;
int rem_http_add_body_filter(struct rem_http_setup *setup,
                             rem_body_filter_fn filter) REM_MUST_CHECK;

/* All modules in order, ending in NULL; core modules of the main level included. */
extern struct rem_module *const rem_modules[];

/* Evaluates a value for a request.  `out` lives as long as the request.  Errors: REM_ENOMEM,
 * REM_EINVAL (cyclic variables). */
static inline int rem_http_value(struct rem_request *request, const struct rem_value *value,
                                 struct rem_str *out)
{
    return rem_value_eval(value, &request->eval, out);
}

#endif
