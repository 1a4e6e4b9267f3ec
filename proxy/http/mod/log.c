/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - access_log and log_format: one line per request, when it is over.
 *
 * Files:      those with a fixed name are the setup's (opened by the master, reopened on USR1), and
 *             may be written in portions (log_buffer.h); log_named.h has those with variables.
 * Syslog:     a datagram per line, without waiting (proto/base/syslog.h).  */
#include "proto/base/syslog.h"
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/log_buffer.h"
#include "proxy/http/mod/log_format.h"
#include "proxy/http/mod/log_named.h"
#include "proxy/net/error_log.h"
#include "proxy/net/setup.h"

#include <errno.h>

enum {
    LINE_ROOM = 4096,
    GZIP_BUFFER = 65536, /* without buffer= */
    CACHE_INACTIVE_MS = 10000,
    CACHE_VALID_MS = 60000,
};

/* Exactly one of file, path and syslog is there. */
struct access_log {
    struct rem_log_file *file;
    struct rem_value *path; /* has variables */
    struct rem_syslog *syslog;
    const struct rem_log_format *format;
    struct rem_value *condition; /* NULL: always */
};

struct log_main {
    struct rem_array formats; /* of struct rem_log_format * */
    struct rem_log_buffer *buffers;
    struct rem_path_cache *caches;
};

struct log_conf {
    struct rem_array *logs; /* of struct access_log; NULL: inherited */
    bool off;
    struct rem_path_cache *cache; /* of files whose names have variables; NULL: none */
    bool cache_given;             /* here, not inherited; perhaps "off" */
};

extern struct rem_module rem_log_module;

/* ---- configuration ---- */

static struct rem_log_format *find_format(const struct log_main *main_conf, struct rem_str name)
{
    for (uint32_t i = 0; i < main_conf->formats.n; i++) {
        struct rem_log_format *format =
            REM_ARRAY_OF(&main_conf->formats, struct rem_log_format *)[i];

        if (rem_str_eq(format->name, name))
            return format;
    }
    return NULL;
}

static struct rem_log_format *push_format(struct rem_conf *cf, struct log_main *main_conf)
{
    struct rem_log_format **slot = rem_array_push(cf->arena, &main_conf->formats);

    if (slot == NULL)
        return NULL;
    *slot = rem_arena_zalloc(cf->arena, sizeof(**slot));
    return *slot;
}

static void *create_main(struct rem_conf *cf)
{
    struct log_main *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        rem_array_init(&conf->formats, sizeof(struct rem_log_format *));
    return conf;
}

static int preconfigure(struct rem_conf *cf)
{
    struct rem_log_format *combined = push_format(cf, rem_conf_main(cf, &rem_log_module));

    return combined != NULL ? rem_log_format_combined(cf, combined) : rem_conf_nomem(cf);
}

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct log_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct log_conf *prev = parent;
    struct log_conf *conf = child;

    (void)cf;
    if (conf->logs == NULL && !conf->off) {
        conf->logs = prev->logs;
        conf->off = prev->off;
    }
    if (!conf->cache_given) {
        conf->cache = prev->cache;
        conf->cache_given = prev->cache_given;
    }
    return 0;
}

static int set_log_format(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct log_main *main_conf = conf;
    struct rem_log_format *format;

    (void)d;
    if (find_format(main_conf, cf->args[1]) != NULL)
        return rem_conf_error(cf, "duplicate \"log_format\" name \"%.*s\"",
                              REM_STR_ARG(cf->args[1]));
    format = push_format(cf, main_conf);
    return format != NULL ? rem_log_format_parse(cf, format) : rem_conf_nomem(cf);
}

/* buffer=, flush= and gzip. */
struct log_options {
    size_t size; /* 0: no buffer */
    int64_t flush_ms;
    int gzip; /* level; 0: none */
};

/* "gzip" or "gzip=LEVEL". */
static int parse_gzip(struct rem_conf *cf, struct rem_str arg, struct log_options *options)
{
    struct rem_str level = rem_str_skip(arg, 4);

    options->gzip = 1;
    if (options->size == 0)
        options->size = GZIP_BUFFER;
    if (level.n == 0)
        return 0;
    if (level.p[0] != '=')
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
    level = rem_str_skip(level, 1);
    if (level.n != 1 || level.p[0] < '1' || level.p[0] > '9')
        return rem_conf_error(cf, "invalid compression level \"%.*s\"", REM_STR_ARG(level));
    options->gzip = level.p[0] - '0';
    return 0;
}

static int parse_option(struct rem_conf *cf, struct rem_str arg, struct access_log *log,
                        struct log_options *options)
{
    struct rem_str value;

    if (rem_str_take_prefix(arg, "buffer=", &value)) {
        if (rem_conf_parse_size(value, &options->size) != 0 || options->size == 0)
            return rem_conf_error(cf, "invalid buffer size \"%.*s\"", REM_STR_ARG(value));
        return 0;
    }
    if (rem_str_take_prefix(arg, "flush=", &value)) {
        if (rem_conf_parse_msec(value, &options->flush_ms) != 0 || options->flush_ms == 0)
            return rem_conf_error(cf, "invalid flush time \"%.*s\"", REM_STR_ARG(value));
        return 0;
    }
    if (rem_str_take_prefix(arg, "if=", &value)) {
        log->condition = rem_arena_zalloc(cf->arena, sizeof(*log->condition));
        if (log->condition == NULL)
            return rem_conf_nomem(cf);
        return rem_value_compile(cf, value, log->condition);
    }
    if (rem_str_has_prefix(arg, REM_STR("gzip")))
        return parse_gzip(cf, arg, options);
    return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
}

/* A file has one buffer, so all that describe it must say the same. */
static int add_buffer(struct rem_conf *cf, const struct access_log *log,
                      const struct log_options *options)
{
    struct log_main *main_conf = rem_conf_main(cf, &rem_log_module);
    struct rem_log_buffer *buffer = main_conf->buffers;

    if (log->syslog != NULL)
        return rem_conf_error(cf, "logs to syslog cannot be buffered");
    if (log->file == NULL)
        return rem_conf_error(cf, "buffered logs cannot have variables in name");
    while (buffer != NULL && buffer->file != log->file)
        buffer = buffer->next;
    if (buffer == NULL) {
        buffer = rem_arena_zalloc(cf->arena, sizeof(*buffer));
        if (buffer == NULL)
            return rem_conf_nomem(cf);
        *buffer = (struct rem_log_buffer){.next = main_conf->buffers,
                                          .file = log->file,
                                          .size = options->size,
                                          .flush_ms = options->flush_ms,
                                          .gzip = options->gzip};
        main_conf->buffers = buffer;
    }
    if (buffer->size != options->size || buffer->flush_ms != options->flush_ms ||
        buffer->gzip != options->gzip)
        return rem_conf_error(cf, "access_log \"%.*s\" already defined with conflicting parameters",
                              REM_STR_ARG(cf->args[1]));
    return 0;
}

static int set_path(struct rem_conf *cf, struct access_log *log)
{
    struct rem_str text = cf->args[1], path = text;
    struct rem_value value;
    int rc;

    if (rem_str_has_prefix(text, REM_STR("syslog:"))) {
        log->syslog = rem_error_log_syslog(cf, text);
        return log->syslog != NULL ? 0 : REM_EINVAL;
    }
    if (text.n == 0 || text.p[0] != '$')
        path = rem_conf_path(cf, text, REM_BASE_PREFIX);
    if (path.p == NULL)
        return REM_ENOMEM;
    rc = rem_value_compile(cf, path, &value);
    if (rc != 0)
        return rc;
    if (rem_value_is_static(&value)) {
        log->file = rem_setup_log_file(cf->user, path);
        return log->file != NULL ? 0 : rem_conf_nomem(cf);
    }
    log->path = rem_arena_alloc(cf->arena, sizeof(value));
    if (log->path == NULL)
        return rem_conf_nomem(cf);
    *log->path = value;
    return 0;
}

static int set_off(struct rem_conf *cf, struct log_conf *location)
{
    if (cf->n_args > 2)
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[2]));
    location->off = true;
    location->logs = NULL;
    return 0;
}

static int add_log(struct rem_conf *cf, struct log_conf *location, struct access_log **out)
{
    *out = rem_set_push(cf, &location->logs, sizeof(struct access_log));
    return *out != NULL ? 0 : REM_ENOMEM;
}

static int set_access_log(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct log_main *main_conf = rem_conf_main(cf, &rem_log_module);
    struct rem_str format = cf->n_args > 2 ? cf->args[2] : REM_STR("combined");
    struct log_conf *location = conf;
    struct log_options options = {0};
    struct access_log *log;
    int rc;

    (void)d;
    if (rem_str_is(cf->args[1], "off"))
        return set_off(cf, location);
    rc = add_log(cf, location, &log);
    if (rc == 0)
        rc = set_path(cf, log);
    if (rc != 0)
        return rc;
    log->format = find_format(main_conf, format);
    if (log->format == NULL)
        return rem_conf_error(cf, "unknown log format \"%.*s\"", REM_STR_ARG(format));
    for (size_t i = 3; i < cf->n_args; i++) {
        rc = parse_option(cf, cf->args[i], log, &options);
        if (rc != 0)
            return rc;
    }
    if (options.flush_ms != 0 && options.size == 0)
        return rem_conf_error(cf, "no buffer is defined for access_log \"%.*s\"",
                              REM_STR_ARG(cf->args[1]));
    return options.size != 0 ? add_buffer(cf, log, &options) : 0;
}

static int set_cache(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct log_main *main_conf = rem_conf_main(cf, &rem_log_module);
    static const struct rem_path_cache defaults = {
        .min_uses = 1, .inactive_ms = CACHE_INACTIVE_MS, .valid_ms = CACHE_VALID_MS};
    struct log_conf *location = conf;
    struct rem_path_cache *cache;
    int rc;

    (void)d;
    if (location->cache_given)
        return rem_conf_duplicate(cf);
    location->cache_given = true;
    rc = rem_path_cache_parse(cf, &defaults, true, &cache);
    if (rc != 0 || cache == NULL)
        return rc;
    cache->next = main_conf->caches;
    main_conf->caches = cache;
    location->cache = cache;
    return 0;
}

/* ---- writing ---- */

static void write_to_syslog(struct rem_worker *worker, struct rem_syslog *syslog,
                            struct rem_str line)
{
    int64_t now = worker->loop.clock.wall_sec;

    line.n--; /* a datagram ends without a line feed */
    if (rem_syslog_send(syslog, syslog->severity, now, line) == REM_OK)
        return;
    if (rem_syslog_may_tell(syslog, now))
        REM_LOG(worker->setup->log, REM_LOG_ERROR, errno, "send() to syslog server \"%.*s\" failed",
                REM_STR_ARG(syslog->server));
}

static bool is_wanted(struct rem_request *request, const struct access_log *log)
{
    struct rem_str value;

    if (log->condition == NULL)
        return true;
    return rem_http_value(request, log->condition, &value) == 0 && value.n != 0 &&
           !rem_str_is(value, "0");
}

static int on_log(struct rem_request *request)
{
    const struct log_conf *conf = request->location_conf[rem_log_module.index];

    if (conf->logs == NULL)
        return REM_HTTP_OK;
    for (uint32_t i = 0; i < conf->logs->n; i++) {
        const struct access_log *log = rem_array_at(conf->logs, i);
        char room[LINE_ROOM];
        struct rem_str line;

        if (!is_wanted(request, log) ||
            rem_log_format_line(log->format, &request->eval, room, sizeof(room), &line) != 0)
            continue;
        if (log->file != NULL)
            rem_log_buffer_write(request->worker, log->file, line);
        else if (log->syslog != NULL)
            write_to_syslog(request->worker, log->syslog, line);
        else
            rem_log_named_write(request, log->path, conf->cache, line);
    }
    return REM_HTTP_OK;
}

/* ---- workers ---- */

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_LOG, on_log);
}

static const struct log_main *main_of(const struct rem_worker *worker)
{
    const struct rem_http_main_conf *http = worker->setup->http;

    return http->ctx->main[rem_log_module.index];
}

static int worker_init(struct rem_worker *worker)
{
    struct rem_log_buffer *buffer = main_of(worker)->buffers;

    for (; buffer != NULL; buffer = buffer->next)
        if (rem_log_buffer_start(buffer, worker) != 0)
            return REM_ENOMEM;
    return 0;
}

static void worker_fini(struct rem_worker *worker)
{
    const struct log_main *conf = main_of(worker);

    for (struct rem_log_buffer *buffer = conf->buffers; buffer != NULL; buffer = buffer->next)
        rem_log_buffer_stop(buffer);
    for (struct rem_path_cache *cache = conf->caches; cache != NULL; cache = cache->next)
        rem_path_cache_stop(cache);
}

static const struct rem_directive directives[] = {
    {"log_format", REM_CTX_HTTP, REM_ARGS_2MORE, set_log_format, REM_LEVEL_MAIN, 0, NULL},
    {"access_log",
     REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LOCATION_IF | REM_CTX_LIMIT_EXCEPT,
     REM_ARGS_1MORE, set_access_log, REM_LEVEL_LOCATION, 0, NULL},
    {"open_log_file_cache", REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_1234,
     set_cache, REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {
    .install = install,
    .worker_init = worker_init,
    .worker_fini = worker_fini,
};

struct rem_module rem_log_module = {
    .name = "log",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .preconfigure = preconfigure,
    .create_main = create_main,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
