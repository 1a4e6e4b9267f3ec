/* SPDX-License-Identifier: Apache-2.0 */
/* language.h - a small configuration language of two modules, one of each kind, for the tests of
 * the parser, the contexts and the setters.
 *
 *     daemon, number, workers (twice, for two contexts), events { workers }, text
 *     http { server { location { location {} if {} } } upstream {} types {} } and one directive per
 *     setter, allowed at all levels  */
#ifndef REM_TESTS_CONF_LANGUAGE_H
#define REM_TESTS_CONF_LANGUAGE_H

#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/conf/value.h"
#include "tests/unit/proxy/conf/helper.h"

struct lang_core {
    int daemon;
    int64_t workers;
    int64_t event_workers;
    int events;
    struct rem_conf_ctx *http;
    struct rem_vars *vars;
};

struct lang_main {
    int64_t limit;
    struct rem_sbuf trace; /* what was called, for the order */
};

struct lang_server {
    struct rem_str name;
};

struct lang_location {
    struct rem_str label;
    int flag;
    int choice;
    int64_t num, off, msec, sec;
    size_t size;
    uint32_t mask;
    struct rem_conf_bufs bufs;
    struct rem_str str, path;
    struct rem_value *value;
    struct rem_array *strs;
    struct rem_array *types; /* of struct rem_str: the lines of the free block, joined */
};

static struct rem_module lang_core_module, lang_http_module;

static struct lang_main *lang_trace_of(struct rem_conf *cf)
{
    return rem_conf_main(cf, &lang_http_module);
}

static int on_events(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct lang_core *core = conf;

    (void)d;
    if (core->events)
        return rem_conf_duplicate(cf);
    core->events = 1;
    return rem_conf_block(cf, REM_CTX_EVENTS, NULL);
}

static int finish_http(struct rem_conf *cf, struct rem_conf_ctx *ctx)
{
    int rc = rem_conf_init_main(cf, REM_MODULE_HTTP, ctx);

    if (rc == 0)
        rc = rem_conf_merge(cf, REM_MODULE_HTTP, ctx);
    rem_sbuf_addc(&lang_trace_of(cf)->trace, '\0');
    if (rc == 0)
        rc = rem_vars_resolve(cf->vars, cf);
    return rc;
}

static int on_http(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct lang_core *core = conf;
    struct rem_vars *outer = cf->vars;
    int rc;

    (void)d;
    if (core->http != NULL)
        return rem_conf_duplicate(cf);
    core->http = rem_conf_ctx_new(cf, REM_MODULE_HTTP, REM_LEVEL_MAIN);
    if (core->http == NULL)
        return REM_ENOMEM;
    core->vars = cf->vars = rem_vars_new(cf->arena);
    rc = rem_conf_preconfigure(cf, REM_MODULE_HTTP, core->http);
    if (rc == 0)
        rc = rem_conf_block(cf, REM_CTX_HTTP, core->http);
    if (rc == 0)
        rc = finish_http(cf, core->http);
    cf->vars = outer;
    return rc;
}

/* server, upstream, location, if: data says which. */
struct lang_block {
    enum rem_conf_level level;
    enum rem_conf_context context;
};

static int on_block(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    const struct lang_block *block = d->data;
    struct rem_conf_ctx *ctx = rem_conf_ctx_new(cf, REM_MODULE_HTTP, block->level);
    struct lang_location *location;

    (void)conf;
    if (ctx == NULL)
        return REM_ENOMEM;
    location = ctx->location[lang_http_module.index];
    location->label = cf->args[cf->n_args - 1];
    return rem_conf_block(cf, block->context, ctx);
}

static int on_type_line(struct rem_conf *cf, void *data)
{
    struct rem_array *lines = data;
    struct rem_sbuf joined;
    struct rem_str *line;

    if (rem_str_is(cf->args[0], "include"))
        return rem_conf_include(cf);
    if (rem_str_is(cf->args[0], "mute")) /* a failure without a word */
        return REM_EUNSUPPORTED;
    rem_sbuf_init(&joined);
    for (size_t i = 0; i < cf->n_args; i++)
        rem_sbuf_addf(&joined, "%s%s", i > 0 ? "," : "", cf->args[i].p);
    line = rem_array_push(cf->arena, lines);
    ck_assert_ptr_nonnull(line);
    *line = rem_arena_dup(cf->arena, rem_sbuf_str(&joined));
    rem_sbuf_fini(&joined);
    return 0;
}

static int on_types(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct lang_location *location = conf;

    (void)d;
    location->types = rem_array_new(cf->arena, sizeof(struct rem_str));
    return rem_conf_block_lines(cf, on_type_line, location->types);
}

static int on_mute(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)cf, (void)d, (void)conf;
    return REM_EUNSUPPORTED;
}

static int on_warn(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)d, (void)conf;
    rem_conf_warn(cf, "\"%s\" is deprecated", cf->args[0].p);
    return 0;
}

static void *lang_core_create(struct rem_conf *cf)
{
    struct lang_core *core = rem_arena_zalloc(cf->arena, sizeof(*core));

    core->daemon = REM_CONF_UNSET;
    core->workers = core->event_workers = REM_CONF_UNSET;
    return core;
}

static int lang_core_init(struct rem_conf *cf, void *conf)
{
    struct lang_core *core = conf;

    (void)cf;
    if (core->workers == REM_CONF_UNSET)
        core->workers = 1;
    return 0;
}

static const struct rem_conf_bounds upto_nine = {1, 9};
static const struct rem_conf_bounds above_nine = {10, INT64_MAX};

static const struct rem_directive lang_core_directives[] = {
    {"daemon", REM_CTX_MAIN, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_MAIN,
     offsetof(struct lang_core, daemon), NULL},
    {"workers", REM_CTX_MAIN, REM_ARGS_1, rem_set_num, REM_LEVEL_MAIN,
     offsetof(struct lang_core, workers), &upto_nine},
    {"workers", REM_CTX_EVENTS, REM_ARGS_1, rem_set_num, REM_LEVEL_MAIN,
     offsetof(struct lang_core, event_workers), &above_nine},
    {"events", REM_CTX_MAIN, REM_ARGS_0 | REM_ARGS_BLOCK, on_events, REM_LEVEL_MAIN, 0, NULL},
    {"http", REM_CTX_MAIN, REM_ARGS_0 | REM_ARGS_BLOCK, on_http, REM_LEVEL_MAIN, 0, NULL},
    {"one_or_three", REM_CTX_MAIN, REM_ARGS_13, on_warn, REM_LEVEL_NONE, 0, NULL},
    {"two_or_more", REM_CTX_MAIN, REM_ARGS_2MORE, on_warn, REM_LEVEL_NONE, 0, NULL},
    {"some", REM_CTX_MAIN, REM_ARGS_1MORE, on_warn, REM_LEVEL_NONE, 0, NULL},
    {"any", REM_CTX_MAIN, REM_ARGS_ANY, on_warn, REM_LEVEL_NONE, 0, NULL},
    {"mute", REM_CTX_MAIN, REM_ARGS_0, on_mute, REM_LEVEL_NONE, 0, NULL},
    REM_DIRECTIVE_END,
};

static struct rem_module lang_core_module = {
    .name = "core",
    .kind = REM_MODULE_CORE,
    .directives = lang_core_directives,
    .create_main = lang_core_create,
    .init_main = lang_core_init,
};

static void lang_free_trace(void *data)
{
    rem_sbuf_fini(data);
}

static void *lang_create_main(struct rem_conf *cf)
{
    struct lang_main *m = rem_arena_zalloc(cf->arena, sizeof(*m));

    m->limit = REM_CONF_UNSET;
    rem_sbuf_init(&m->trace);
    ck_assert_int_eq(rem_arena_on_reset(cf->arena, lang_free_trace, &m->trace), 0);
    return m;
}

static void *lang_create_server(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct lang_server));
}

static void *lang_create_location(struct rem_conf *cf)
{
    struct lang_location *l = rem_arena_zalloc(cf->arena, sizeof(*l));

    l->flag = l->choice = REM_CONF_UNSET;
    l->num = l->off = l->msec = l->sec = REM_CONF_UNSET;
    l->size = REM_CONF_UNSET_SIZE;
    l->value = REM_CONF_UNSET_PTR;
    l->strs = REM_CONF_UNSET_PTR;
    return l;
}

static int lang_init_main(struct rem_conf *cf, void *conf)
{
    struct lang_main *m = conf;

    (void)cf;
    rem_merge_num(&m->limit, REM_CONF_UNSET, 64);
    rem_sbuf_adds(&m->trace, "init");
    return 0;
}

static int lang_merge_server(struct rem_conf *cf, void *parent, void *child)
{
    struct lang_server *prev = parent, *conf = child;

    rem_merge_str(&conf->name, prev->name, REM_STR("unnamed"));
    rem_sbuf_addf(&lang_trace_of(cf)->trace, " server=%s", conf->name.p);
    return rem_str_is(conf->name, "refused") ? REM_EINVAL : 0;
}

static int lang_merge_location(struct rem_conf *cf, void *parent, void *child)
{
    struct lang_location *prev = parent, *conf = child;

    rem_merge_flag(&conf->flag, prev->flag, 0);
    rem_merge_enum(&conf->choice, prev->choice, 7);
    rem_merge_num(&conf->num, prev->num, 70);
    rem_merge_off(&conf->off, prev->off, 71);
    rem_merge_msec(&conf->msec, prev->msec, 72);
    rem_merge_sec(&conf->sec, prev->sec, 73);
    rem_merge_size(&conf->size, prev->size, 74);
    rem_merge_bitmask(&conf->mask, prev->mask, 8);
    rem_merge_bufs(&conf->bufs, prev->bufs, 8, 4096);
    rem_merge_str(&conf->str, prev->str, REM_STR("none"));
    rem_merge_str(&conf->path, prev->path, REM_STR("/"));
    rem_merge_value(conf->value, prev->value, NULL);
    rem_merge_ptr(conf->strs, prev->strs, NULL);
    rem_sbuf_addf(&lang_trace_of(cf)->trace, " %s:%s", conf->label.p, conf->str.p);
    /* The child's context is the current one while its merge runs. */
    ck_assert_ptr_eq(rem_conf_location(cf, &lang_http_module), child);
    return 0;
}

static int lang_preconfigure(struct rem_conf *cf)
{
    rem_sbuf_adds(&lang_trace_of(cf)->trace, "pre ");
    return 0;
}

static const struct lang_block server_block = {REM_LEVEL_SERVER, REM_CTX_SERVER};
static const struct lang_block upstream_block = {REM_LEVEL_UPSTREAM, REM_CTX_UPSTREAM};
static const struct lang_block location_block = {REM_LEVEL_LOCATION, REM_CTX_LOCATION};
static const struct lang_block if_block = {REM_LEVEL_LOCATION, REM_CTX_LOCATION_IF};

static const struct rem_conf_choice lang_choices[] = {
    {"off", 1}, {"exact", 2}, {"before", 4}, {NULL, 0}};

#define LANG_LEVELS                                                                                \
    (REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LOCATION_IF | REM_CTX_UPSTREAM)
#define LANG_FIELD(name, count, setter, data)                                                      \
    {                                                                                              \
#name, LANG_LEVELS, count, setter, REM_LEVEL_LOCATION,                                     \
            offsetof(struct lang_location, name), data                                             \
    }

static const struct rem_directive lang_http_directives[] = {
    {"server", REM_CTX_HTTP, REM_ARGS_0 | REM_ARGS_BLOCK, on_block, REM_LEVEL_NONE, 0,
     &server_block},
    {"upstream", REM_CTX_HTTP, REM_ARGS_1 | REM_ARGS_BLOCK, on_block, REM_LEVEL_NONE, 0,
     &upstream_block},
    {"location", REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_12 | REM_ARGS_BLOCK, on_block,
     REM_LEVEL_NONE, 0, &location_block},
    {"if", REM_CTX_LOCATION, REM_ARGS_1MORE | REM_ARGS_BLOCK, on_block, REM_LEVEL_NONE, 0,
     &if_block},
    {"types", LANG_LEVELS, REM_ARGS_0 | REM_ARGS_BLOCK, on_types, REM_LEVEL_LOCATION, 0, NULL},
    {"limit", REM_CTX_HTTP, REM_ARGS_1, rem_set_num, REM_LEVEL_MAIN,
     offsetof(struct lang_main, limit), NULL},
    {"name", REM_CTX_HTTP | REM_CTX_SERVER, REM_ARGS_1, rem_set_str, REM_LEVEL_SERVER,
     offsetof(struct lang_server, name), NULL},
    LANG_FIELD(flag, REM_ARGS_FLAG, rem_set_flag, NULL),
    LANG_FIELD(choice, REM_ARGS_1, rem_set_enum, lang_choices),
    LANG_FIELD(num, REM_ARGS_1, rem_set_num, NULL),
    LANG_FIELD(off, REM_ARGS_1, rem_set_off, NULL),
    LANG_FIELD(msec, REM_ARGS_1, rem_set_msec, NULL),
    LANG_FIELD(sec, REM_ARGS_1, rem_set_sec, NULL),
    LANG_FIELD(size, REM_ARGS_1, rem_set_size, NULL),
    LANG_FIELD(mask, REM_ARGS_1MORE, rem_set_bitmask, lang_choices),
    LANG_FIELD(bufs, REM_ARGS_2, rem_set_bufs, NULL),
    LANG_FIELD(str, REM_ARGS_1, rem_set_str, NULL),
    LANG_FIELD(path, REM_ARGS_1, rem_set_path, NULL),
    LANG_FIELD(value, REM_ARGS_1, rem_set_value, NULL),
    LANG_FIELD(strs, REM_ARGS_1MORE, rem_set_strs, NULL),
    REM_DIRECTIVE_END,
};

static struct rem_module lang_http_module = {
    .name = "http",
    .kind = REM_MODULE_HTTP,
    .directives = lang_http_directives,
    .preconfigure = lang_preconfigure,
    .create_main = lang_create_main,
    .init_main = lang_init_main,
    .create_server = lang_create_server,
    .merge_server = lang_merge_server,
    .create_location = lang_create_location,
    .merge_location = lang_merge_location,
};

static struct rem_module *const lang_modules[] = {&lang_core_module, &lang_http_module};

static inline int load_lang(const char *text, const char *globals, struct rem_conf_cycle **out)
{
    write_file("c.conf", text);
    return load_file(lang_modules, REM_COUNT(lang_modules), globals, NULL, out);
}

/* The location struct at the end of a path of child numbers below http ("" for http itself). */
static inline struct lang_location *location_at(const struct rem_conf_cycle *cycle,
                                                const char *path)
{
    const struct lang_core *core = rem_conf_cycle_main(cycle, &lang_core_module);
    const struct rem_conf_ctx *ctx = core->http;

    for (; *path != '\0'; path++) {
        ctx = ctx->first;
        for (char c = '0'; c < *path; c++)
            ctx = ctx->next;
    }
    return ctx->location[lang_http_module.index];
}

#endif
