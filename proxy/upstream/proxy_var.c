/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_var.c - variables of the proxy module. */
#include "proxy/upstream/proxy.h"

/* The URL in force: of the request's own evaluation, else of the configuration. */
static const struct rem_proxy_url *url_of(const struct rem_request *request)
{
    const struct rem_proxy_ctx *ctx = rem_proxy_ctx_of(request);
    const struct rem_proxy_conf *conf = rem_proxy_conf_of(request);

    if (ctx != NULL)
        return ctx->url;
    return conf->target != NULL && conf->target->value == NULL ? &conf->target->url : NULL;
}

static void found(struct rem_var_value *out, struct rem_str text)
{
    out->str = text;
    out->state = REM_VAR_FOUND;
}

static int get_proxy_host(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_proxy_url *url = url_of(e->subject);

    (void)v;
    if (url == NULL)
        out->state = REM_VAR_NOT_FOUND;
    else
        found(out, url->host_header);
    return 0;
}

static int get_proxy_port(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_proxy_url *url = url_of(e->subject);

    (void)v;
    if (url == NULL)
        out->state = REM_VAR_NOT_FOUND;
    else
        found(out, url->port_text);
    return 0;
}

/* What the client sent as X-Forwarded-For, with the client's own address behind it. */
static int get_forwarded_for(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = e->subject;
    const struct rem_field *field = rem_fields_find(&request->fields, REM_FIELD_X_FORWARDED_FOR);
    char text[REM_ADDR_TEXT];
    struct rem_put put;
    size_t n = rem_addr_host_text(request->peer, text, sizeof(text)), size = n;
    char *memory;

    (void)v;
    for (const struct rem_field *f = field; f != NULL; f = rem_fields_next(&request->fields, f))
        size += f->value.n + 2;
    memory = rem_arena_alloc(e->arena, size);
    if (memory == NULL)
        return REM_ENOMEM;
    rem_put_init(&put, memory, size);
    for (; field != NULL; field = rem_fields_next(&request->fields, field)) {
        rem_put_add(&put, field->value);
        REM_PUT(&put, ", ");
    }
    rem_put_bytes(&put, text, n);
    found(out, rem_put_str(&put));
    return 0;
}

int rem_proxy_add_variables(struct rem_conf *cf)
{
    enum { target = REM_VAR_CHANGEABLE | REM_VAR_NOCACHE | REM_VAR_CLIENTLESS };
    static const struct proxy_var {
        struct rem_str name;
        rem_var_get_fn get;
        uint32_t flags;
    } vars[] = {
        {{"proxy_host", 10}, get_proxy_host, target},
        {{"proxy_port", 10}, get_proxy_port, target},
        {{"proxy_add_x_forwarded_for", 25}, get_forwarded_for, REM_VAR_NOCACHE},
    };

    for (size_t i = 0; i < REM_COUNT(vars); i++) {
        if (rem_var_add(cf->vars, vars[i].name, vars[i].get, NULL, vars[i].flags) == NULL)
            return rem_conf_nomem(cf);
    }
    return 0;
}
