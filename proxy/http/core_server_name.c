/* SPDX-License-Identifier: Apache-2.0 */
/* core_server_name.c - the server_name directive. */
#include "proxy/http/core_names.h"
#include "proxy/http/core_priv.h"

#include <unistd.h>

static int compile_regex(struct rem_conf *cf, struct rem_str pattern, struct rem_capture **out)
{
    struct rem_capture *regex = rem_arena_zalloc(cf->arena, sizeof(*regex));

    if (regex == NULL)
        return rem_conf_nomem(cf);
    if (pattern.n == 0)
        return rem_conf_error(cf, "empty regex in server name \"~\"");
    *out = regex;
    return rem_capture_compile(cf, pattern, REM_REGEX_NOCASE, regex);
}

static struct rem_str lower_copy(struct rem_conf *cf, struct rem_str s)
{
    struct rem_str copy = rem_arena_dup(cf->arena, s);
    char *p = (char *)(uintptr_t)copy.p;

    for (size_t i = 0; p != NULL && i < copy.n; i++)
        p[i] = rem_lower(p[i]);
    return copy;
}

static int host_name(struct rem_conf *cf, struct rem_str *out)
{
    char name[256];

    if (gethostname(name, sizeof(name)) != 0)
        return rem_conf_error(cf, "gethostname() failed");
    name[sizeof(name) - 1] = '\0';
    *out = rem_arena_dup(cf->arena, rem_str_from(name));
    return out->p != NULL ? 0 : rem_conf_nomem(cf);
}

static bool is_invalid(struct rem_str s)
{
    if (s.n == 0)
        return false;
    return (s.p[0] == '*' && (s.n < 3 || s.p[1] != '.')) || (s.p[0] == '.' && s.n < 2);
}

static int add_name(struct rem_conf *cf, struct rem_http_server_conf *server, struct rem_str text)
{
    struct rem_http_server_name *name;
    struct rem_capture *regex = NULL;
    int rc = 0;

    if (is_invalid(text))
        return rem_conf_error(cf, "server name \"%.*s\" is invalid", REM_STR_ARG(text));
    if (text.n != 0 && text.p[0] == '~') {
        rc = compile_regex(cf, rem_str_skip(text, 1), &regex);
    } else {
        if (rem_str_chr(text, '/') != NULL)
            rem_conf_warn(cf, "server name \"%.*s\" has suspicious symbols", REM_STR_ARG(text));
        if (rem_str_eq_nocase(text, REM_STR("$hostname")))
            rc = host_name(cf, &text);
        text = lower_copy(cf, text);
    }
    if (rc != 0)
        return rc;
    name = rem_array_push(cf->arena, &server->names);
    if (name == NULL || text.p == NULL)
        return rem_conf_nomem(cf);
    *name = (struct rem_http_server_name){text, regex};
    return 0;
}

int rem_core_set_server_name(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)d;
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = add_name(cf, conf, cf->args[i]);

        if (rc != 0)
            return rc;
    }
    return 0;
}

int rem_core_name_server(struct rem_conf *cf, struct rem_http_server_conf *server)
{
    const struct rem_http_server_name *first;

    if (server->names.n == 0) {
        int rc = add_name(cf, server, REM_STR(""));

        if (rc != 0)
            return rc;
    }
    first = rem_array_at(&server->names, 0);
    server->name = first->name;
    if (first->regex == NULL && server->name.n != 0 && server->name.p[0] == '.')
        server->name = rem_str_skip(server->name, 1);
    return 0;
}
