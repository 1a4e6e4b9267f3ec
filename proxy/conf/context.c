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

/* Reports a failure that the module did not explain itself. */
static int explained(struct rem_conf *cf, const struct rem_module *m, uint32_t errors_before,
                     int rc)
{
    if (rc < 0 && cf->cycle->errors == errors_before)
        (void)rem_conf_error(cf, "module \"%s\" failed: %s", m->name, rem_err_text(rc));
    return rc;
}

int rem_conf_preconfigure(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *ctx)
{
    struct rem_conf_ctx *current = cf->ctx;
    int rc = 0;

    cf->ctx = ctx;
    EACH_MODULE(cf, kind, m)
    {
        uint32_t errors = cf->cycle->errors;

        if (rc == 0 && m->preconfigure != NULL)
            rc = explained(cf, m, errors, m->preconfigure(cf));
    }
    cf->ctx = current;
    return rc;
}

int rem_conf_init_main(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *ctx)
{
    struct rem_conf_ctx *current = cf->ctx;
    int rc = 0;

    cf->ctx = ctx;
    EACH_MODULE(cf, kind, m)
    {
        uint32_t errors = cf->cycle->errors;

        if (rc == 0 && m->init_main != NULL)
            rc = explained(cf, m, errors, m->init_main(cf, ctx->main[m->index]));
    }
    cf->ctx = current;
    return rc;
}

int rem_conf_postconfigure(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *ctx)
{
    struct rem_conf_ctx *current = cf->ctx;
    int rc = 0;

    cf->ctx = ctx;
    EACH_MODULE(cf, kind, m)
    {
        uint32_t errors = cf->cycle->errors;

        if (rc == 0 && m->postconfigure != NULL)
            rc = explained(cf, m, errors, m->postconfigure(cf));
    }
    cf->ctx = current;
    return rc;
}

static int merge_location_structs(struct rem_conf *cf, enum rem_module_kind kind,
                                  struct rem_conf_ctx *parent, struct rem_conf_ctx *child)
{
    EACH_MODULE(cf, kind, m)
    {
        uint32_t errors = cf->cycle->errors;
        int rc;

        if (m->merge_location == NULL)
            continue;
        rc = m->merge_location(cf, parent->location[m->index], child->location[m->index]);
        if (rc < 0)
            return explained(cf, m, errors, rc);
    }
    return 0;
}

static int merge_server_structs(struct rem_conf *cf, enum rem_module_kind kind,
                                struct rem_conf_ctx *top, struct rem_conf_ctx *server)
{
    EACH_MODULE(cf, kind, m)
    {
        uint32_t errors = cf->cycle->errors;
        int rc;

        if (m->merge_server == NULL)
            continue;
        rc = m->merge_server(cf, top->server[m->index], server->server[m->index]);
        if (rc < 0)
            return explained(cf, m, errors, rc);
    }
    return 0;
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
        rc = merge_location_structs(cf, kind, parent, child);
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
    rc = merge_server_structs(cf, kind, top, server);
    if (rc == 0)
        rc = merge_location_structs(cf, kind, top, server);
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
