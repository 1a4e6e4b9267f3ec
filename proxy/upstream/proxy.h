/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - the proxy module: proxy_pass and what surrounds it.
 *
 * Runs in:    configuration (proxy.c, proxy_pass.c) and workers (proxy_head.c, proxy_answer.c,
 *             proxy_var.c).
 * Ownership:  struct rem_proxy_conf and all it points to live in the configuration's arena;
 *             struct rem_proxy_ctx in the request's.  */
#ifndef REM_UPSTREAM_PROXY_H
#define REM_UPSTREAM_PROXY_H

#include "proxy/conf/value.h"
#include "proxy/upstream/bind.h"
#include "proxy/upstream/h1_client.h"
#include "proxy/upstream/proxy_cookie.h"
#include "proxy/upstream/store.h"
#include "proxy/upstream/upstream_conf.h"

/* A URL taken apart; also what variables give at run time. */
struct rem_proxy_url {
    struct rem_str host;        /* "backend", "127.0.0.1", "[::1]", "unix:/path" */
    struct rem_str host_header; /* $proxy_host: with the port if it was given and is not 80 */
    struct rem_str port_text;   /* $proxy_port */
    uint16_t port;              /* 0: none given */
    struct rem_str uri;         /* from "/" or "?" on; empty: none */
};

/* What proxy_pass names. */
struct rem_proxy_target {
    struct rem_str text;           /* as written */
    struct rem_value *value;       /* NULL: no variables */
    struct rem_proxy_url url;      /* without variables */
    struct rem_upstream *upstream; /* without variables */
    struct rem_str location;       /* what the URI part replaces */
};

/* proxy_set_header, one. */
struct rem_proxy_set {
    struct rem_str name;
    struct rem_value value;
};

/* A set of field names for quick looks. */
struct rem_proxy_names {
    bool known[REM_FIELD_IDS];
    struct rem_strmap other; /* names without an id */
};

struct rem_proxy_conf {
    struct rem_upstream_policy policy;
    struct rem_conf_bufs bufs; /* as configured, or none, as the next two are: what `policy` has
                                * follows the other sizes */
    size_t busy_size;
    size_t temp_file_write_size;
    struct rem_proxy_target *target; /* NULL: no proxy_pass here */

    /* the request */
    struct rem_array *sets;       /* of struct rem_proxy_set; UNSET_PTR */
    struct rem_array *own_sets;   /* `sets` with the defaults; made by merging */
    struct rem_proxy_names *skip; /* the client's fields that are not passed on */
    int http_version;             /* 10, 11 */
    int pass_headers;
    struct rem_value *method;
    struct rem_value *body;
    struct rem_upstream_bind *bind; /* UNSET_PTR until merged, as the two below */
    struct rem_upstream_store *store;
    struct rem_value *limit_rate;

    /* the response */
    struct rem_array *hide; /* of struct rem_str */
    struct rem_array *pass;
    struct rem_proxy_names *hidden;
    struct rem_array *redirects; /* of struct rem_proxy_rule; UNSET_PTR */
    bool redirect_off;
    struct rem_proxy_cookie_conf cookies;
    struct rem_h1_limits limits;
};

/* One request's. */
struct rem_proxy_ctx {
    struct rem_h1_client client;
    const struct rem_proxy_conf *conf;
    const struct rem_proxy_url *url;
    struct rem_proxy_url evaluated;
    bool upgrade; /* the head we send asks for an upgrade */
    bool head;    /* we ask with HEAD */
};

/* proxy_pass.c */
int rem_proxy_pass_set(struct rem_conf *cf, const struct rem_directive *d, void *conf);
/* Takes "http://..." apart.  Returns NULL, or what is wrong ("invalid URL prefix"). */
const char *rem_proxy_url_parse(struct rem_arena *arena, struct rem_str text,
                                struct rem_proxy_url *out);

/* proxy_names.c: made while merging.  Errors: reported. */
int rem_proxy_compile_request(struct rem_conf *cf, struct rem_proxy_conf *conf) REM_MUST_CHECK;
int rem_proxy_compile_response(struct rem_conf *cf, struct rem_proxy_conf *conf) REM_MUST_CHECK;
bool rem_proxy_names_has(const struct rem_proxy_names *names, const struct rem_field *field);

/* proxy_redirect.c */
int rem_proxy_redirect_set(struct rem_conf *cf, const struct rem_directive *d, void *conf);
/* Adds `default` where nothing was said. */
int rem_proxy_redirect_default(struct rem_conf *cf, struct rem_proxy_conf *conf) REM_MUST_CHECK;
/* The value of Location (or of the URL in Refresh) as the client should see it.
 * Returns: whether it was changed; negative: REM_ENOMEM. */
int rem_proxy_redirect_apply(struct rem_request *request, const struct rem_proxy_conf *conf,
                             struct rem_str *location);

/* proxy_handler.c: the content handler. */
int rem_proxy_handle(struct rem_request *request);
/* proxy_head.c */
int rem_proxy_create_request(struct rem_upstream_exchange *x);
/* The request target for the server.  Errors: REM_ENOMEM. */
int rem_proxy_target_uri(struct rem_request *request, const struct rem_proxy_target *target,
                         const struct rem_proxy_url *url, struct rem_str *out) REM_MUST_CHECK;
/* proxy_answer.c */
int rem_proxy_answer(struct rem_upstream_exchange *x);
int rem_proxy_answer_redirect(struct rem_upstream_exchange *x);
/* Trailers of the response that the client gets too.  Errors: REM_ENOMEM. */
int rem_proxy_answer_trailers(struct rem_upstream_exchange *x) REM_MUST_CHECK;
/* An interim response: passed on if it is a 103 that the location lets through. */
void rem_proxy_answer_interim(struct rem_upstream_exchange *x, const struct rem_h1_response *head);

/* proxy_var.c, upstream_var.c */
int rem_proxy_add_variables(struct rem_conf *cf) REM_MUST_CHECK;
int rem_upstream_add_variables(struct rem_conf *cf) REM_MUST_CHECK;

static inline struct rem_proxy_conf *rem_proxy_conf_of(const struct rem_request *request)
{
    return request->location_conf[rem_proxy_module.index];
}

static inline struct rem_proxy_ctx *rem_proxy_ctx_of(const struct rem_request *request)
{
    return request->module_ctx[rem_proxy_module.index];
}

#endif
