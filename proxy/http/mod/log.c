/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - access_log and log_format: one line per request, when it is over.
 *
 * Files:      those with a fixed name are the setup's (opened by the master, reopened on USR1).  A
 *             name with variables is opened for its line and closed again.
 * Buffers:    `buffer=` collects lines in each worker; written when full, after `flush=`, and when
 *             the worker exits.  Lines are never torn: a line that does not fit goes out directly.
 */
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/log_format.h"
#include "proxy/net/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_ROOM = 4096, DEFAULT_BUFFER = 65536, COMPLAIN_EVERY_SEC = 60 };

/* Lines of one file that wait in this worker.  The configuration says which there are; after the
 * fork each worker has its own copy. */
struct log_buffer {
    struct log_buffer *next;
    struct rem_log_file *file;
    size_t size;
    int64_t flush_ms; /* 0: only when full */
    char *p;          /* in workers */
    size_t n;
    struct rem_timer timer;
    struct rem_worker *worker;
};

struct access_log {
    struct rem_log_file *file; /* NULL: `path` has variables */
    struct rem_value *path;
    const struct rem_log_format *format;
    struct rem_value *condition; /* NULL: always */
    struct log_buffer *buffer;   /* NULL: written at once */
};

struct log_main {
    struct rem_array formats; /* of struct rem_log_format * */
    struct log_buffer *buffers;
};

struct log_conf {
    struct rem_array *logs; /* of struct access_log; NULL: inherited */
    bool off;
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
    if (conf->logs == NULL && !conf->off)
        *conf = *prev;
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

static bool take_prefix(struct rem_str arg, const char *prefix, struct rem_str *value)
{
    struct rem_str name = rem_str_from(prefix);

    if (!rem_str_has_prefix(arg, name))
        return false;
    *value = rem_str_skip(arg, name.n);
    return true;
}

/* buffer=, flush= and if=. */
struct log_options {
    size_t size; /* 0: no buffer */
    int64_t flush_ms;
};

static int parse_option(struct rem_conf *cf, struct rem_str arg, struct access_log *log,
                        struct log_options *options)
{
    struct rem_str value;

    if (take_prefix(arg, "buffer=", &value)) {
        if (rem_conf_parse_size(value, &options->size) != 0 || options->size == 0)
            return rem_conf_error(cf, "invalid buffer size \"%.*s\"", REM_STR_ARG(value));
        return 0;
    }
    if (take_prefix(arg, "flush=", &value)) {
        if (rem_conf_parse_msec(value, &options->flush_ms) != 0 || options->flush_ms == 0)
            return rem_conf_error(cf, "invalid flush time \"%.*s\"", REM_STR_ARG(value));
        return 0;
    }
    if (take_prefix(arg, "if=", &value)) {
        log->condition = rem_arena_zalloc(cf->arena, sizeof(*log->condition));
        if (log->condition == NULL)
            return rem_conf_nomem(cf);
        return rem_value_compile(cf, value, log->condition);
    }
    if (rem_str_is(arg, "gzip") || rem_str_has_prefix(arg, REM_STR("gzip=")))
        return rem_conf_error(cf, "the \"gzip\" parameter of the \"access_log\" directive is not "
                                  "supported yet");
    return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
}

/* All that log to one file with a buffer share it. */
static int share_buffer(struct rem_conf *cf, struct access_log *log,
                        const struct log_options *options)
{
    struct log_main *main_conf = rem_conf_main(cf, &rem_log_module);
    struct log_buffer *buffer = main_conf->buffers;

    if (log->file == NULL)
        return rem_conf_error(cf, "buffered logs cannot have variables in name");
    while (buffer != NULL && buffer->file != log->file)
        buffer = buffer->next;
    if (buffer == NULL) {
        buffer = rem_arena_zalloc(cf->arena, sizeof(*buffer));
        if (buffer == NULL)
            return rem_conf_nomem(cf);
        *buffer = (struct log_buffer){.next = main_conf->buffers,
                                      .file = log->file,
                                      .size = options->size,
                                      .flush_ms = options->flush_ms};
        main_conf->buffers = buffer;
    }
    if (buffer->size != options->size || buffer->flush_ms != options->flush_ms)
        return rem_conf_error(cf, "access_log \"%.*s\" already defined with conflicting parameters",
                              REM_STR_ARG(cf->args[1]));
    log->buffer = buffer;
    return 0;
}

static int set_path(struct rem_conf *cf, struct access_log *log)
{
    struct rem_str text = cf->args[1], path = text;
    struct rem_value value;
    int rc;

    if (rem_str_has_prefix(text, REM_STR("syslog:")))
        return rem_conf_error(cf, "logging to syslog is not supported yet");
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
    if (location->logs == NULL)
        location->logs = rem_array_new(cf->arena, sizeof(struct access_log));
    *out = location->logs != NULL ? rem_array_push(cf->arena, location->logs) : NULL;
    return *out != NULL ? 0 : rem_conf_nomem(cf);
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
    return options.size != 0 ? share_buffer(cf, log, &options) : 0;
}

/* ---- writing ---- */

static void write_line(struct rem_worker *worker, struct rem_log_file *file, struct rem_str text)
{
    int64_t now = worker->loop.clock.wall_sec;
    ssize_t n;

    if (file->fd < 0)
        return;
    do
        n = write(file->fd, text.p, text.n);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)text.n || now - file->full_sec < COMPLAIN_EVERY_SEC)
        return;
    file->full_sec = now;
    if (n < 0)
        REM_LOG(worker->setup->log, REM_LOG_ALERT, errno, "write() to \"%s\" failed", file->path);
    else
        REM_LOG(worker->setup->log, REM_LOG_ALERT, 0,
                "write() to \"%s\" was incomplete: %zd of %zu", file->path, n, text.n);
}

static void flush_buffer(struct log_buffer *buffer)
{
    if (buffer->n != 0)
        write_line(buffer->worker, buffer->file, rem_str_make(buffer->p, buffer->n));
    buffer->n = 0;
}

static void on_flush(struct rem_timer *timer)
{
    flush_buffer(REM_CONTAINER(timer, struct log_buffer, timer));
}

static void put_in_buffer(struct log_buffer *buffer, struct rem_str line)
{
    if (line.n > buffer->size - buffer->n)
        flush_buffer(buffer);
    if (line.n > buffer->size) {
        write_line(buffer->worker, buffer->file, line);
        return;
    }
    memcpy(buffer->p + buffer->n, line.p, line.n);
    buffer->n += line.n;
    if (buffer->flush_ms != 0 && !rem_timer_armed(&buffer->timer))
        rem_timer_set(&buffer->worker->loop.timers, &buffer->timer, (uint64_t)buffer->flush_ms);
}

/* A name made of what a client sent must not leave the directory it was meant for. */
static bool is_safe(struct rem_str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '\0' ||
            (path.p[i] == '/' && rem_str_has_prefix(rem_str_skip(path, i), REM_STR("/../"))))
            return false;
    }
    return true;
}

static void write_to_named(struct rem_request *request, const struct access_log *log,
                           struct rem_str line)
{
    struct rem_log_file file = {.fd = -1};
    struct rem_str path;

    if (rem_value_eval_z(log->path, &request->eval, &path) != 0 || path.n == 0 ||
        path.p[path.n - 1] == '/' || !is_safe(path))
        return;
    file.path = path.p;
    if (rem_log_file_open(&file) != 0) {
        REM_LOG_IN(&request->log, REM_LOG_CRIT, errno, "open() \"%s\" failed", path.p);
        return;
    }
    write_line(request->worker, &file, line);
    close(file.fd);
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
        if (log->buffer != NULL)
            put_in_buffer(log->buffer, line);
        else if (log->file != NULL)
            write_line(request->worker, log->file, line);
        else
            write_to_named(request, log, line);
    }
    return REM_HTTP_OK;
}

/* ---- workers ---- */

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_LOG, on_log);
}

static struct log_buffer *buffers_of(const struct rem_worker *worker)
{
    const struct rem_http_main_conf *http = worker->setup->http;
    const struct log_main *conf = http->ctx->main[rem_log_module.index];

    return conf->buffers;
}

static int worker_init(struct rem_worker *worker)
{
    for (struct log_buffer *buffer = buffers_of(worker); buffer != NULL; buffer = buffer->next) {
        buffer->worker = worker;
        buffer->n = 0;
        buffer->p = malloc(buffer->size);
        if (buffer->p == NULL)
            return REM_ENOMEM;
        rem_timer_init(&buffer->timer, on_flush);
    }
    return 0;
}

static void worker_fini(struct rem_worker *worker)
{
    for (struct log_buffer *buffer = buffers_of(worker); buffer != NULL; buffer = buffer->next) {
        if (buffer->p == NULL)
            continue;
        rem_timer_cancel(&worker->loop.timers, &buffer->timer);
        flush_buffer(buffer);
        free(buffer->p);
        buffer->p = NULL;
    }
}

static const struct rem_directive directives[] = {
    {"log_format", REM_CTX_HTTP, REM_ARGS_2MORE, set_log_format, REM_LEVEL_MAIN, 0, NULL},
    {"access_log",
     REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LOCATION_IF | REM_CTX_LIMIT_EXCEPT,
     REM_ARGS_1MORE, set_access_log, REM_LEVEL_LOCATION, 0, NULL},
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
