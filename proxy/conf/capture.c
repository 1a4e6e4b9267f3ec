/* SPDX-License-Identifier: Apache-2.0 */
/* capture.c - see capture.h. */
#include "proxy/conf/capture.h"

#include "proxy/conf/value.h"

static int add_variables(struct rem_conf *cf, struct rem_capture *capture)
{
    uint32_t n;
    const struct rem_regex_name *names = rem_regex_names(capture->regex, &n);

    if (n == 0)
        return 0;
    capture->vars = rem_arena_alloc(cf->arena, n * sizeof(*capture->vars));
    if (capture->vars == NULL)
        return rem_conf_nomem(cf);
    for (uint32_t i = 0; i < n; i++) {
        struct rem_var *var;
        int rc = rem_conf_var_add(cf, names[i].name, NULL, NULL, REM_VAR_CHANGEABLE, &var);

        if (rc < 0)
            return rc;
        if (rem_var_index(cf->vars, names[i].name, rem_conf_here(cf), &capture->vars[i].index) < 0)
            return rem_conf_nomem(cf);
        capture->vars[i].number = names[i].number;
    }
    capture->n_vars = n;
    return 0;
}

int rem_capture_compile(struct rem_conf *cf, struct rem_str pattern, uint32_t flags,
                        struct rem_capture *out)
{
    struct rem_err err;
    struct rem_capture capture = {.regex = NULL};
    int rc = rem_regex_new(cf->arena, pattern, flags, &capture.regex, &err);

    if (rc < 0) {
        (void)rem_conf_error(cf, "%s", err.text);
        return rc;
    }
    rc = add_variables(cf, &capture);
    if (rc == 0)
        *out = capture;
    return rc;
}

/* Copies the match to where it outlives the subject and the next match.  Groups behind the last
 * that took part are beyond `n`. */
static int keep_match(struct rem_eval *e, struct rem_str subject, const size_t *ovector, uint32_t n)
{
    size_t *offsets = rem_arena_alloc(e->arena, 2 * (size_t)n * sizeof(*offsets));
    struct rem_str copy = rem_arena_dup(e->arena, subject);

    if (offsets == NULL || copy.p == NULL)
        return REM_ENOMEM;
    memcpy(offsets, ovector, 2 * (size_t)n * sizeof(*offsets));
    e->captured = copy.p;
    e->ovector = offsets;
    e->n_captures = n;
    return 0;
}

static int set_named(const struct rem_capture *capture, struct rem_eval *e)
{
    for (uint32_t i = 0; i < capture->n_vars; i++) {
        struct rem_str text = rem_value_capture(e, capture->vars[i].number);
        int rc = rem_var_set(e, capture->vars[i].index, text);

        if (rc < 0)
            return rc;
    }
    return 0;
}

int rem_capture_match(const struct rem_capture *capture, struct rem_eval *e, struct rem_str subject)
{
    const size_t *ovector;
    int n = rem_regex_match(capture->regex, subject, &ovector), rc;

    if (n <= 0)
        return n;
    if (rem_regex_captures(capture->regex) == 0) {
        e->n_captures = 0; /* as nginx: a match without groups empties $1 */
        return 1;
    }
    rc = keep_match(e, subject, ovector, (uint32_t)n);
    if (rc == 0)
        rc = set_named(capture, e);
    return rc < 0 ? rc : 1;
}
