/* SPDX-License-Identifier: Apache-2.0 */
/* auth_basic.c - a name and a password (RFC 7617), looked up in a file.
 *
 * Phase:      access.  The file is read for every request, as it is small, in the page cache, and
 *             edited while we run.  */
#include "proto/base/base64.h"
#include "proto/wire/put.h"
#include "proxy/conf/load.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/auth_basic_password.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FILE_BLOCK = 4096 };

struct auth_basic_conf {
    struct rem_value *realm; /* UNSET_PTR; "off": none */
    struct rem_value *file;
    struct rem_str conf_prefix; /* what a file's name is relative to */
};

/* What the client has sent, decoded. */
struct credentials {
    struct rem_str user;
    struct rem_str password;
};

extern struct rem_module rem_auth_basic_module;

static void *create_location(struct rem_conf *cf)
{
    struct auth_basic_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->realm = REM_CONF_UNSET_PTR;
    conf->file = REM_CONF_UNSET_PTR;
    conf->conf_prefix = cf->cycle->conf_prefix;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct auth_basic_conf *prev = parent;
    struct auth_basic_conf *conf = child;

    (void)cf;
    rem_merge_value(conf->realm, prev->realm, NULL);
    rem_merge_value(conf->file, prev->file, NULL);
    return 0;
}

/* ---- the client's word ---- */

/* Errors: REM_ENOTFOUND (none sent, or not to be understood), REM_ENOMEM. */
static int decode(struct rem_request *request, struct credentials *out)
{
    const struct rem_field *field = rem_fields_find(&request->fields, REM_FIELD_AUTHORIZATION);
    struct rem_str text, plain;
    const char *colon;
    char *room;

    if (field == NULL || field->value.n < 6 ||
        !rem_str_eq_nocase(rem_str_make(field->value.p, 6), REM_STR("Basic ")))
        return REM_ENOTFOUND;
    text = rem_str_trim(rem_str_skip(field->value, 6));
    room = rem_arena_alloc(&request->arena, text.n);
    if (room == NULL)
        return REM_ENOMEM;
    plain.p = room;
    if (text.n == 0 || !rem_base64_decode(text, room, &plain.n))
        return REM_ENOTFOUND;
    colon = rem_str_chr(plain, ':');
    if (colon == NULL || colon == plain.p)
        return REM_ENOTFOUND;
    out->user = rem_str_make(plain.p, (size_t)(colon - plain.p));
    out->password = rem_str_skip(plain, out->user.n + 1);
    return REM_OK;
}

/* ---- the file ---- */

/* A line "user:password[:anything]" of the user.  Returns: whether it is; *stored its password. */
static bool is_user(struct rem_str line, struct rem_str user, struct rem_str *stored)
{
    const char *colon;

    if (line.n == 0 || line.p[0] == '#' || line.n <= user.n || line.p[user.n] != ':' ||
        memcmp(line.p, user.p, user.n) != 0)
        return false;
    *stored = rem_str_skip(line, user.n + 1);
    colon = rem_str_chr(*stored, ':');
    if (colon != NULL)
        stored->n = (size_t)(colon - stored->p);
    if (stored->n != 0 && stored->p[stored->n - 1] == '\r')
        stored->n--;
    return true;
}

/* Looks for the user in all of the file that is in `block`; keeps what is left of the last line
 * for the next block.  `last`: there is none. */
static bool find_in(char *block, size_t *n, bool last, struct rem_str user, struct rem_str *stored)
{
    size_t at = 0;

    for (;;) {
        struct rem_str rest = rem_str_make(block + at, *n - at);
        const char *end = rem_str_chr(rest, '\n');

        if (end == NULL && !last)
            break;
        if (end != NULL)
            rest.n = (size_t)(end - rest.p);
        if (is_user(rest, user, stored))
            return true;
        if (end == NULL)
            return false;
        at += rest.n + 1;
    }
    memmove(block, block + at, *n - at);
    *n -= at;
    return false;
}

/* *stored is borrowed from the request's arena.
 * Errors: REM_ENOTFOUND (no such user), REM_EIO (errno), REM_ENOMEM. */
static int find_user(struct rem_request *request, int fd, struct rem_str user,
                     struct rem_str *stored)
{
    char *block = rem_arena_alloc(&request->arena, FILE_BLOCK);
    size_t n = 0;

    if (block == NULL)
        return REM_ENOMEM;
    for (;;) {
        ssize_t got = read(fd, block + n, FILE_BLOCK - n);

        if (got < 0)
            return REM_EIO;
        n += (size_t)got;
        if (find_in(block, &n, got == 0, user, stored))
            return REM_OK;
        if (got == 0)
            return REM_ENOTFOUND;
        if (n == FILE_BLOCK) /* a line as long as that is no user's: the rest of it neither */
            n = 0;
    }
}

/* ---- requests ---- */

static int challenge(struct rem_request *request, struct rem_str realm)
{
    static const char name[] = "WWW-Authenticate";
    struct rem_str value =
        rem_arena_printf(&request->arena, "Basic realm=\"%.*s\"", REM_STR_ARG(realm));

    if (value.p == NULL || !rem_put_is_value(value) ||
        rem_fields_add(&request->response.fields, REM_STR(name), value) != REM_OK)
        return 500;
    return 401;
}

static int open_failed(struct rem_request *request, const char *path)
{
    int why = errno;
    bool missing = why == ENOENT;

    REM_LOG_IN(&request->log, missing ? REM_LOG_ERROR : REM_LOG_CRIT, why, "open() \"%s\" failed",
               path);
    return missing ? 403 : 500;
}

/* The file's path, absolute and with a NUL behind it. */
static int file_path(struct rem_request *request, const struct auth_basic_conf *conf,
                     struct rem_str *path)
{
    struct rem_str name;
    int rc = rem_http_value(request, conf->file, &name);

    if (rc != REM_OK)
        return rc;
    if (memchr(name.p, '\0', name.n) != NULL)
        return REM_EINVAL;
    *path = name.n != 0 && name.p[0] == '/'
                ? rem_arena_dup(&request->arena, name)
                : rem_arena_printf(&request->arena, "%.*s%.*s", REM_STR_ARG(conf->conf_prefix),
                                   REM_STR_ARG(name));
    return path->p != NULL ? REM_OK : REM_ENOMEM;
}

/* Returns REM_HTTP_OK, 401 (to be challenged), or another status. */
static int check(struct rem_request *request, const struct auth_basic_conf *conf,
                 const struct credentials *sent)
{
    struct rem_str path, stored;
    int fd, rc;

    if (file_path(request, conf, &path) != REM_OK)
        return 500;
    fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return open_failed(request, path.p);
    rc = find_user(request, fd, sent->user, &stored);
    if (rc == REM_EIO)
        REM_LOG_IN(&request->log, REM_LOG_CRIT, errno, "read() \"%s\" failed", path.p);
    close(fd);
    if (rc == REM_ENOTFOUND) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "user \"%.*s\" was not found in \"%s\"",
                   REM_STR_ARG(sent->user), path.p);
        return 401;
    }
    if (rc != REM_OK)
        return 500;
    if (rem_password_matches(sent->password, stored))
        return REM_HTTP_OK;
    REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "user \"%.*s\": password mismatch",
               REM_STR_ARG(sent->user));
    return 401;
}

static int on_access(struct rem_request *request)
{
    const struct auth_basic_conf *conf = request->location_conf[rem_auth_basic_module.index];
    struct credentials sent;
    struct rem_str realm;
    int rc;

    if (conf->realm == NULL || conf->file == NULL)
        return REM_HTTP_DECLINED;
    if (rem_http_value(request, conf->realm, &realm) != REM_OK)
        return 500;
    if (rem_str_is(realm, "off"))
        return REM_HTTP_DECLINED;
    rc = decode(request, &sent);
    if (rc == REM_ENOTFOUND)
        REM_LOG_IN(&request->log, REM_LOG_INFO, 0,
                   "no user/password was provided for basic authentication");
    else if (rc != REM_OK)
        return 500;
    rc = rc == REM_OK ? check(request, conf, &sent) : 401;
    return rc == 401 ? challenge(request, realm) : rc;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_ACCESS, on_access);
}

enum { HSLX = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LIMIT_EXCEPT };

static const struct rem_directive directives[] = {
    {"auth_basic", HSLX, REM_ARGS_1, rem_set_value, REM_LEVEL_LOCATION,
     offsetof(struct auth_basic_conf, realm), NULL},
    {"auth_basic_user_file", HSLX, REM_ARGS_1, rem_set_value, REM_LEVEL_LOCATION,
     offsetof(struct auth_basic_conf, file), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_auth_basic_module = {
    .name = "auth_basic",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
