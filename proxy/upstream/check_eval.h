/* SPDX-License-Identifier: Apache-2.0 */
/* check_eval.h - values and variables where no client has sent a request: what health checks send,
 * and what `require` asks of their responses.
 *
 * Runs in:    the configuration (texts to be sent), the agent (by the function that check_spec.h
 *             carries).
 * What counts: variables about the server's response (upstream_...), $proxy_host, $proxy_port, and
 *             maps of them.  All others are empty.  */
#ifndef REM_UPSTREAM_CHECK_EVAL_H
#define REM_UPSTREAM_CHECK_EVAL_H

#include "proto/shm/check_spec.h"
#include "proxy/conf/conf.h"
#include "proxy/conf/value.h"

struct rem_check_eval;

/* Variables of resolved `cf->vars` for the location whose structs are `location`.  Lives in
 * cf->arena.  Errors: REM_ENOMEM (reported). */
int rem_check_eval_new(struct rem_conf *cf, void **main, void **location, const struct rem_log *log,
                       struct rem_check_eval **out) REM_MUST_CHECK;

/* The text of a value; borrowed until the next call.  Errors: REM_ENOMEM, REM_EINVAL (a cycle). */
int rem_check_eval_text(struct rem_check_eval *eval, const struct rem_value *value,
                        struct rem_str *out) REM_MUST_CHECK;

/* For struct rem_check_test: the variables of a `require` line. */
struct rem_check_require {
    struct rem_check_eval *eval;
    const struct rem_value *values;
    size_t count;
};

/* `data` is a struct rem_check_require. */
bool rem_check_eval_require(void *data, const struct rem_check_answer *answer);

#endif
