/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_redirect.c - Location and Refresh, rewritten from the server's view to the client's. */
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/upstream/proxy.h"

/* What the server calls the place that the client knows by the location's name. */
static int redirect_add_default(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    const struct rem_proxy_target *target = conf->target;
    struct rem_proxy_rule *redirect = rem_set_push(cf, &conf->redirects, sizeof(*redirect));

    if (redirect == NULL)
        return REM_ENOMEM;
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

int rem_proxy_redirect_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_proxy_conf *proxy = conf;
    struct rem_proxy_rule *redirect;

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
    redirect = rem_set_push(cf, &proxy->redirects, sizeof(*redirect));
    if (redirect == NULL)
        return REM_ENOMEM;
    return rem_proxy_rule_compile(cf, cf->args[1], cf->args[2], 0, redirect);
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

int rem_proxy_redirect_apply(struct rem_request *request, const struct rem_proxy_conf *conf,
                             struct rem_str *location)
{
    if (conf->redirects == REM_CONF_UNSET_PTR || conf->redirect_off)
        return 0;
    return rem_proxy_rules_apply(request, conf->redirects, REM_RULE_PREFIX, location);
}
