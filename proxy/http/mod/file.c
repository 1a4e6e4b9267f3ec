/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - files, and open_file_cache.  A cache belongs to the level whose directive made it; for
 * how long and from which use on is for the location that asks. */
#include "proxy/http/mod/file.h"

#include "proxy/conf/merge.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/net/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { INACTIVE_MS = 60000, VALID_SEC = 60 };

struct file_main {
    struct rem_path_cache *caches;
};

struct file_conf {
    struct rem_path_cache *cache; /* NULL: off */
    bool given;                   /* here, not inherited */
    int64_t valid_sec;
    int64_t min_uses;
    int errors;
};

extern struct rem_module rem_file_module;

/* ---- the file system ---- */

static int open_path(struct rem_str path, struct rem_file *file)
{
    int error;

    /* Not waiting for the other end of a FIFO. */
    file->fd = open(path.p, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file->fd < 0)
        return errno;
    if (fstat(file->fd, &file->st) == 0)
        return 0;
    error = errno;
    close(file->fd);
    file->fd = -1;
    return error;
}

void rem_file_close(struct rem_file *file)
{
    if (file->shared != NULL)
        rem_open_file_release(file->shared);
    else if (file->fd >= 0)
        close(file->fd);
    *file = (struct rem_file){.fd = -1};
}

/* ---- the cache ---- */

/* A path on its way through the cache. */
struct look {
    struct rem_path_cache *cache; /* NULL: off */
    const struct file_conf *conf;
    struct rem_timers *timers;
    struct rem_str path;
    struct rem_path_entry *entry; /* NULL: there is none */
    bool believed;                /* what the entry says counts; else the file system is asked */
};

/* The cache in force, with the settings of the request's location, and what it has.
 * Returns: 0, or the errno of a path that cannot be. */
static int look_up(struct rem_request *request, struct rem_str path, struct look *look)
{
    const struct file_conf *conf = request->location_conf[rem_file_module.index];

    *look = (struct look){
        .cache = conf->cache, .conf = conf, .timers = &request->worker->loop.timers, .path = path};
    /* The system would see less of it than was asked for. */
    if (memchr(path.p, '\0', path.n) != NULL)
        return ENOENT;
    if (look->cache == NULL)
        return 0;
    look->cache->valid_ms = (uint64_t)conf->valid_sec * 1000;
    look->cache->min_uses = (uint32_t)conf->min_uses;
    look->entry = rem_path_cache_find(look->cache, look->timers, path);
    if (look->entry == NULL || !look->entry->known)
        return 0;
    if (!rem_path_is_fresh(look->cache, look->entry))
        rem_path_look(look->cache, look->entry);
    look->believed = look->entry->error == 0 || conf->errors == 1;
    return 0;
}

/* Notes what the file system said; failures only where they are wanted. */
static void learn(struct look *look, int error, const struct stat *st)
{
    if (look->cache == NULL)
        return;
    if (look->entry == NULL && (error == 0 || look->conf->errors == 1))
        look->entry = rem_path_cache_add(look->cache, look->timers, look->path);
    if (look->entry != NULL)
        rem_path_note(look->cache, look->entry, error, st);
}

/* Whether the entry does instead of opening the file; *file is filled in then. */
static bool take(const struct look *look, struct rem_file *file)
{
    const struct rem_path_entry *entry = look->entry;

    if (entry->file == NULL && !S_ISDIR(entry->st.st_mode))
        return false;
    file->st = entry->st;
    if (entry->file != NULL) {
        file->shared = rem_open_file_share(entry->file);
        file->fd = entry->file->fd;
    }
    return true;
}

int rem_file_open(struct rem_request *request, struct rem_str path, struct rem_file *file)
{
    struct look look;
    int error = look_up(request, path, &look);

    *file = (struct rem_file){.fd = -1};
    if (error == 0 && look.believed)
        error = look.entry->error;
    if (error != 0 || (look.believed && take(&look, file)))
        return error;
    error = open_path(path, file);
    learn(&look, error, &file->st);
    if (error == 0 && look.entry != NULL && S_ISREG(file->st.st_mode) &&
        rem_path_keep(look.cache, look.entry, file->fd, &file->st))
        file->shared = rem_open_file_share(look.entry->file);
    return error;
}

int rem_file_stat(struct rem_request *request, struct rem_str path, struct stat *st)
{
    struct look look;
    int error = look_up(request, path, &look);

    if (error != 0)
        return error;
    if (look.believed) {
        *st = look.entry->st;
        return look.entry->error;
    }
    error = stat(path.p, st) == 0 ? 0 : errno;
    learn(&look, error, st);
    return error;
}

static void worker_fini(struct rem_worker *worker)
{
    const struct rem_http_main_conf *http = worker->setup->http;
    const struct file_main *conf = http->ctx->main[rem_file_module.index];

    for (struct rem_path_cache *cache = conf->caches; cache != NULL; cache = cache->next)
        rem_path_cache_stop(cache);
}

/* ---- configuration ---- */

static void *create_main(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct file_main));
}

static void *create_location(struct rem_conf *cf)
{
    struct file_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL) {
        conf->valid_sec = REM_CONF_UNSET;
        conf->min_uses = REM_CONF_UNSET;
        conf->errors = REM_CONF_UNSET;
    }
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct file_conf *prev = parent;
    struct file_conf *conf = child;

    (void)cf;
    if (!conf->given)
        conf->cache = prev->cache;
    rem_merge_num(&conf->valid_sec, prev->valid_sec, VALID_SEC);
    rem_merge_num(&conf->min_uses, prev->min_uses, 1);
    rem_merge_flag(&conf->errors, prev->errors, 0);
    return 0;
}

static int set_cache(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    static const struct rem_path_cache defaults = {.inactive_ms = INACTIVE_MS};
    struct file_main *main_conf = rem_conf_main(cf, &rem_file_module);
    struct file_conf *location = conf;
    int rc;

    (void)d;
    if (location->given)
        return rem_conf_duplicate(cf);
    location->given = true;
    rc = rem_path_cache_parse(cf, &defaults, false, &location->cache);
    if (rc != 0 || location->cache == NULL)
        return rc;
    location->cache->next = main_conf->caches;
    main_conf->caches = location->cache;
    return 0;
}

#define HSL (REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION)

static const struct rem_directive directives[] = {
    {"open_file_cache", HSL, REM_ARGS_12, set_cache, REM_LEVEL_LOCATION, 0, NULL},
    {"open_file_cache_valid", HSL, REM_ARGS_1, rem_set_sec, REM_LEVEL_LOCATION,
     offsetof(struct file_conf, valid_sec), NULL},
    {"open_file_cache_min_uses", HSL, REM_ARGS_1, rem_set_num, REM_LEVEL_LOCATION,
     offsetof(struct file_conf, min_uses), NULL},
    {"open_file_cache_errors", HSL, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_LOCATION,
     offsetof(struct file_conf, errors), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.worker_fini = worker_fini};

struct rem_module rem_file_module = {
    .name = "file",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .hooks = &hooks,
    .create_main = create_main,
    .create_location = create_location,
    .merge_location = merge_location,
};
