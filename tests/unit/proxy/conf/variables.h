/* SPDX-License-Identifier: Apache-2.0 */
/* variables.h - a registry and an evaluation for the tests of variables, values and captures. */
#ifndef REM_TESTS_CONF_VARIABLES_H
#define REM_TESTS_CONF_VARIABLES_H

#include "proxy/conf/load.h"
#include "proxy/conf/value.h"
#include "tests/unit/proxy/conf/helper.h"

/* The subject: counts how often it was asked. */
struct subject {
    int asked;
};

struct stage {
    struct rem_arena arena;
    struct rem_vars *vars;
    struct rem_conf_cycle cycle;
    struct rem_conf cf;
    struct subject subject;
    struct rem_eval e;
};

/* data is the text; NULL: not found. */
static inline int get_text(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct subject *s = e->subject;

    s->asked++;
    if (v->data != NULL) {
        out->str = rem_str_from(v->data);
        out->state = REM_VAR_FOUND;
    }
    return 0;
}

/* How often the subject has been asked. */
static inline int get_count(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct subject *s = e->subject;

    (void)v;
    out->str = rem_arena_printf(e->arena, "%d", ++s->asked);
    out->state = REM_VAR_FOUND;
    return 0;
}

/* The name behind the prefix, in angle brackets. */
static inline int get_rest(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    out->str = rem_arena_printf(e->arena, "<%s>", v->rest.p);
    out->state = REM_VAR_FOUND;
    return 0;
}

static inline int get_failure(struct rem_eval *e, const struct rem_var *v,
                              struct rem_var_value *out)
{
    (void)e, (void)v, (void)out;
    return REM_EIO;
}

/* data is a struct rem_value. */
static inline int get_value(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    out->state = REM_VAR_FOUND;
    return rem_value_eval(v->data, e, &out->str);
}

static inline struct rem_var *define(struct stage *s, const char *name, rem_var_get_fn get,
                                     const void *data, uint32_t flags)
{
    struct rem_var *var = rem_var_add(s->vars, rem_str_from(name), get, data, flags);

    ck_assert_ptr_nonnull(var);
    return var;
}

static inline void stage_init(struct stage *s)
{
    *s = (struct stage){.subject = {0}};
    rem_arena_init(&s->arena, NULL);
    s->vars = rem_vars_new(&s->arena);
    ck_assert_ptr_nonnull(s->vars);
    s->cycle.report = collect;
    s->cf = (struct rem_conf){.cycle = &s->cycle, .arena = &s->arena, .vars = s->vars};
    rem_sbuf_clear(&reports);
    snprintf(test_dir, sizeof(test_dir), "/nowhere");
    define(s, "host", get_text, "example.org", 0);
    define(s, "scheme", get_text, "http", 0);
    define(s, "empty", get_text, NULL, 0);
    define(s, "count", get_count, NULL, REM_VAR_NOCACHE);
    define(s, "once", get_count, NULL, 0);
    define(s, "broken", get_failure, NULL, 0);
    define(s, "arg_", get_rest, NULL, REM_VAR_PREFIX);
    define(s, "sent_", get_text, "short", REM_VAR_PREFIX);
    define(s, "sent_http_", get_rest, NULL, REM_VAR_PREFIX);
}

/* Joins references with definitions and makes a fresh cache. */
static inline void stage_ready(struct stage *s)
{
    ck_assert_int_eq(rem_vars_resolve(s->vars, &s->cf), 0);
    s->e = (struct rem_eval){.subject = &s->subject, .arena = &s->arena, .vars = s->vars};
    s->e.cache = rem_arena_zalloc(&s->arena, (rem_vars_count(s->vars) + 1) * sizeof(*s->e.cache));
}

static inline void stage_fini(struct stage *s)
{
    rem_arena_reset(&s->arena);
}

static inline uint32_t index_of(struct stage *s, const char *name)
{
    uint32_t index = 0;
    struct rem_conf_pos pos = {REM_STR("file"), 7};

    ck_assert_int_eq(rem_var_index(s->vars, rem_str_from(name), pos, &index), 0);
    return index;
}

/* Borrowed; the text of a variable. */
static inline struct rem_str ask(struct stage *s, uint32_t index)
{
    const struct rem_var_value *value = NULL;

    ck_assert_int_eq(rem_var_get(&s->e, index, &value), 0);
    return value->str;
}

#define assert_text(s, want)                                                                       \
    do {                                                                                           \
        struct rem_str got_ = (s);                                                                 \
        ck_assert_msg(rem_str_is(got_, want), "got \"%.*s\", want \"%s\"", REM_STR_ARG(got_),      \
                      (const char *)(want));                                                       \
    } while (0)

#endif
