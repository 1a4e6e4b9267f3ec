/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_handler.c - the content handler of proxy_pass, and the callbacks it gives the mechanism. */
#include "proxy/http/http.h"
#include "proxy/upstream/proxy.h"

static int proxy_reinit(struct rem_upstream_exchange *x)
{
    struct rem_proxy_ctx *ctx = x->data;
    enum rem_h1_asked asked = ctx->head ? REM_H1_ASKED_HEAD : REM_H1_ASKED_OTHER;

    rem_h1_client_init(&ctx->client, x, &ctx->conf->limits, asked,
                       ctx->upgrade && x->request->upgrade_asked);
    ctx->client.on_interim = rem_proxy_answer_interim;
    return 0;
}

static int proxy_process_head(struct rem_upstream_exchange *x)
{
    struct rem_proxy_ctx *ctx = x->data;

    return rem_h1_client_head(&ctx->client, x);
}

static int proxy_input_filter(struct rem_upstream_exchange *x, char **at, size_t n, size_t *used,
                              size_t *kept)
{
    struct rem_proxy_ctx *ctx = x->data;

    int rc = rem_h1_client_body(&ctx->client, x, at, n, used, kept);

    if (rc == 0 && x->relay.input_done && ctx->conf->policy.pass_trailers)
        rc = rem_proxy_answer_trailers(x);
    return rc;
}

static int proxy_input_end(struct rem_upstream_exchange *x)
{
    struct rem_proxy_ctx *ctx = x->data;

    return rem_h1_client_end(&ctx->client);
}

static const struct rem_upstream_protocol proxy_protocol = {
    .name = "http",
    .scheme = "http://",
    .create_request = rem_proxy_create_request,
    .reinit_request = proxy_reinit,
    .process_head = proxy_process_head,
    .answer = rem_proxy_answer,
    .answer_redirect = rem_proxy_answer_redirect,
    .input_filter = proxy_input_filter,
    .input_end = proxy_input_end,
};

/* The target that variables gave, if it is one that needs no resolving. */
static int handle_value(struct rem_request *request, struct rem_proxy_ctx *ctx)
{
    const struct rem_proxy_target *target = ctx->conf->target;
    const struct rem_upstream *upstream;
    const char *bad;
    struct rem_addr addr;
    struct rem_str text, name;
    int rc;

    if (rem_http_value(request, target->value, &text) != 0)
        return 500;
    bad = rem_proxy_url_parse(&request->arena, text, &ctx->evaluated);
    if (bad != NULL) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "%s in \"%.*s\"", bad, REM_STR_ARG(text));
        return 500;
    }
    name = ctx->evaluated.host;
    if (ctx->evaluated.port != 0)
        name = rem_arena_printf(&request->arena, "%.*s:%u", REM_STR_ARG(name),
                                (unsigned)ctx->evaluated.port);
    if (name.p == NULL)
        return 500;
    upstream = rem_upstream_conf_find(request->main_conf, name);
    if (upstream != NULL)
        return rem_upstream_start(request, &ctx->conf->policy, &proxy_protocol, ctx, upstream,
                                  NULL);
    rc = rem_upstream_start_named(request, &ctx->conf->policy, &proxy_protocol, ctx, name);
    if (rc != REM_HTTP_DECLINED)
        return rc;
    if (rem_addr_parse(name, 80, &addr) == 0)
        return rem_upstream_start(request, &ctx->conf->policy, &proxy_protocol, ctx, NULL, &addr);
    return rem_upstream_start_resolved(request, &ctx->conf->policy, &proxy_protocol, ctx,
                                       ctx->evaluated.host,
                                       ctx->evaluated.port != 0 ? ctx->evaluated.port : 80);
}

int rem_proxy_handle(struct rem_request *request)
{
    const struct rem_proxy_conf *conf = rem_proxy_conf_of(request);
    struct rem_proxy_ctx *ctx = rem_arena_alloc(&request->arena, sizeof(*ctx));

    if (ctx == NULL)
        return 500;
    ctx->conf = conf;
    ctx->url = &conf->target->url;
    ctx->upgrade = false;
    ctx->head = false;
    request->module_ctx[rem_proxy_module.index] = ctx;
    if (conf->target->value == NULL)
        return rem_upstream_start(request, &conf->policy, &proxy_protocol, ctx,
                                  conf->target->upstream, NULL);
    ctx->url = &ctx->evaluated;
    return handle_value(request, ctx);
}
