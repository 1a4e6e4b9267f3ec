/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_redirect.c - Location and Refresh, rewritten from the server's view to the client's. */
#include "proxy/http/core.h"
#include "proxy/upstream/proxy.h"

static struct rem_proxy_redirect *redirect_push(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    if (conf->redirects == REM_CONF_UNSET_PTR || conf->redirects == NULL)
        conf->redirects = rem_array_new(cf->arena, sizeof(struct rem_proxy_redirect));
    return conf->redirects != NULL ? rem_array_push(cf->arena, conf->redirects) : NULL;
}

/* What the server calls the place that the client knows by the location's name. */
static int redirect_add_default(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    const struct rem_proxy_target *target = conf->target;
    struct rem_proxy_redirect *redirect = redirect_push(cf, conf);

    if (redirect == NULL)
        return rem_conf_nomem(cf);
    memset(redirect, 0, sizeof(*redirect));
    redirect->from.text = target->text;
    redirect->to.text = target->location;
    if (target->url.uri.n == 0) {
        redirect->from.text = rem_arena_printf(cf->arena, "%.*s/", REM_STR_ARG(target->text));
        redirect->to.text = REM_STR("/");
    }
    return redirect->from.text.p != NULL ? 0 : rem_conf_nomem(cf);
}

static int redirect_set_default(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    if (conf->target == NULL)
        return rem_conf_error(cf, "\"proxy_redirect default\" should be placed after the "
                                  "\"proxy_pass\" directive");
    if (conf->target->value != NULL)
        return rem_conf_error(cf, "\"proxy_redirect default\" cannot be used with \"proxy_pass\" "
                                  "directive with variables");
    return redirect_add_default(cf, conf);
}

static int redirect_set_regex(struct rem_conf *cf, struct rem_proxy_redirect *redirect)
{
    struct rem_str pattern = rem_str_skip(cf->args[1], 1);
    uint32_t flags = 0;

    if (pattern.n != 0 && pattern.p[0] == '*') {
        pattern = rem_str_skip(pattern, 1);
        flags = REM_REGEX_NOCASE;
    }
    redirect->regex = rem_arena_zalloc(cf->arena, sizeof(*redirect->regex));
    if (redirect->regex == NULL)
        return rem_conf_nomem(cf);
    return rem_capture_compile(cf, pattern, flags, redirect->regex);
}

int rem_proxy_redirect_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_proxy_conf *proxy = conf;
    struct rem_proxy_redirect *redirect;
    int rc;

    (void)d;
    if (proxy->redirect_off)
        return rem_conf_duplicate(cf);
    if (rem_str_is(cf->args[1], "off")) {
        if (proxy->redirects != REM_CONF_UNSET_PTR)
            return rem_conf_duplicate(cf);
        proxy->redirect_off = true;
        return 0;
    }
    if (cf->n_args == 2) {
        if (rem_str_is(cf->args[1], "default"))
            return redirect_set_default(cf, proxy);
        return rem_conf_error(cf, "invalid parameter \"%s\"", cf->args[1].p);
    }
    redirect = redirect_push(cf, proxy);
    if (redirect == NULL)
        return rem_conf_nomem(cf);
    if (cf->args[1].n != 0 && cf->args[1].p[0] == '~')
        rc = redirect_set_regex(cf, redirect);
    else
        rc = rem_value_compile(cf, cf->args[1], &redirect->from);
    return rc != 0 ? rc : rem_value_compile(cf, cf->args[2], &redirect->to);
}

int rem_proxy_redirect_default(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    if (conf->redirect_off || (conf->redirects != REM_CONF_UNSET_PTR && conf->redirects != NULL))
        return 0;
    conf->redirects = NULL;
    /* A regex has no name that could stand for a place, and variables name none in advance. */
    if (conf->target->value != NULL)
        return 0;
    return redirect_add_default(cf, conf);
}

/* ---- at run time ---- */

/* Tries one rule.  Returns 1: *location is rewritten; 0: it does not apply; negative. */
static int redirect_try(struct rem_request *request, const struct rem_proxy_redirect *redirect,
                        struct rem_str *location)
{
    struct rem_str from, to, rest = {NULL, 0};
    int rc;

    if (redirect->regex != NULL) {
        rc = rem_capture_match(redirect->regex, &request->eval, *location);
        if (rc <= 0)
            return rc == REM_ENOMEM ? rc : 0;
    } else {
        rc = rem_http_value(request, &redirect->from, &from);
        if (rc != 0)
            return rc;
        if (!rem_str_has_prefix(*location, from))
            return 0;
        rest = rem_str_skip(*location, from.n);
    }
    rc = rem_http_value(request, &redirect->to, &to);
    if (rc != 0)
        return rc;
    *location = rem_arena_printf(&request->arena, "%.*s%.*s", REM_STR_ARG(to), REM_STR_ARG(rest));
    return location->p != NULL ? 1 : REM_ENOMEM;
}

int rem_proxy_redirect_apply(struct rem_request *request, const struct rem_proxy_conf *conf,
                             struct rem_str *location)
{
    if (conf->redirects == NULL || conf->redirects == REM_CONF_UNSET_PTR || conf->redirect_off)
        return 0;
    for (uint32_t i = 0; i < conf->redirects->n; i++) {
        int rc = redirect_try(request, rem_array_at(conf->redirects, i), location);
        if (rc != 0)
            return rc;
    }
    return 0;
}
