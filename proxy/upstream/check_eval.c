/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/check_eval.h"

#include "proxy/http/http.h"
#include "proxy/upstream/upstream.h"

enum { EVAL_BLOCK = 4096, EVAL_BLOCKS = 4 };

/* A request that nobody has sent, and the exchange with the server that is checked. */
struct rem_check_eval {
    struct rem_request request;
    struct rem_upstream_exchange exchange;
    struct rem_upstream_try try;
    struct rem_block_pool pool;
};

static void on_arena_reset(void *data)
{
    struct rem_check_eval *eval = data;

    rem_arena_reset(&eval->request.arena);
    rem_block_pool_fini(&eval->pool);
}

int rem_check_eval_new(struct rem_conf *cf, void **main, void **location, const struct rem_log *log,
                       struct rem_check_eval **out)
{
    struct rem_check_eval *eval = rem_arena_zalloc(cf->arena, sizeof(*eval));
    size_t modules = 0;
    struct rem_eval *e;

    while (rem_modules[modules] != NULL)
        modules++;
    if (eval == NULL)
        return rem_conf_nomem(cf);
    rem_block_pool_init(&eval->pool, EVAL_BLOCK, EVAL_BLOCKS);
    rem_arena_init(&eval->request.arena, &eval->pool);
    eval->request.magic = REM_REQUEST_MAGIC;
    eval->request.log.log = log;
    eval->request.main_conf = main;
    eval->request.location_conf = location;
    eval->request.module_ctx = rem_arena_zalloc(cf->arena, modules * sizeof(void *));
    e = &eval->request.eval;
    e->subject = &eval->request;
    e->arena = &eval->request.arena;
    e->vars = rem_vars_only(cf->vars, cf->arena, REM_VAR_CLIENTLESS);
    e->cache = rem_arena_zalloc(cf->arena, (rem_vars_count(cf->vars) + 1) * sizeof(*e->cache));
    if (eval->request.module_ctx == NULL || e->vars == NULL || e->cache == NULL ||
        rem_arena_on_reset(cf->arena, on_arena_reset, eval) != 0)
        return rem_conf_nomem(cf);
    *out = eval;
    return 0;
}

/* Forgets what was evaluated before. */
static struct rem_eval *begin(struct rem_check_eval *eval)
{
    struct rem_eval *e = &eval->request.eval;

    rem_arena_reset(&eval->request.arena);
    rem_var_forget(e);
    e->n_captures = 0;
    e->captured = NULL;
    e->depth = 0;
    e->failed = NULL;
    return e;
}

int rem_check_eval_text(struct rem_check_eval *eval, const struct rem_value *value,
                        struct rem_str *out)
{
    eval->request.upstream = NULL;
    return rem_value_eval(value, begin(eval), out);
}

bool rem_check_eval_require(void *data, const struct rem_check_answer *answer)
{
    const struct rem_check_require *require = data;
    struct rem_check_eval *eval = require->eval;
    struct rem_eval *e = begin(eval);

    eval->try = (struct rem_upstream_try){
        .addr = answer->addr,
        .status = (int)answer->status,
        .connect_ms = (int64_t)answer->connect_ms,
        .header_ms = (int64_t)answer->header_ms,
        .response_ms = (int64_t)answer->header_ms,
        .received = answer->received,
    };
    eval->exchange.tries = eval->exchange.current = &eval->try;
    eval->exchange.fields = answer->fields;
    eval->request.upstream = &eval->exchange;
    for (size_t i = 0; i < require->count; i++) {
        struct rem_str text;

        if (rem_value_eval(&require->values[i], e, &text) != 0 || text.n == 0 ||
            rem_str_is(text, "0"))
            return false;
    }
    return true;
}
