/* SPDX-License-Identifier: Apache-2.0 */
/* Directives of the `admin` block that say who may ask: token, peer, host, auth_failures. */
#include "proxy/process/admin_conf.h"

#include "proxy/conf/set.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>

enum { FAILURES_MAX = 1000000, NAME_MAX_BYTES = 64 };

static int parse_role(struct rem_conf *cf, struct rem_str text, enum rem_api_role *out)
{
    if (rem_role_parse(text, out) == REM_OK)
        return REM_OK;
    return rem_conf_error(cf, "invalid role \"%.*s\", it must be metrics, read, write or admin",
                          REM_STR_ARG(text));
}

/* ---- token ---- */

/* Names are for logs, where they must not be mistaken for anything else. */
static bool is_name(struct rem_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !rem_is_digit(c) && c != '-' &&
            c != '_' && c != '.')
            return false;
    }
    return name.n > 0 && name.n <= NAME_MAX_BYTES;
}

/* What is wrong with the file now; it may be another by the time the agent reads it. */
static int check_secret(struct rem_conf *cf, const struct rem_admin_token *token)
{
    struct rem_admin_secret secret = {.n = 0};
    struct rem_err err = {0};

    if (rem_admin_secret_read(token->path, &secret, &err) != REM_OK)
        return rem_conf_error(cf, "the file \"%s\" of token \"%.*s\" %s", token->path,
                              REM_STR_ARG(token->name), err.text);
    if (secret.st.st_mode & (S_IROTH | S_IWOTH))
        rem_conf_warn(cf, "the file \"%s\" of token \"%.*s\" is open to every user of this machine",
                      token->path, REM_STR_ARG(token->name));
    if (secret.n < REM_ADMIN_TOKEN_SHORT)
        rem_conf_warn(cf, "token \"%.*s\" in \"%s\" is shorter than %d bytes",
                      REM_STR_ARG(token->name), token->path, REM_ADMIN_TOKEN_SHORT);
    explicit_bzero(&secret, sizeof(secret));
    return REM_OK;
}

/* "FILE:LINE" */
static struct rem_str place_of(struct rem_conf *cf)
{
    struct rem_conf_pos pos = rem_conf_here(cf);
    char line[16];
    int n = snprintf(line, sizeof(line), ":%u", pos.line);
    char *text = rem_arena_alloc(cf->arena, pos.file.n + (size_t)n + 1);

    if (text == NULL)
        return (struct rem_str){NULL, 0};
    memcpy(text, pos.file.p, pos.file.n);
    memcpy(text + pos.file.n, line, (size_t)n + 1);
    return rem_str_make(text, pos.file.n + (size_t)n);
}

int rem_admin_set_token(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = &((struct rem_setup *)cf->user)->admin_spec;
    struct rem_admin_token *token = rem_arena_zalloc(cf->arena, sizeof(*token));
    struct rem_admin_token **end = &spec->tokens;
    struct rem_str path;
    int rc;

    (void)d;
    (void)conf;
    if (token == NULL)
        return rem_conf_nomem(cf);
    token->name = cf->args[1];
    if (!is_name(token->name))
        return rem_conf_error(cf, "invalid name \"%.*s\" of a token", REM_STR_ARG(token->name));
    rc = parse_role(cf, cf->args[2], &token->role);
    if (rc != REM_OK)
        return rc;
    path = rem_conf_path(cf, cf->args[3], REM_BASE_CONF);
    token->place = place_of(cf);
    if (path.p == NULL || token->place.p == NULL)
        return rem_conf_nomem(cf);
    token->path = path.p;
    for (; *end != NULL; end = &(*end)->next)
        if (rem_str_eq((*end)->name, token->name))
            return rem_conf_error(cf, "duplicate token \"%.*s\"", REM_STR_ARG(token->name));
    *end = token;
    return check_secret(cf, token);
}

/* ---- peer ---- */

static int parse_user(struct rem_str text, uint32_t *out)
{
    const struct passwd *pw;
    uint64_t n;

    if (rem_str_to_u64(text, UINT32_MAX - 1, &n) == REM_OK) {
        *out = (uint32_t)n;
        return REM_OK;
    }
    pw = getpwnam(text.p);
    if (pw == NULL)
        return REM_ENOTFOUND;
    *out = pw->pw_uid;
    return REM_OK;
}

static int parse_group(struct rem_str text, uint32_t *out)
{
    const struct group *gr;
    uint64_t n;

    if (rem_str_to_u64(text, UINT32_MAX - 1, &n) == REM_OK) {
        *out = (uint32_t)n;
        return REM_OK;
    }
    gr = getgrnam(text.p);
    if (gr == NULL)
        return REM_ENOTFOUND;
    *out = gr->gr_gid;
    return REM_OK;
}

int rem_admin_set_peer(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = &((struct rem_setup *)cf->user)->admin_spec;
    struct rem_admin_peer *peer = rem_arena_zalloc(cf->arena, sizeof(*peer));
    struct rem_str arg = cf->args[1];
    int rc;

    (void)d;
    (void)conf;
    if (peer == NULL)
        return rem_conf_nomem(cf);
    peer->group = rem_str_has_prefix(arg, REM_STR("gid="));
    if (!peer->group && !rem_str_has_prefix(arg, REM_STR("uid=")))
        return rem_conf_invalid_arg(cf, arg);
    arg = rem_str_skip(arg, 4);
    rc = peer->group ? parse_group(arg, &peer->id) : parse_user(arg, &peer->id);
    if (rc != REM_OK)
        return rem_conf_error(cf, "there is no %s \"%.*s\"", peer->group ? "group" : "user",
                              REM_STR_ARG(arg));
    rc = parse_role(cf, cf->args[2], &peer->role);
    if (rc != REM_OK)
        return rc;
    peer->next = spec->peers;
    spec->peers = peer;
    return REM_OK;
}

/* ---- host ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_host(struct rem_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!(c >= 'a' && c <= 'z') && !rem_is_digit(c) && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.n > 1;
}

static int add_host(struct rem_conf *cf, struct rem_admin_spec *spec, struct rem_str arg)
{
    struct rem_admin_host *host = rem_arena_zalloc(cf->arena, sizeof(*host));
    char *text = rem_arena_alloc(cf->arena, arg.n + 1);
    bool wild = rem_str_has_prefix(arg, REM_STR("*."));

    if (host == NULL || text == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 0; i < arg.n; i++)
        text[i] = lower(arg.p[i]);
    text[arg.n] = '\0';
    host->name = rem_str_make(text + wild, arg.n - wild);
    if (!is_host(host->name) || (!wild && host->name.p[0] == '.'))
        return rem_conf_error(cf, "invalid host name \"%.*s\"", REM_STR_ARG(arg));
    host->next = spec->hosts;
    spec->hosts = host;
    return REM_OK;
}

int rem_admin_set_host(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = &((struct rem_setup *)cf->user)->admin_spec;
    int rc = REM_OK;

    (void)d;
    (void)conf;
    for (size_t i = 1; rc == REM_OK && i < cf->n_args; i++)
        rc = add_host(cf, spec, cf->args[i]);
    return rc;
}

/* ---- auth_failures ---- */

/* "10r/m", "1r/s", "off" */
int rem_admin_set_failures(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_admin_spec *spec = &((struct rem_setup *)cf->user)->admin_spec;
    struct rem_str arg = cf->args[1];
    struct rem_str unit = arg.n > 3 ? rem_str_skip(arg, arg.n - 3) : REM_STR("");
    uint64_t n;

    (void)d;
    (void)conf;
    if (spec->failures_given)
        return rem_conf_duplicate(cf);
    spec->failures_given = true;
    if (rem_str_is(arg, "off")) {
        spec->failures = 0;
        return REM_OK;
    }
    if (!rem_str_is(unit, "r/s") && !rem_str_is(unit, "r/m"))
        return rem_conf_error(cf, "invalid rate \"%.*s\"", REM_STR_ARG(arg));
    if (rem_str_to_u64(rem_str_make(arg.p, arg.n - 3), FAILURES_MAX, &n) != REM_OK || n == 0)
        return rem_conf_error(cf, "invalid rate \"%.*s\"", REM_STR_ARG(arg));
    spec->failures = (uint32_t)n;
    spec->failures_ms = rem_str_is(unit, "r/s") ? 1000 : 60000;
    return REM_OK;
}
