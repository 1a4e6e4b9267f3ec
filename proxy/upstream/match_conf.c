/* SPDX-License-Identifier: Apache-2.0 */
/* match_conf.c - the `match` block: what a response to a health check must be like. */
#include "proxy/upstream/check_conf.h"
#include "proxy/upstream/check_eval.h"

#include "proto/wire/put.h"

enum { STATUS_MIN = 100, STATUS_MAX = 599 };

static struct rem_check_test *test_new(struct rem_conf *cf, struct rem_match_conf *match,
                                       enum rem_match_subject subject)
{
    struct rem_check_test *test = rem_array_push(cf->arena, &match->tests);

    if (test == NULL)
        (void)rem_conf_nomem(cf);
    else
        test->subject = subject;
    return test;
}

/* ---- status ---- */

static bool parse_status(struct rem_str text, uint16_t *out)
{
    uint64_t value;

    if (text.n != 3 || rem_str_to_u64(text, STATUS_MAX, &value) != 0 || value < STATUS_MIN)
        return false;
    *out = (uint16_t)value;
    return true;
}

/* "200" or "200-399". */
static bool parse_range(struct rem_str text, struct rem_check_range *out)
{
    const char *dash = rem_str_chr(text, '-');
    struct rem_str from = text, to = text;

    if (dash != NULL) {
        from.n = (size_t)(dash - text.p);
        to = rem_str_skip(text, from.n + 1);
    }
    return parse_status(from, &out->from) && parse_status(to, &out->to) && out->from <= out->to;
}

static int add_status(struct rem_conf *cf, struct rem_match_conf *match)
{
    struct rem_check_test *test = test_new(cf, match, REM_MATCH_STATUS);
    struct rem_check_range *ranges;
    size_t first = 1;

    if (test == NULL)
        return REM_ENOMEM;
    if (cf->n_args > 1 && rem_str_is(cf->args[1], "!")) {
        test->negated = true;
        first = 2;
    }
    if (cf->n_args <= first)
        return rem_conf_error(cf, "no status code in \"status\"");
    ranges = rem_arena_alloc(cf->arena, (cf->n_args - first) * sizeof(*ranges));
    if (ranges == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = first; i < cf->n_args; i++) {
        if (!parse_range(cf->args[i], &ranges[i - first]))
            return rem_conf_error(cf, "invalid status code \"%s\"", cf->args[i].p);
    }
    test->how = REM_MATCH_RANGES;
    test->ranges = ranges;
    test->range_count = cf->n_args - first;
    return 0;
}

/* ---- header and body ---- */

/* "=", "!=", "~", "!~" and what follows. */
static int parse_comparison(struct rem_conf *cf, struct rem_str operator, struct rem_str value,
                            struct rem_check_test *test)
{
    struct rem_regex *regex;
    struct rem_err err;

    if (operator.n != 0 && operator.p[0] == '!') {
        test->negated = true;
        operator= rem_str_skip(operator, 1);
    }
    test->value = value;
    if (rem_str_is(operator, "=") && test->subject == REM_MATCH_HEADER) {
        test->how = REM_MATCH_EQUALS;
        return 0;
    }
    if (!rem_str_is(operator, "~"))
        return rem_conf_error(cf, "invalid operator \"%s\" in \"%s\"",
                              test->negated ? operator.p - 1 : operator.p, cf->args[0].p);
    test->how = REM_MATCH_REGEX;
    if (rem_regex_new(cf->arena, value, 0, &regex, &err) != 0)
        return rem_conf_error(cf, "%s", err.text);
    test->regex = regex;
    return 0;
}

/* "header X", "header ! X", "header X = value" and its like. */
static int add_header(struct rem_conf *cf, struct rem_match_conf *match)
{
    struct rem_check_test *test = test_new(cf, match, REM_MATCH_HEADER);
    bool lacks = cf->n_args == 3 && rem_str_is(cf->args[1], "!");

    if (test == NULL)
        return REM_ENOMEM;
    if (cf->n_args != 2 && cf->n_args != 4 && !lacks)
        return rem_conf_error(cf, "invalid number of arguments in \"header\"");
    test->name = cf->args[lacks ? 2 : 1];
    if (!rem_put_is_token(test->name))
        return rem_conf_error(cf, "invalid header name \"%s\"", test->name.p);
    if (cf->n_args == 4)
        return parse_comparison(cf, cf->args[2], cf->args[3], test);
    test->how = REM_MATCH_EXISTS;
    test->negated = lacks;
    return 0;
}

static int add_body(struct rem_conf *cf, struct rem_match_conf *match)
{
    struct rem_check_test *test = test_new(cf, match, REM_MATCH_BODY);

    if (test == NULL)
        return REM_ENOMEM;
    if (cf->n_args != 3)
        return rem_conf_error(cf, "invalid number of arguments in \"body\"");
    match->spec.body = true;
    return parse_comparison(cf, cf->args[1], cf->args[2], test);
}

/* ---- require ---- */

static int add_require(struct rem_conf *cf, struct rem_match_conf *match)
{
    struct rem_check_test *test = test_new(cf, match, REM_MATCH_REQUIRE);
    struct rem_match_require *require = rem_array_push(cf->arena, &match->requires);

    if (test == NULL)
        return REM_ENOMEM;
    if (require == NULL)
        return rem_conf_nomem(cf);
    if (cf->n_args < 2)
        return rem_conf_error(cf, "no variable in \"require\"");
    *require = (struct rem_match_require){
        .pos = rem_conf_here(cf),
        .test = match->tests.n - 1,
        .count = cf->n_args - 1,
        .values = rem_arena_zalloc(cf->arena, (cf->n_args - 1) * sizeof(*require->values)),
    };
    if (require->values == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 1; i < cf->n_args; i++) {
        struct rem_value *value = &require->values[i - 1];
        int rc = rem_value_compile(cf, cf->args[i], value);

        if (rc != 0)
            return rc;
        if (value->n_ops != 1 || value->ops[0].kind != REM_VALUE_VAR)
            return rem_conf_error(cf, "invalid variable name \"%s\"", cf->args[i].p);
    }
    return 0;
}

int rem_match_conf_ready(struct rem_conf *cf, struct rem_match_conf *match, void **main,
                         void **location, const struct rem_log *log)
{
    struct rem_check_test *tests = REM_ARRAY_OF(&match->tests, struct rem_check_test);
    struct rem_check_eval *eval;
    int rc = match->requires.n != 0 ? rem_check_eval_new(cf, main, location, log, &eval) : 0;

    for (uint32_t i = 0; rc == 0 && i < match->requires.n; i++) {
        struct rem_match_require *line = rem_array_at(&match->requires, i);
        struct rem_check_require *require = rem_arena_alloc(cf->arena, sizeof(*require));

        if (require == NULL)
            return rem_conf_nomem(cf);
        for (size_t k = 0; k < line->count; k++) {
            const struct rem_var *var = rem_vars_at(cf->vars, line->values[k].ops[0].index);

            if (!(var->flags & REM_VAR_CLIENTLESS))
                return rem_conf_error_at(cf, line->pos,
                                         "variable \"%.*s\" is always empty in health checks",
                                         REM_STR_ARG(var->name));
        }
        *require = (struct rem_check_require){eval, line->values, line->count};
        tests[line->test].require = rem_check_eval_require;
        tests[line->test].data = require;
    }
    return rc;
}

/* ---- the block ---- */

static int on_line(struct rem_conf *cf, void *data)
{
    static const struct {
        const char *name;
        int (*add)(struct rem_conf *cf, struct rem_match_conf *match);
    } lines[] = {
        {"status", add_status},
        {"header", add_header},
        {"body", add_body},
        {"require", add_require},
    };

    if (rem_str_is(cf->args[0], "include"))
        return cf->n_args == 2 ? rem_conf_include(cf)
                               : rem_conf_error(cf, "invalid number of arguments in \"include\"");
    for (size_t i = 0; i < REM_COUNT(lines); i++) {
        if (rem_str_is(cf->args[0], lines[i].name))
            return lines[i].add(cf, data);
    }
    return rem_conf_error(cf, "unknown directive \"%s\"", cf->args[0].p);
}

int rem_match_conf_read(struct rem_conf *cf, struct rem_match_conf *match)
{
    int rc;

    rem_array_init(&match->tests, sizeof(struct rem_check_test));
    rem_array_init(&match->requires, sizeof(struct rem_match_require));
    rc = rem_conf_block_lines(cf, on_line, match);
    match->spec.tests = REM_ARRAY_OF(&match->tests, const struct rem_check_test);
    match->spec.count = match->tests.n;
    return rc;
}
