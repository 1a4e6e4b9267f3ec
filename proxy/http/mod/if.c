/* SPDX-License-Identifier: Apache-2.0 */
/* if.c - the `if` directive: its condition, and the part of a server or location it guards. */
#include "proxy/http/mod/file.h"
#include "proxy/http/mod/rewrite.h"

#include <errno.h>
#include <sys/stat.h>

enum { WORDS_MAX = 3 };

/* ---- the directive ---- */

static int invalid(struct rem_conf *cf, struct rem_str word)
{
    return rem_conf_error(cf, "invalid condition \"%.*s\"", REM_STR_ARG(word));
}

/* The words between "(" and ")", which may be words of their own or stick to others.
 * Returns: how many, negative reported. */
static int take_words(struct rem_conf *cf, struct rem_str words[WORDS_MAX])
{
    size_t from = 1, to = cf->n_args - 1;
    struct rem_str first = cf->args[from], last = cf->args[to];

    if (first.n == 0 || first.p[0] != '(')
        return invalid(cf, first);
    if (last.n == 0 || last.p[last.n - 1] != ')')
        return invalid(cf, last);
    if (first.n == 1)
        from++;
    if (last.n == 1)
        to--;
    if (from > to || to - from >= WORDS_MAX)
        return invalid(cf, from > to ? last : rem_str_skip(first, 1));
    for (size_t i = from; i <= to; i++) {
        struct rem_str word = cf->args[i];

        if (i == 1)
            word = rem_str_skip(word, 1);
        if (i == cf->n_args - 1)
            word.n--;
        words[i - from] = word;
    }
    return (int)(to - from + 1);
}

/* "~", "!~*", ... */
static int parse_match(struct rem_conf *cf, struct rem_str operator, struct rem_str pattern,
                       struct rem_if *condition)
{
    bool nocase = false;

    condition->kind = REM_IF_MATCH;
    if (operator.n != 0 && operator.p[0] == '!') {
        condition->negated = true;
        operator= rem_str_skip(operator, 1);
    }
    if (rem_str_is(operator, "~*"))
        nocase = true;
    else if (!rem_str_is(operator, "~"))
        return REM_ENOTFOUND;
    return rem_capture_compile(cf, pattern, nocase ? REM_REGEX_NOCASE : 0, &condition->regex);
}

static int parse_variable(struct rem_conf *cf, const struct rem_str *words, int n,
                          struct rem_if *condition)
{
    struct rem_str name = rem_str_skip(words[0], 1);
    int rc;

    if (name.n == 0 || n == 2)
        return invalid(cf, words[0]);
    if (rem_var_index(cf->vars, name, rem_conf_here(cf), &condition->index) != 0)
        return rem_conf_nomem(cf);
    if (n == 1)
        return 0;
    if (rem_str_is(words[1], "=") || rem_str_is(words[1], "!=")) {
        condition->kind = REM_IF_EQUAL;
        condition->negated = words[1].n == 2;
        return rem_value_compile(cf, words[2], &condition->value);
    }
    rc = parse_match(cf, words[1], words[2], condition);
    if (rc == REM_ENOTFOUND)
        return rem_conf_error(cf, "unexpected \"%.*s\" in condition", REM_STR_ARG(words[1]));
    return rc;
}

static int parse_file(struct rem_conf *cf, const struct rem_str *words, int n,
                      struct rem_if *condition)
{
    struct rem_str test = words[0];

    if (test.n != 0 && test.p[0] == '!') {
        condition->negated = true;
        test = rem_str_skip(test, 1);
    }
    if (rem_str_is(test, "-f"))
        condition->kind = REM_IF_FILE;
    else if (rem_str_is(test, "-d"))
        condition->kind = REM_IF_DIRECTORY;
    else if (rem_str_is(test, "-e"))
        condition->kind = REM_IF_EXISTS;
    else if (rem_str_is(test, "-x"))
        condition->kind = REM_IF_EXECUTABLE;
    else
        return invalid(cf, words[0]);
    if (n != 2)
        return invalid(cf, words[0]);
    return rem_value_compile(cf, words[1], &condition->value);
}

static int parse_condition(struct rem_conf *cf, struct rem_if *condition)
{
    struct rem_str words[WORDS_MAX];
    int n = take_words(cf, words);

    if (n < 0)
        return n;
    if (words[0].n != 0 && words[0].p[0] == '$')
        return parse_variable(cf, words, n, condition);
    return parse_file(cf, words, n, condition);
}

/* In a location the block is a location of its own, which inherits; in a server nothing but steps
 * may stand in it. */
static int read_block(struct rem_conf *cf, struct rem_rewrite_conf *conf,
                      const struct rem_http_location_conf **location)
{
    struct rem_conf_ctx *ctx;
    struct rem_rewrite_conf *inner;
    int rc;

    if (cf->context == REM_CTX_SERVER)
        return rem_conf_block(cf, REM_CTX_SERVER_IF, NULL);
    rc = rem_core_new_block(cf, &ctx);
    if (rc != 0)
        return rc;
    *location = ctx->location[rem_http_core_module.index];
    inner = ctx->location[rem_rewrite_module.index];
    inner->steps = conf->steps;
    rc = rem_conf_block(cf, REM_CTX_LOCATION_IF, ctx);
    inner->steps = NULL;
    return rc;
}

int rem_if_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_rewrite_conf *outer = conf;
    const struct rem_http_location_conf *location = NULL;
    struct rem_if *condition = rem_arena_zalloc(cf->arena, sizeof(*condition));
    struct rem_rewrite_step *step;
    uint32_t own;
    int rc;

    (void)d;
    if (condition == NULL)
        return rem_conf_nomem(cf);
    rc = parse_condition(cf, condition);
    if (rc != 0)
        return rc;
    step = rem_rewrite_add(cf, outer, REM_REWRITE_IF);
    if (step == NULL)
        return REM_ENOMEM;
    step->u.condition = condition;
    own = outer->steps->n - 1;
    rc = read_block(cf, outer, &location);
    step = rem_array_at(outer->steps, own);
    step->location = location;
    step->end = outer->steps->n;
    return rc;
}

/* ---- requests ---- */

static bool is_what(enum rem_if_kind kind, const struct stat *st)
{
    switch (kind) {
    case REM_IF_FILE:
        return S_ISREG(st->st_mode);
    case REM_IF_DIRECTORY:
        return S_ISDIR(st->st_mode);
    case REM_IF_EXECUTABLE:
        return (st->st_mode & S_IXUSR) != 0;
    default:
        return true;
    }
}

static int test_file(struct rem_request *request, const struct rem_if *condition)
{
    struct rem_str path;
    struct stat st;
    int error, rc = rem_rewrite_eval(request, &condition->value, &path);

    if (rc != 0)
        return rc;
    path = rem_arena_dup(&request->arena, path);
    if (path.p == NULL)
        return REM_ENOMEM;
    error = rem_file_stat(request, path, &st);
    if (error == 0)
        return is_what(condition->kind, &st);
    if (error != ENOENT && error != ENOTDIR && error != ENAMETOOLONG && error != EACCES)
        REM_LOG_IN(&request->log, REM_LOG_CRIT, error, "stat() \"%s\" failed", path.p);
    return 0;
}

static int test_variable(struct rem_request *request, const struct rem_if *condition)
{
    const struct rem_var_value *value;
    struct rem_str other;
    int rc = rem_var_get(&request->eval, condition->index, &value);

    if (rc != 0)
        return rc;
    if (condition->kind == REM_IF_TRUE)
        return value->str.n != 0 && !rem_str_is(value->str, "0");
    if (condition->kind == REM_IF_EQUAL) {
        struct rem_str text = value->str; /* what comes next may ask for others */

        rc = rem_rewrite_eval(request, &condition->value, &other);
        return rc != 0 ? rc : rem_str_eq(text, other);
    }
    return rem_rewrite_match(request, &condition->regex, value->str);
}

int rem_if_test(struct rem_request *request, const struct rem_if *condition)
{
    int rc = condition->kind >= REM_IF_FILE ? test_file(request, condition)
                                            : test_variable(request, condition);

    if (rc < 0)
        return rc;
    return (rc != 0) != condition->negated;
}
