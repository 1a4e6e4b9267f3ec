/* SPDX-License-Identifier: Apache-2.0 */
/* context.c - the structs of every block: created, hung into a tree, merged downwards (declared in
 * conf.h). */
#include "proxy/conf/load.h"

/* The module of a kind behind `last`, or the first one. */
static struct rem_module *next_module(const struct rem_conf *cf, enum rem_module_kind kind,
                                      const struct rem_module *last)
{
    for (size_t i = last != NULL ? last->index + 1 : 0; i < cf->cycle->n_modules; i++) {
        if (cf->cycle->modules[i]->kind == kind)
            return cf->cycle->modules[i];
    }
    return NULL;
}

#define EACH_MODULE(cf, kind, m)                                                                   \
    for (struct rem_module *m = next_module((cf), (kind), NULL); m != NULL;                        \
         m = next_module((cf), (kind), m))

static void **new_vector(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, (cf->cycle->n_modules + 1) * sizeof(void *));
}

/* Creates one struct with `create` (may be NULL) into its place. */
static int create_one(struct rem_conf *cf, const struct rem_module *m,
                      void *(*create)(struct rem_conf *cf), void **vector)
{
    if (create == NULL)
        return 0;
    vector[m->index] = create(cf);
    return vector[m->index] != NULL ? 0 : REM_ENOMEM;
}

static int create_all(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *ctx)
{
    EACH_MODULE(cf, kind, m)
    {
        int rc = 0;

        if (ctx->level == REM_LEVEL_MAIN)
            rc = create_one(cf, m, m->create_main, ctx->main);
        if (rc == 0 && ctx->level != REM_LEVEL_LOCATION)
            rc = create_one(cf, m, m->create_server, ctx->server);
        if (rc == 0)
            rc = create_one(cf, m, m->create_location, ctx->location);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void adopt(struct rem_conf_ctx *parent, struct rem_conf_ctx *child)
{
    child->parent = parent;
    if (parent->last != NULL)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

struct rem_conf_ctx *rem_conf_ctx_new(struct rem_conf *cf, enum rem_module_kind kind,
                                      enum rem_conf_level level)
{
    struct rem_conf_ctx *ctx = rem_arena_zalloc(cf->arena, sizeof(*ctx)), *current = cf->ctx;
    int rc = REM_ENOMEM;

    REM_CHECK(level != REM_LEVEL_NONE);
    if (ctx != NULL) {
        ctx->level = level;
        ctx->main = current->main;
        ctx->server = level == REM_LEVEL_LOCATION ? current->server : new_vector(cf);
        ctx->location = new_vector(cf);
        if (ctx->server != NULL && ctx->location != NULL) {
            cf->ctx = ctx; /* so that a create function finds the structs made before its own */
            rc = create_all(cf, kind, ctx);
            cf->ctx = current;
        }
    }
    if (rc < 0) {
        (void)rem_conf_nomem(cf);
        return NULL;
    }
    adopt(current, ctx);
    return ctx;
}

/* A module's part in what is done with a block, and with the one above it. */
typedef int (*module_fn)(struct rem_conf *cf, const struct rem_module *m,
                         const struct rem_conf_ctx *parent, const struct rem_conf_ctx *ctx);

/* Has every module do its part, in order, until one fails; reports a failure that the module did
 * not explain itself. */
static int run_all(struct rem_conf *cf, enum rem_module_kind kind, module_fn fn,
                   const struct rem_conf_ctx *parent, const struct rem_conf_ctx *ctx)
{
    EACH_MODULE(cf, kind, m)
    {
        uint32_t errors = cf->cycle->errors;
        int rc = fn(cf, m, parent, ctx);

        if (rc < 0 && cf->cycle->errors == errors)
            (void)rem_conf_error(cf, "module \"%s\" failed: %s", m->name, rem_err_text(rc));
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The same with cf->ctx = ctx. */
static int run_all_in(struct rem_conf *cf, enum rem_module_kind kind, module_fn fn,
                      struct rem_conf_ctx *ctx)
{
    struct rem_conf_ctx *current = cf->ctx;
    int rc;

    cf->ctx = ctx;
    rc = run_all(cf, kind, fn, NULL, ctx);
    cf->ctx = current;
    return rc;
}

static int preconfigure(struct rem_conf *cf, const struct rem_module *m,
                        const struct rem_conf_ctx *parent, const struct rem_conf_ctx *ctx)
{
    (void)parent;
    (void)ctx;
    return m->preconfigure != NULL ? m->preconfigure(cf) : 0;
}

static int init_main(struct rem_conf *cf, const struct rem_module *m,
                     const struct rem_conf_ctx *parent, const struct rem_conf_ctx *ctx)
{
    (void)parent;
    return m->init_main != NULL ? m->init_main(cf, ctx->main[m->index]) : 0;
}

static int merge_server(struct rem_conf *cf, const struct rem_module *m,
                        const struct rem_conf_ctx *parent, const struct rem_conf_ctx *ctx)
{
    if (m->merge_server == NULL)
        return 0;
    return m->merge_server(cf, parent->server[m->index], ctx->server[m->index]);
}

static int merge_location(struct rem_conf *cf, const struct rem_module *m,
                          const struct rem_conf_ctx *parent, const struct rem_conf_ctx *ctx)
{
    if (m->merge_location == NULL)
        return 0;
    return m->merge_location(cf, parent->location[m->index], ctx->location[m->index]);
}

int rem_conf_preconfigure(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *ctx)
{
    return run_all_in(cf, kind, preconfigure, ctx);
}

int rem_conf_init_main(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *ctx)
{
    return run_all_in(cf, kind, init_main, ctx);
}

int rem_conf_merge_locations(struct rem_conf *cf, enum rem_module_kind kind,
                             struct rem_conf_ctx *parent)
{
    struct rem_conf_ctx *current = cf->ctx;
    int rc = 0;

    for (struct rem_conf_ctx *child = parent->first; child != NULL && rc == 0;
         child = child->next) {
        if (child->level != REM_LEVEL_LOCATION)
            continue;
        cf->ctx = child;
        rc = run_all(cf, kind, merge_location, parent, child);
        if (rc == 0)
            rc = rem_conf_merge_locations(cf, kind, child);
    }
    cf->ctx = current;
    return rc;
}

int rem_conf_merge_server(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *top,
                          struct rem_conf_ctx *server)
{
    struct rem_conf_ctx *current = cf->ctx;
    int rc;

    cf->ctx = server;
    rc = run_all(cf, kind, merge_server, top, server);
    if (rc == 0)
        rc = run_all(cf, kind, merge_location, top, server);
    if (rc == 0)
        rc = rem_conf_merge_locations(cf, kind, server);
    cf->ctx = current;
    return rc;
}

int rem_conf_merge(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *top)
{
    REM_CHECK(top->level == REM_LEVEL_MAIN);
    for (struct rem_conf_ctx *server = top->first; server != NULL; server = server->next) {
        int rc;

        if (server->level != REM_LEVEL_SERVER)
            continue;
        rc = rem_conf_merge_server(cf, kind, top, server);
        if (rc < 0)
            return rc;
    }
    return 0;
}
