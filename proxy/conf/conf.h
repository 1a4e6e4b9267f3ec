/* SPDX-License-Identifier: Apache-2.0 */
/* conf.h - reading a configuration: what a directive's function sees and may call.
 *
 * Runs in:    the master (and the test run of -t), before anything is served.
 * Lifecycle:  a struct rem_conf lives for one rem_conf_load; everything it allocates in
 *             cf->arena lives as long as the loaded configuration (struct rem_conf_cycle).
 * Ownership:  args, file names and texts handed out here live in that arena.
 *
 * How a block module (http) uses it:
 *
 *     ctx = rem_conf_ctx_new(cf, REM_MODULE_HTTP, REM_LEVEL_MAIN)   creates all structs
 *     cf->vars = rem_vars_new(cf->arena)
 *     rem_conf_preconfigure(cf, REM_MODULE_HTTP, ctx)
 *     rem_conf_block(cf, REM_CTX_HTTP, ctx)                         reads { ... }
 *         a server directive: sctx = rem_conf_ctx_new(cf, HTTP, REM_LEVEL_SERVER)
 *                             rem_conf_block(cf, REM_CTX_SERVER, sctx)
 *     rem_conf_init_main(cf, REM_MODULE_HTTP, ctx)
 *     rem_conf_merge(cf, REM_MODULE_HTTP, ctx)
 *     rem_vars_resolve(cf->vars, cf)                                unknown variables
 *
 * Not here:   loading and freeing (load.h), setters (set.h), unset values and merging (merge.h). */
#ifndef REM_CONF_CONF_H
#define REM_CONF_CONF_H

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proxy/conf/module.h"

struct rem_conf_cycle;
struct rem_conf_source;
struct rem_lexer;
struct rem_vars;

/* The structs of one block, by module index.  Blocks form a tree: contexts made while another is
 * current become its children, in the order of the file. */
struct rem_conf_ctx {
    void **main;   /* one vector for the whole configuration */
    void **server; /* shared with the server block above in a location */
    void **location;
    enum rem_conf_level level;
    struct rem_conf_ctx *parent;
    struct rem_conf_ctx *first; /* children */
    struct rem_conf_ctx *last;
    struct rem_conf_ctx *next; /* sibling */
};

/* A place in a file, kept for errors that show later. */
struct rem_conf_pos {
    struct rem_str file; /* p == NULL: nowhere; "command line" for -g */
    uint32_t line;       /* 0: the file has no lines (-g) */
};

/* Handles one line of a free block; cf->args holds its words. */
typedef int (*rem_conf_line_fn)(struct rem_conf *cf, void *data);

struct rem_conf {
    struct rem_conf_cycle *cycle;
    struct rem_arena *arena; /* of the cycle */

    const struct rem_str *args; /* words of this line, args[0] the name; each ends in NUL */
    size_t n_args;
    enum rem_conf_context context;
    struct rem_conf_ctx *ctx;
    struct rem_vars *vars; /* of the block that has variables (http sets it); else NULL */
    void *user;            /* rem_conf_options.user */

    /* The parser's own. */
    struct rem_lexer *lexer;
    rem_conf_line_fn line_fn;
    void *line_data;
    uint32_t depth; /* blocks and includes within each other */
};

/* Reads the block whose { was just read, up to its }, in another context.  `ctx` NULL: keeps the
 * current one (events). */
int rem_conf_block(struct rem_conf *cf, enum rem_conf_context context,
                   struct rem_conf_ctx *ctx) REM_MUST_CHECK;

/* Reads a free block: `fn` gets every line.  It may call rem_conf_include for "include". */
int rem_conf_block_lines(struct rem_conf *cf, rem_conf_line_fn fn, void *data) REM_MUST_CHECK;

/* Reads lines from a text that is not part of the configuration, `file` in messages: `fn` gets each
 * of them, and that one is wrong does not keep the rest from being read.  What would be reported is
 * not, nor does it count as an error.
 * Returns: 0; REM_EINVAL with the first message and its place in `err`; REM_ENOMEM. */
int rem_conf_text_lines(struct rem_conf *cf, struct rem_str file, struct rem_str bytes,
                        rem_conf_line_fn fn, void *data, struct rem_err *err) REM_MUST_CHECK;

/* Runs the include line in cf->args (one argument, a path or a glob). */
int rem_conf_include(struct rem_conf *cf) REM_MUST_CHECK;

/* Creates the structs of all modules of `kind` for a block of `level` and hangs the context under
 * cf->ctx.  MAIN creates all three, SERVER and UPSTREAM server and location, LOCATION (also for
 * if and limit_except) location only.  Returns NULL without memory (reported). */
struct rem_conf_ctx *rem_conf_ctx_new(struct rem_conf *cf, enum rem_module_kind kind,
                                      enum rem_conf_level level) REM_MUST_CHECK;

/* Run that function of all modules of `kind`, in order, with cf->ctx = ctx. */
int rem_conf_preconfigure(struct rem_conf *cf, enum rem_module_kind kind,
                          struct rem_conf_ctx *ctx) REM_MUST_CHECK;
int rem_conf_init_main(struct rem_conf *cf, enum rem_module_kind kind,
                       struct rem_conf_ctx *ctx) REM_MUST_CHECK;

/* Merges a whole tree: the MAIN context `top` into every server below it, each server's location
 * struct into its locations, those into theirs.  cf->ctx is the child while its merge runs. */
int rem_conf_merge(struct rem_conf *cf, enum rem_module_kind kind,
                   struct rem_conf_ctx *top) REM_MUST_CHECK;
/* Its two steps: one server with its locations; the locations below one context. */
int rem_conf_merge_server(struct rem_conf *cf, enum rem_module_kind kind, struct rem_conf_ctx *top,
                          struct rem_conf_ctx *server) REM_MUST_CHECK;
int rem_conf_merge_locations(struct rem_conf *cf, enum rem_module_kind kind,
                             struct rem_conf_ctx *parent) REM_MUST_CHECK;

/* The struct of a module, created so far (NULL: not). */
static inline void *rem_conf_main(const struct rem_conf *cf, const struct rem_module *module)
{
    return cf->ctx->main[module->index];
}

static inline void *rem_conf_server(const struct rem_conf *cf, const struct rem_module *module)
{
    return cf->ctx->server != NULL ? cf->ctx->server[module->index] : NULL;
}

static inline void *rem_conf_location(const struct rem_conf *cf, const struct rem_module *module)
{
    return cf->ctx->location != NULL ? cf->ctx->location[module->index] : NULL;
}

/* Where the reader is now: the line on which the current directive ended, as nginx counts. */
struct rem_conf_pos rem_conf_here(const struct rem_conf *cf);

/* Report "TEXT in FILE:LINE" as [emerg] and return REM_EINVAL, so that one writes
 * `return rem_conf_error(cf, "...")`.  _at: for another place; _sys adds " (N: text)" of an
 * errno. */
int rem_conf_error(struct rem_conf *cf, const char *format, ...) REM_PRINTF(2, 3);
int rem_conf_error_at(struct rem_conf *cf, struct rem_conf_pos pos, const char *format, ...)
    REM_PRINTF(3, 4);
int rem_conf_error_sys(struct rem_conf *cf, int sys_errno, const char *format, ...)
    REM_PRINTF(3, 4);
void rem_conf_warn(struct rem_conf *cf, const char *format, ...) REM_PRINTF(2, 3);
void rem_conf_warn_at(struct rem_conf *cf, struct rem_conf_pos pos, const char *format, ...)
    REM_PRINTF(3, 4);

/* Usual errors: "NAME" directive is duplicate; invalid value "ARG" in "NAME" directive;
 * "NAME" directive invalid value; out of memory (REM_ENOMEM). */
int rem_conf_duplicate(struct rem_conf *cf);
int rem_conf_invalid_arg(struct rem_conf *cf, struct rem_str arg);
int rem_conf_invalid(struct rem_conf *cf);
int rem_conf_nomem(struct rem_conf *cf);

/* How many errors have been reported so far (warnings not counted). */
uint32_t rem_conf_errors(const struct rem_conf *cf);

/* What relative paths are relative to. */
enum rem_conf_base {
    REM_BASE_PREFIX = 0, /* -p: logs, pid, root */
    REM_BASE_CONF,       /* the directory of the main file: include, keys, password files */
};

/* Returns the absolute path, NUL-terminated, in the arena; .p NULL without memory (reported). */
struct rem_str rem_conf_path(struct rem_conf *cf, struct rem_str path, enum rem_conf_base base);

#endif
