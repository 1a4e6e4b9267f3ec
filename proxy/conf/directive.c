/* SPDX-License-Identifier: Apache-2.0 */
/* directive.c - see directive.h. */
#include "proxy/conf/directive.h"

/* Directives of one name, in the order of the modules: contexts tell them apart. */
struct directive_entry {
    const struct rem_directive *directive;
    const struct rem_module *module; /* NULL: built in */
    struct directive_entry *next;
};

static int on_include(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)d;
    (void)conf;
    return rem_conf_include(cf);
}

static const struct rem_directive built_in[] = {
    {.name = "include", .contexts = ~0u, .args = REM_ARGS_1, .set = on_include},
    REM_DIRECTIVE_END,
};

static int index_one(struct rem_strmap *table, struct rem_arena *arena,
                     const struct rem_directive *d, const struct rem_module *module)
{
    struct directive_entry *entry = rem_arena_zalloc(arena, sizeof(*entry)), *at;
    struct rem_str name = rem_str_from(d->name);

    if (entry == NULL)
        return REM_ENOMEM;
    *entry = (struct directive_entry){d, module, NULL};
    at = rem_strmap_get(table, name);
    if (at == NULL)
        return rem_strmap_add(table, name, entry);
    while (at->next != NULL)
        at = at->next;
    at->next = entry;
    return 0;
}

static int index_table(struct rem_strmap *table, struct rem_arena *arena,
                       const struct rem_directive *directives, const struct rem_module *module)
{
    for (const struct rem_directive *d = directives; d != NULL && d->name != NULL; d++) {
        int rc = index_one(table, arena, d, module);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int rem_directive_index(struct rem_strmap *table, struct rem_arena *arena,
                        struct rem_module *const *modules, size_t n)
{
    int rc = index_table(table, arena, built_in, NULL);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = index_table(table, arena, modules[i]->directives, modules[i]);
    return rc;
}

/* Whether `n` arguments (the name not counted) suit. */
static bool args_suit(uint32_t spec, size_t n)
{
    if (spec & REM_ARGS_ANY)
        return true;
    if ((spec & REM_ARGS_FLAG) && n == 1)
        return true;
    if ((spec & REM_ARGS_1MORE) && n >= 1)
        return true;
    if ((spec & REM_ARGS_2MORE) && n >= 2)
        return true;
    return n <= 7 && (spec & (1u << n)) != 0;
}

static int check_use(struct rem_conf *cf, const struct rem_directive *d, enum rem_parser_end end)
{
    bool block = (d->args & REM_ARGS_BLOCK) != 0;

    if (!block && end != REM_PARSER_SEMICOLON)
        return rem_conf_error(cf, "directive \"%s\" is not terminated by \";\"", d->name);
    if (block && end != REM_PARSER_BLOCK)
        return rem_conf_error(cf, "directive \"%s\" has no opening \"{\"", d->name);
    if (!args_suit(d->args, cf->n_args - 1))
        return rem_conf_error(cf, "invalid number of arguments in \"%s\" directive", d->name);
    return 0;
}

/* The struct the directive's function writes to. */
static void *struct_of(struct rem_conf *cf, const struct directive_entry *entry)
{
    void **of_level = NULL;

    switch (entry->directive->level) {
    case REM_LEVEL_NONE:
    case REM_LEVEL_UPSTREAM:
        return NULL;
    case REM_LEVEL_MAIN:
        of_level = cf->ctx->main;
        break;
    case REM_LEVEL_SERVER:
        of_level = cf->ctx->server;
        break;
    case REM_LEVEL_LOCATION:
        of_level = cf->ctx->location;
        break;
    }
    /* A table that allows a directive where its struct does not exist is a mistake of ours. */
    REM_CHECK(of_level != NULL && entry->module != NULL);
    return of_level[entry->module->index];
}

int rem_directive_run(struct rem_conf *cf, enum rem_parser_end end)
{
    const struct directive_entry *entry = rem_strmap_get(cf->cycle->directives, cf->args[0]);
    uint32_t errors = cf->cycle->errors;
    int rc;

    if (entry == NULL)
        return rem_conf_error(cf, "unknown directive \"%s\"", cf->args[0].p);
    while (entry != NULL && (entry->directive->contexts & (uint32_t)cf->context) == 0)
        entry = entry->next;
    if (entry == NULL)
        return rem_conf_error(cf, "\"%s\" directive is not allowed here", cf->args[0].p);
    rc = check_use(cf, entry->directive, end);
    if (rc < 0)
        return rc;
    rc = entry->directive->set(cf, entry->directive, struct_of(cf, entry));
    if (rc < 0 && cf->cycle->errors == errors)
        return rem_conf_error(cf, "\"%s\" directive failed: %s", cf->args[0].p, rem_err_text(rc));
    return rc;
}
