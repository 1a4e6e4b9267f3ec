/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - see load.h. */
#include "proxy/conf/load.h"

#include "proxy/conf/directive.h"
#include "proxy/conf/parser.h"

#include <stdlib.h>

/* `path` as it is when absolute, else behind `base`. */
static struct rem_str absolute(struct rem_arena *arena, struct rem_str base, struct rem_str path)
{
    if (path.n > 0 && path.p[0] == '/')
        return rem_arena_dup(arena, path);
    return rem_arena_printf(arena, "%.*s%.*s", REM_STR_ARG(base), REM_STR_ARG(path));
}

static struct rem_str with_slash(struct rem_arena *arena, struct rem_str dir)
{
    if (dir.n > 0 && dir.p[dir.n - 1] == '/')
        return rem_arena_dup(arena, dir);
    return rem_arena_printf(arena, "%.*s/", REM_STR_ARG(dir));
}

static struct rem_str directory_of(struct rem_arena *arena, struct rem_str path)
{
    while (path.n > 0 && path.p[path.n - 1] != '/')
        path.n--;
    return rem_arena_dup(arena, path);
}

struct rem_str rem_conf_path(struct rem_conf *cf, struct rem_str path, enum rem_conf_base base)
{
    struct rem_str dir = base == REM_BASE_CONF ? cf->cycle->conf_prefix : cf->cycle->prefix;
    struct rem_str full = absolute(cf->arena, dir, path);

    if (full.p == NULL)
        (void)rem_conf_nomem(cf);
    return full;
}

/* Fills in what does not depend on the files.  Errors: REM_ENOMEM. */
static int prepare(struct rem_conf_cycle *cycle, const struct rem_conf_options *options)
{
    struct rem_arena *arena = &cycle->arena;

    cycle->prefix = with_slash(arena, options->prefix);
    if (cycle->prefix.p == NULL)
        return REM_ENOMEM;
    cycle->file = absolute(arena, cycle->prefix, options->file);
    if (cycle->file.p == NULL)
        return REM_ENOMEM;
    cycle->conf_prefix = directory_of(arena, cycle->file);
    cycle->directives = rem_arena_alloc(arena, sizeof(*cycle->directives));
    cycle->ctx = rem_arena_zalloc(arena, sizeof(*cycle->ctx));
    if (cycle->conf_prefix.p == NULL || cycle->directives == NULL || cycle->ctx == NULL)
        return REM_ENOMEM;
    cycle->ctx->level = REM_LEVEL_MAIN;
    cycle->ctx->main = rem_arena_zalloc(arena, (cycle->n_modules + 1) * sizeof(void *));
    if (cycle->ctx->main == NULL)
        return REM_ENOMEM;
    rem_strmap_init(cycle->directives, arena, false);
    return rem_directive_index(cycle->directives, arena, cycle->modules, cycle->n_modules);
}

static int create_core(struct rem_conf *cf)
{
    for (size_t i = 0; i < cf->cycle->n_modules; i++) {
        const struct rem_module *m = cf->cycle->modules[i];

        if (m->kind != REM_MODULE_CORE || m->create_main == NULL)
            continue;
        cf->ctx->main[i] = m->create_main(cf);
        if (cf->ctx->main[i] == NULL)
            return rem_conf_nomem(cf);
    }
    return 0;
}

static int read_everything(struct rem_conf *cf, struct rem_str globals)
{
    int rc = create_core(cf);

    if (rc == 0)
        rc = rem_conf_preconfigure(cf, REM_MODULE_CORE, cf->ctx);
    if (rc == 0 && globals.n > 0)
        rc = rem_parser_text(cf, REM_STR("command line"), globals, REM_PARSER_PARAM);
    if (rc == 0)
        rc = rem_parser_file(cf, cf->cycle->file);
    if (rc == 0)
        rc = rem_conf_init_main(cf, REM_MODULE_CORE, cf->ctx);
    return rc;
}

int rem_conf_load(const struct rem_conf_options *options, struct rem_conf_cycle **out)
{
    struct rem_conf_cycle *cycle = calloc(1, sizeof(*cycle));
    struct rem_conf cf;
    int rc;

    if (cycle == NULL)
        return REM_ENOMEM;
    cycle->magic = REM_CONF_CYCLE_MAGIC;
    rem_arena_init(&cycle->arena, NULL);
    cycle->modules = options->modules;
    cycle->n_modules = options->n_modules;
    cycle->report = options->report;
    cycle->report_data = options->report_data;
    cycle->user = options->user;
    for (size_t i = 0; i < options->n_modules; i++)
        options->modules[i]->index = (uint32_t)i;

    cf = (struct rem_conf){.cycle = cycle, .arena = &cycle->arena, .user = options->user};
    cf.context = REM_CTX_MAIN;
    rc = prepare(cycle, options);
    if (rc < 0)
        (void)rem_conf_nomem(&cf);
    cf.ctx = cycle->ctx;
    if (rc == 0)
        rc = read_everything(&cf, options->globals);
    if (rc < 0) {
        rem_conf_free(cycle);
        return rc;
    }
    cycle->report = NULL;
    *out = cycle;
    return 0;
}

void rem_conf_free(struct rem_conf_cycle *cycle)
{
    if (cycle == NULL)
        return;
    REM_CHECK_OBJ(cycle, REM_CONF_CYCLE_MAGIC);
    cycle->magic = 0;
    rem_arena_reset(&cycle->arena);
    free(cycle);
}

void rem_conf_dump(const struct rem_conf_cycle *cycle, struct rem_sbuf *out)
{
    for (const struct rem_conf_source *s = cycle->sources; s != NULL; s = s->next) {
        rem_sbuf_addf(out, "# configuration file %.*s:\n", REM_STR_ARG(s->path));
        rem_sbuf_add(out, s->bytes);
        rem_sbuf_addc(out, '\n');
    }
}
