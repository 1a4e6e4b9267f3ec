/* SPDX-License-Identifier: Apache-2.0 */
/* autoindex.c - autoindex: what is in a directory that has no index file.
 *
 * Cost:       a stat for each entry, in one turn of the loop; the text is made in one piece.  */
#include "proxy/conf/merge.h"
#include "proxy/conf/set.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct autoindex_conf {
    int on;
    int exact_size;
    int local_time;
    int format;                /* enum rem_listing_format */
    struct rem_value callback; /* of JSONP */
};

extern struct rem_module rem_autoindex_module;

static void *create_location(struct rem_conf *cf)
{
    struct autoindex_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL) {
        conf->on = REM_CONF_UNSET;
        conf->exact_size = REM_CONF_UNSET;
        conf->local_time = REM_CONF_UNSET;
        conf->format = REM_CONF_UNSET;
    }
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct autoindex_conf *prev = parent;
    struct autoindex_conf *conf = child;

    rem_merge_flag(&conf->on, prev->on, 0);
    rem_merge_flag(&conf->exact_size, prev->exact_size, 1);
    rem_merge_flag(&conf->local_time, prev->local_time, 0);
    rem_merge_enum(&conf->format, prev->format, REM_LISTING_HTML);
    if (!conf->on || conf->format != REM_LISTING_JSONP)
        return 0;
    return rem_value_compile(cf, REM_STR("$arg_callback"), &conf->callback);
}

/* ---- the directory ---- */

/* Returns a status. */
static int refuse(struct rem_request *request, struct rem_str path, int error)
{
    bool missing = error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG;
    bool forbidden = error == EACCES;

    path.n--; /* the slash */
    REM_LOG_IN(&request->log, missing || forbidden ? REM_LOG_ERROR : REM_LOG_CRIT, error,
               "opendir() \"%.*s\" failed", REM_STR_ARG(path));
    return missing ? 404 : forbidden ? 403 : 500;
}

/* Returns: whether there is something to say of it. */
static bool describe(int dir, const char *name, struct rem_listing_entry *entry)
{
    struct stat st;

    /* A link to nowhere is told of as a link. */
    if (fstatat(dir, name, &st, 0) != 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    entry->size = st.st_size;
    entry->modified = st.st_mtime;
    entry->type = S_ISDIR(st.st_mode)   ? REM_LISTING_DIRECTORY
                  : S_ISREG(st.st_mode) ? REM_LISTING_FILE
                                        : REM_LISTING_OTHER;
    return true;
}

/* Errors: REM_ENOMEM, REM_EIO (logged). */
static int read_entries(struct rem_request *request, DIR *dir, struct rem_array *entries)
{
    for (;;) {
        struct rem_listing_entry entry;
        struct rem_listing_entry *kept;
        const struct dirent *found;

        errno = 0;
        found = readdir(dir);
        if (found == NULL)
            break;
        if (found->d_name[0] == '.' || !describe(dirfd(dir), found->d_name, &entry))
            continue;
        entry.name = rem_arena_dup(&request->arena, rem_str_from(found->d_name));
        kept = entry.name.p != NULL ? rem_array_push(&request->arena, entries) : NULL;
        if (kept == NULL)
            return REM_ENOMEM;
        *kept = entry;
    }
    if (errno == 0)
        return 0;
    REM_LOG_IN(&request->log, REM_LOG_CRIT, errno, "readdir() failed");
    return REM_EIO;
}

/* Returns a status, REM_HTTP_OK when the listing has its entries. */
static int read_directory(struct rem_request *request, struct rem_listing *listing)
{
    struct rem_array entries;
    struct rem_str path;
    int rc = rem_core_file(request, &path);
    DIR *dir;

    if (rc != 0)
        return rc == REM_EACCES ? 403 : 500;
    if (memchr(path.p, '\0', path.n) != NULL)
        return 404;
    dir = opendir(path.p);
    if (dir == NULL)
        return refuse(request, path, errno);
    rem_array_init(&entries, sizeof(struct rem_listing_entry));
    rc = read_entries(request, dir, &entries);
    closedir(dir);
    if (rc != 0)
        return 500;
    listing->entries = REM_ARRAY_OF(&entries, struct rem_listing_entry);
    listing->n = entries.n;
    rem_listing_sort(listing);
    return REM_HTTP_OK;
}

/* ---- the answer ---- */

static bool is_callback(struct rem_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!rem_is_digit(c) && !(rem_lower(c) >= 'a' && rem_lower(c) <= 'z') && c != '_' &&
            c != '.')
            return false;
    }
    return true;
}

static struct rem_str type_of(const struct rem_listing *listing)
{
    switch (listing->format) {
    case REM_LISTING_XML:
        return REM_STR("text/xml; charset=utf-8");
    case REM_LISTING_JSON:
        return REM_STR("application/json");
    case REM_LISTING_JSONP:
        return listing->callback.n != 0 ? REM_STR("application/javascript")
                                        : REM_STR("application/json");
    default:
        return REM_STR("text/html");
    }
}

/* The head comes first: filters of it decide on the charset, by which names are aligned. */
static int respond(struct rem_request *request, struct rem_listing *listing)
{
    static const struct rem_str utf8 = {"; charset=utf-8", 15};
    struct rem_response *response = &request->response;
    size_t size = rem_listing_size(listing);
    struct rem_buf *buf = rem_arena_zalloc(&request->arena, sizeof(*buf));
    char *text = rem_arena_alloc(&request->arena, size);
    struct rem_put put;
    int rc;

    if (buf == NULL || text == NULL)
        return 500;
    response->status = 200;
    response->content_type = type_of(listing);
    response->content_length = -1;
    rc = rem_http_send_head(request);
    if (rc != REM_OK)
        return rc > 0 ? rc : REM_HTTP_ERROR;
    *buf = (struct rem_buf){.pos = text, .last = text, .fd = -1, .final = true};
    if (!response->no_body) {
        size_t n = response->content_type.n;

        listing->utf8 =
            n > utf8.n && rem_str_eq_nocase(rem_str_skip(response->content_type, n - utf8.n), utf8);
        rem_put_init(&put, text, size);
        rem_listing_put(listing, &put);
        REM_CHECK(!put.full);
        buf->last = put.at;
    }
    rc = rem_http_send_body(request, buf);
    return rc == REM_OK || rc == REM_EAGAIN ? REM_HTTP_OK : REM_HTTP_ERROR;
}

static int on_content(struct rem_request *request)
{
    const struct autoindex_conf *conf = request->location_conf[rem_autoindex_module.index];
    struct rem_listing listing = {.uri = request->uri,
                                  .format = (enum rem_listing_format)conf->format,
                                  .exact_size = conf->exact_size != 0,
                                  .local_time = conf->local_time != 0};
    int status;

    if (!conf->on || request->uri.n == 0 || request->uri.p[request->uri.n - 1] != '/')
        return REM_HTTP_DECLINED;
    if (request->method != REM_METHOD_GET && request->method != REM_METHOD_HEAD)
        return REM_HTTP_DECLINED;
    if (listing.format == REM_LISTING_JSONP) {
        if (rem_http_value(request, &conf->callback, &listing.callback) != 0)
            return 500;
        if (!is_callback(listing.callback)) {
            REM_LOG_IN(&request->log, REM_LOG_INFO, 0,
                       "client sent invalid callback name: \"%.*s\"",
                       REM_STR_ARG(listing.callback));
            return 400;
        }
    }
    status = rem_body_discard(request);
    if (status == REM_HTTP_OK)
        status = read_directory(request, &listing);
    return status == REM_HTTP_OK ? respond(request, &listing) : status;
}

/* ---- configuration ---- */

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_CONTENT, on_content);
}

static const struct rem_conf_choice formats[] = {
    {"html", REM_LISTING_HTML},
    {"xml", REM_LISTING_XML},
    {"json", REM_LISTING_JSON},
    {"jsonp", REM_LISTING_JSONP},
    {NULL, 0},
};

#define HSL (REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION)
#define FLAG(name, field)                                                                          \
    {                                                                                              \
        name, HSL, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_LOCATION,                                \
            offsetof(struct autoindex_conf, field), NULL                                           \
    }

static const struct rem_directive directives[] = {
    FLAG("autoindex", on),
    FLAG("autoindex_exact_size", exact_size),
    {"autoindex_format", HSL, REM_ARGS_1, rem_set_enum, REM_LEVEL_LOCATION,
     offsetof(struct autoindex_conf, format), formats},
    FLAG("autoindex_localtime", local_time),
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_autoindex_module = {
    .name = "autoindex",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .hooks = &hooks,
    .create_location = create_location,
    .merge_location = merge_location,
};
