/* SPDX-License-Identifier: Apache-2.0 */
/* core_vars.c - variables made of the request and the response.
 *
 * Not here:   variables made of their fields (core_vars_field.c), those of the connection, time and
 *             process (core_vars_conn.c).  */
#include "proxy/http/body.h"
#include "proxy/http/core_priv.h"
#include "proxy/http/core_var.h"

#include "proto/base/base64.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

/* ---- the request as received ---- */

/* A field of struct rem_request; `data` is its offset. */
static int get_member(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_str *member =
        (const void *)((const char *)e->subject + (size_t)(uintptr_t)v->data);

    return rem_core_var_text(out, *member);
}

/* Of a request line that made no sense there is none of these: a log has "-" for them. */
static int text_if_any(struct rem_var_value *out, struct rem_str text)
{
    return text.n != 0 ? rem_core_var_text(out, text) : rem_core_var_absent(out);
}

static int get_uri(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);

    (void)v;
    if (request->target.n == 0)
        return rem_core_var_absent(out);
    return rem_core_var_text(out, request->uri); /* empty, where the target is no path */
}

/* The path of an absolute target stands behind its authority. */
static int get_request_uri(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_str target = rem_core_var_request(e)->target, rest;
    const char *colon = rem_str_chr(target, ':');

    (void)v;
    if (target.n == 0)
        return rem_core_var_absent(out);
    if (target.p[0] == '/' || target.p[0] == '*' || colon == NULL)
        return rem_core_var_text(out, target);
    rest = rem_str_skip(target, (size_t)(colon - target.p));
    if (!rem_str_has_prefix(rest, REM_STR("://")))
        return rem_core_var_text(out, target);
    rest = rem_str_skip(rest, 3);
    while (rest.n != 0 && rest.p[0] != '/' && rest.p[0] != '?' && rest.p[0] != '#')
        rest = rem_str_skip(rest, 1);
    if (rest.n != 0 && rest.p[0] == '/')
        return rem_core_var_text(out, rest);
    rest = rem_arena_printf(e->arena, "/%.*s", REM_STR_ARG(rest));
    return rest.p != NULL ? rem_core_var_text(out, rest) : REM_ENOMEM;
}

static int get_host(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);

    (void)v;
    return rem_core_var_text(out, request->host.n != 0 ? request->host : request->server->name);
}

static int get_args(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return text_if_any(out, rem_core_var_request(e)->args);
}

/* The client's, also where a subrequest asks for something in a way of its own. */
static int get_request_method(struct rem_eval *e, const struct rem_var *v,
                              struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);

    (void)v;
    while (request->parent != NULL)
        request = request->parent;
    return text_if_any(out, request->method_name);
}

static int get_is_args(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_text(out,
                             rem_core_var_request(e)->args.n != 0 ? REM_STR("?") : REM_STR(""));
}

static int set_args(struct rem_eval *e, const struct rem_var *v, struct rem_str value)
{
    struct rem_request *request = rem_core_var_request(e);

    (void)v;
    request->args = value;
    request->uri_as_sent = false;
    return 0;
}

/* In configurations arguments are named without regard to case: variables have none. */
static int get_arg(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_str rest = rem_core_var_request(e)->args;

    while (v->rest.n != 0 && rest.n != 0) {
        const char *amp = rem_str_chr(rest, '&');
        struct rem_str pair = {rest.p, amp != NULL ? (size_t)(amp - rest.p) : rest.n};

        if (pair.n > v->rest.n && pair.p[v->rest.n] == '=' &&
            rem_str_eq_nocase(rem_str_make(pair.p, v->rest.n), v->rest))
            return rem_core_var_text(out, rem_str_skip(pair, v->rest.n + 1));
        rest = amp != NULL ? rem_str_skip(rest, pair.n + 1) : REM_STR("");
    }
    return rem_core_var_absent(out);
}

static int get_request_port(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_str port = rem_core_var_request(e)->host_port;
    bool colon_only = v->data != NULL;

    if (colon_only)
        return rem_core_var_text(out, port.n != 0 ? REM_STR(":") : REM_STR(""));
    return rem_core_var_text(out, port);
}

static int get_protocol(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);
    int version = request->version;

    (void)v;
    if (request->method_name.n == 0)
        return rem_core_var_absent(out);
    return rem_core_var_text(out, version >= 20   ? REM_STR("HTTP/2.0")
                                  : version == 11 ? REM_STR("HTTP/1.1")
                                  : version == 10 ? REM_STR("HTTP/1.0")
                                                  : REM_STR("HTTP/0.9"));
}

static int get_https(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_text(
        out, rem_str_is(rem_core_var_request(e)->scheme, "https") ? REM_STR("on") : REM_STR(""));
}

/* ---- who asks ---- */

/* The user of "Authorization: Basic ...". */
static int get_remote_user(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_field *field =
        rem_fields_find(&rem_core_var_request(e)->fields, REM_FIELD_AUTHORIZATION);
    struct rem_str value, user;
    const char *colon;
    char *p;

    (void)v;
    if (field == NULL || field->value.n < 7 ||
        !rem_str_eq_nocase(rem_str_make(field->value.p, 6), REM_STR("basic ")))
        return rem_core_var_absent(out);
    value = rem_str_trim(rem_str_skip(field->value, 6));
    p = rem_arena_alloc(e->arena, value.n);
    if (p == NULL)
        return REM_ENOMEM;
    user.p = p;
    if (!rem_base64_decode(value, p, &user.n))
        return rem_core_var_absent(out);
    colon = rem_str_chr(user, ':');
    if (colon == NULL)
        return rem_core_var_absent(out);
    user.n = (size_t)(colon - user.p);
    return rem_core_var_text(out, user);
}

static int get_request_id(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    char text[2 * sizeof(bytes)];

    (void)v;
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return rem_core_var_absent(out);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return rem_core_var_copy(e, out, rem_str_make(text, sizeof(text)));
}

/* ---- the request's body ---- */

static int get_request_body(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request_body *body = rem_core_var_request(e)->body;
    size_t total = 0;
    char *p, *at;

    (void)v;
    if (body != NULL && body->seen.n != 0)
        return rem_core_var_text(out, body->seen);
    if (body == NULL || body->streaming || body->bufs == NULL)
        return rem_core_var_absent(out);
    for (const struct rem_buf *buf = body->bufs; buf != NULL; buf = buf->next) {
        if (buf->in_file)
            return rem_core_var_absent(out);
        total += rem_buf_size(buf);
    }
    if (total == 0)
        return rem_core_var_absent(out);
    p = at = rem_arena_alloc(e->arena, total);
    if (p == NULL)
        return REM_ENOMEM;
    for (const struct rem_buf *buf = body->bufs; buf != NULL; buf = buf->next) {
        memcpy(at, buf->pos, rem_buf_size(buf));
        at += rem_buf_size(buf);
    }
    return rem_core_var_text(out, rem_str_make(p, total));
}

static int get_request_body_file(struct rem_eval *e, const struct rem_var *v,
                                 struct rem_var_value *out)
{
    const struct rem_request_body *body = rem_core_var_request(e)->body;

    (void)v;
    if (body == NULL || body->temp_path.n == 0)
        return rem_core_var_absent(out);
    return rem_core_var_text(out, body->temp_path);
}

/* ---- files ---- */

static int get_document_root(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_str path;
    char real[4096];
    size_t n;
    int rc = rem_core_path(rem_core_var_request(e), &path, &n);

    if (rc != 0)
        return rc;
    path = rem_str_make(path.p, n);
    if (v->data == NULL)
        return rem_core_var_text(out, path);
    path = rem_arena_dup(e->arena, path);
    if (path.p == NULL)
        return REM_ENOMEM;
    if (realpath(path.p, real) == NULL) {
        REM_LOG_IN(&rem_core_var_request(e)->log, REM_LOG_CRIT, errno, "realpath() \"%s\" failed",
                   path.p);
        return REM_EIO;
    }
    return rem_core_var_copy(e, out, rem_str_from(real));
}

static int get_request_filename(struct rem_eval *e, const struct rem_var *v,
                                struct rem_var_value *out)
{
    struct rem_str path;
    int rc = rem_core_path(rem_core_var_request(e), &path, NULL);

    (void)v;
    return rc != 0 ? rc : rem_core_var_text(out, path);
}

static int get_server_name(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_text(out, rem_core_var_request(e)->server->name);
}

/* ---- the response ---- */

static int get_status(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);

    (void)v;
    if (request->version == 9)
        return rem_core_var_text(out, REM_STR("009"));
    return rem_core_var_printf(e, out, "%03d",
                               request->error_status != 0 ? request->error_status
                                                          : request->response.status);
}

static int get_request_completion(struct rem_eval *e, const struct rem_var *v,
                                  struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);

    (void)v;
    return rem_core_var_text(
        out, request->response.body_done && !request->client_gone ? REM_STR("OK") : REM_STR(""));
}

/* A counter of struct rem_request; `data` is its offset. */
static int get_counter(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const uint64_t *counter = (const void *)((const char *)e->subject + (size_t)(uintptr_t)v->data);

    return rem_core_var_number(e, out, (int64_t)*counter);
}

/* The worker's environment, whose names are usually in capitals while variables have no case. */
static int get_env(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)e;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        struct rem_str text = rem_str_from(*entry);

        if (text.n > v->rest.n && text.p[v->rest.n] == '=' &&
            rem_str_eq_nocase(rem_str_make(text.p, v->rest.n), v->rest))
            return rem_core_var_text(out, rem_str_skip(text, v->rest.n + 1));
    }
    return rem_core_var_absent(out);
}

#define MEMBER(field) (const void *)(uintptr_t)offsetof(struct rem_request, field)

static const struct rem_core_var_def defs[] = {
    {"arg_", get_arg, NULL, REM_VAR_PREFIX | REM_VAR_NOCACHE},
    {"env_", get_env, NULL, REM_VAR_PREFIX},
    {"args", get_args, NULL, REM_VAR_CHANGEABLE | REM_VAR_NOCACHE},
    {"query_string", get_args, NULL, REM_VAR_NOCACHE},
    {"is_args", get_is_args, NULL, REM_VAR_NOCACHE},
    {"uri", get_uri, NULL, REM_VAR_NOCACHE},
    {"document_uri", get_uri, NULL, REM_VAR_NOCACHE},
    {"request", get_member, MEMBER(line), 0},
    {"request_uri", get_request_uri, NULL, 0},
    {"request_method", get_request_method, NULL, REM_VAR_NOCACHE},
    {"scheme", get_member, MEMBER(scheme), 0},
    {"https", get_https, NULL, 0},
    {"host", get_host, NULL, 0},
    /* newer than files that give these two names to something of their own */
    {"request_port", get_request_port, NULL, REM_VAR_CHANGEABLE},
    {"is_request_port", get_request_port, "", REM_VAR_CHANGEABLE},
    {"server_protocol", get_protocol, NULL, 0},
    {"server_name", get_server_name, NULL, REM_VAR_NOCACHE},
    {"remote_user", get_remote_user, NULL, 0},
    {"request_id", get_request_id, NULL, 0},
    {"request_body", get_request_body, NULL, REM_VAR_NOCACHE},
    {"request_body_file", get_request_body_file, NULL, REM_VAR_NOCACHE},
    {"document_root", get_document_root, NULL, REM_VAR_NOCACHE},
    {"realpath_root", get_document_root, "", REM_VAR_NOCACHE},
    {"request_filename", get_request_filename, NULL, REM_VAR_NOCACHE},
    {"status", get_status, NULL, REM_VAR_NOCACHE},
    {"request_completion", get_request_completion, NULL, REM_VAR_NOCACHE},
    {"request_length", get_counter, MEMBER(received), REM_VAR_NOCACHE},
    {"body_bytes_sent", get_counter, MEMBER(sent_body), REM_VAR_NOCACHE},
    {"bytes_sent", get_counter, MEMBER(sent), REM_VAR_NOCACHE},
    {"connection_requests", get_counter, MEMBER(connection_requests), 0},
};

int rem_core_add_vars(struct rem_vars *vars)
{
    struct rem_var *args;
    int rc = rem_core_var_define(vars, defs, REM_COUNT(defs));

    if (rc != 0)
        return rc;
    args = rem_var_find(vars, REM_STR("args"));
    REM_CHECK(args != NULL);
    args->set = set_args;
    return 0;
}
