/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.c - the proxy module's directives, and how they are inherited. */
#include "proxy/upstream/proxy.h"

#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/rate.h"
#include "proxy/net/setup.h"
#include "proxy/upstream/accel.h"

#define PROXY_LEVELS  (REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION)
#define POLICY(field) offsetof(struct rem_proxy_conf, policy.field)
#define FIELD(field)  offsetof(struct rem_proxy_conf, field)

/* A directive with a ready-made setter. */
#define SIMPLE(name_, args_, set_, offset_, data_)                                                 \
    {                                                                                              \
        .name = (name_), .contexts = PROXY_LEVELS, .args = (args_), .set = (set_),                 \
        .level = REM_LEVEL_LOCATION, .offset = (offset_), .data = (data_)                          \
    }

static int set_header(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int set_temp_path(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int set_bind(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int set_limit_rate(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int set_store(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int set_store_access(struct rem_conf *cf, const struct rem_directive *d, void *conf);

struct proxy_main {
    uint32_t binds; /* proxy_bind directives seen */
};

static const struct rem_conf_choice next_upstream_choices[] = {
    {"error", REM_FAULT_ERROR},
    {"timeout", REM_FAULT_TIMEOUT},
    {"invalid_header", REM_FAULT_INVALID_HEADER},
    {"non_idempotent", REM_FAULT_NON_IDEMPOTENT},
    {"http_500", REM_FAULT_HTTP_500},
    {"http_502", REM_FAULT_HTTP_502},
    {"http_503", REM_FAULT_HTTP_503},
    {"http_504", REM_FAULT_HTTP_504},
    {"http_403", REM_FAULT_HTTP_403},
    {"http_404", REM_FAULT_HTTP_404},
    {"http_429", REM_FAULT_HTTP_429},
    {"off", REM_FAULT_OFF},
    {NULL, 0},
};

static const struct rem_conf_choice ignore_choices[] = {
    {"X-Accel-Redirect", REM_ACCEL_REDIRECT},
    {"X-Accel-Expires", REM_ACCEL_EXPIRES},
    {"X-Accel-Limit-Rate", REM_ACCEL_LIMIT_RATE},
    {"X-Accel-Buffering", REM_ACCEL_BUFFERING},
    {"X-Accel-Charset", REM_ACCEL_CHARSET},
    {"Expires", REM_ACCEL_HTTP_EXPIRES},
    {"Cache-Control", REM_ACCEL_CACHE_CONTROL},
    {"Set-Cookie", REM_ACCEL_SET_COOKIE},
    {"Vary", REM_ACCEL_VARY},
    {NULL, 0},
};

static const struct rem_conf_choice http_versions[] = {
    {"1.0", 10},
    {"1.1", 11},
    {NULL, 0},
};

static const struct rem_directive directives[] = {
    {.name = "proxy_pass",
     .contexts = REM_CTX_LOCATION | REM_CTX_LOCATION_IF | REM_CTX_LIMIT_EXCEPT,
     .args = REM_ARGS_1,
     .set = rem_proxy_pass_set,
     .level = REM_LEVEL_LOCATION},
    SIMPLE("proxy_redirect", REM_ARGS_12, rem_proxy_redirect_set, 0, NULL),
    SIMPLE("proxy_set_header", REM_ARGS_2, set_header, 0, NULL),
    SIMPLE("proxy_temp_path", REM_ARGS_1234, set_temp_path, POLICY(temp_path), NULL),
    SIMPLE("proxy_connect_timeout", REM_ARGS_1, rem_set_msec, POLICY(connect_timeout), NULL),
    SIMPLE("proxy_send_timeout", REM_ARGS_1, rem_set_msec, POLICY(send_timeout), NULL),
    SIMPLE("proxy_read_timeout", REM_ARGS_1, rem_set_msec, POLICY(read_timeout), NULL),
    SIMPLE("proxy_next_upstream", REM_ARGS_1MORE, rem_set_bitmask, POLICY(next_upstream),
           next_upstream_choices),
    SIMPLE("proxy_next_upstream_tries", REM_ARGS_1, rem_set_num, POLICY(next_tries), NULL),
    SIMPLE("proxy_next_upstream_timeout", REM_ARGS_1, rem_set_msec, POLICY(next_timeout), NULL),
    SIMPLE("proxy_buffering", REM_ARGS_FLAG, rem_set_flag, POLICY(buffering), NULL),
    SIMPLE("proxy_request_buffering", REM_ARGS_FLAG, rem_set_flag, POLICY(request_buffering), NULL),
    SIMPLE("proxy_intercept_errors", REM_ARGS_FLAG, rem_set_flag, POLICY(intercept_errors), NULL),
    SIMPLE("proxy_ignore_client_abort", REM_ARGS_FLAG, rem_set_flag, POLICY(ignore_client_abort),
           NULL),
    SIMPLE("proxy_socket_keepalive", REM_ARGS_FLAG, rem_set_flag, POLICY(socket_keepalive), NULL),
    SIMPLE("proxy_pass_request_body", REM_ARGS_FLAG, rem_set_flag, POLICY(pass_body), NULL),
    SIMPLE("proxy_buffer_size", REM_ARGS_1, rem_set_size, POLICY(buffer_size), NULL),
    SIMPLE("proxy_buffers", REM_ARGS_2, rem_set_bufs, FIELD(bufs), NULL),
    SIMPLE("proxy_busy_buffers_size", REM_ARGS_1, rem_set_size, FIELD(busy_size), NULL),
    SIMPLE("proxy_max_temp_file_size", REM_ARGS_1, rem_set_off, POLICY(max_temp_file_size), NULL),
    SIMPLE("proxy_temp_file_write_size", REM_ARGS_1, rem_set_size, FIELD(temp_file_write_size),
           NULL),
    SIMPLE("proxy_http_version", REM_ARGS_1, rem_set_enum, FIELD(http_version), http_versions),
    SIMPLE("proxy_pass_request_headers", REM_ARGS_FLAG, rem_set_flag, FIELD(pass_headers), NULL),
    SIMPLE("proxy_method", REM_ARGS_1, rem_set_value, FIELD(method), NULL),
    SIMPLE("proxy_set_body", REM_ARGS_1, rem_set_value, FIELD(body), NULL),
    SIMPLE("proxy_hide_header", REM_ARGS_1, rem_set_strs, FIELD(hide), NULL),
    SIMPLE("proxy_pass_header", REM_ARGS_1, rem_set_strs, FIELD(pass), NULL),
    SIMPLE("proxy_cookie_domain", REM_ARGS_12, rem_proxy_cookie_set_domain, FIELD(cookies), NULL),
    SIMPLE("proxy_cookie_path", REM_ARGS_12, rem_proxy_cookie_set_path, FIELD(cookies), NULL),
    SIMPLE("proxy_cookie_flags", REM_ARGS_1234 | REM_ARGS_5, rem_proxy_cookie_set_flags,
           FIELD(cookies), NULL),
    SIMPLE("proxy_bind", REM_ARGS_12, set_bind, 0, NULL),
    SIMPLE("proxy_ignore_headers", REM_ARGS_1MORE, rem_set_bitmask, POLICY(ignore), ignore_choices),
    SIMPLE("proxy_limit_rate", REM_ARGS_1, set_limit_rate, FIELD(limit_rate), NULL),
    SIMPLE("proxy_store", REM_ARGS_1, set_store, 0, NULL),
    SIMPLE("proxy_store_access", REM_ARGS_123, set_store_access, 0, NULL),
    SIMPLE("proxy_force_ranges", REM_ARGS_FLAG, rem_set_flag, POLICY(force_ranges), NULL),
    SIMPLE("proxy_pass_trailers", REM_ARGS_FLAG, rem_set_flag, POLICY(pass_trailers), NULL),
    SIMPLE("proxy_headers_hash_max_size", REM_ARGS_1, rem_set_without_effect, 0, NULL),
    SIMPLE("proxy_headers_hash_bucket_size", REM_ARGS_1, rem_set_without_effect, 0, NULL),
    SIMPLE("proxy_send_lowat", REM_ARGS_1, rem_set_without_effect, 0, NULL),
    REM_DIRECTIVE_END,
};

/* ---- directives of our own ---- */

static int set_header(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_proxy_conf *proxy = conf;
    struct rem_proxy_set *set;

    (void)d;
    if (!rem_put_is_token(cf->args[1]))
        return rem_conf_error(cf, "invalid header name \"%s\"", cf->args[1].p);
    set = rem_set_push(cf, &proxy->sets, sizeof(*set));
    if (set == NULL)
        return REM_ENOMEM;
    set->name = cf->args[1];
    if ((rem_field_id(set->name) == REM_FIELD_CONTENT_LENGTH ||
         rem_field_id(set->name) == REM_FIELD_TRANSFER_ENCODING) &&
        cf->args[2].n != 0)
        rem_conf_warn(cf,
                      "\"%s\" in \"proxy_set_header\" is ignored: it is made from the body that "
                      "is sent",
                      set->name.p);
    return rem_value_compile(cf, cf->args[2], &set->value);
}

/* The levels that nginx spreads its files over are accepted; files here have no names. */
static int set_temp_path(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    for (size_t i = 2; i < cf->n_args; i++) {
        int64_t level;

        if (rem_conf_parse_num(cf->args[i], &level) != 0 || level < 1)
            return rem_conf_invalid(cf);
    }
    return rem_set_path(cf, d, conf);
}

static int set_bind(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct proxy_main *all = rem_conf_main(cf, &rem_proxy_module);
    struct rem_proxy_conf *proxy = conf;

    (void)d;
    return rem_bind_parse(cf, ++all->binds, &proxy->bind);
}

/* What is fixed is checked here; "0" becomes no value at all. */
static int set_limit_rate(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_proxy_conf *proxy = conf;
    int rc = rem_set_value(cf, d, conf);
    uint64_t rate;

    if (rc != 0 || !rem_value_is_static(proxy->limit_rate))
        return rc;
    if (rem_rate_parse(proxy->limit_rate->text, &rate) != 0)
        return rem_conf_invalid(cf);
    if (rate == 0)
        proxy->limit_rate = NULL;
    return 0;
}

static int set_store(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_proxy_conf *proxy = conf;

    (void)d;
    return rem_store_parse(cf, &proxy->store);
}

static int set_store_access(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_proxy_conf *proxy = conf;

    (void)d;
    return rem_store_parse_access(cf, &proxy->policy.store_access);
}

/* ---- levels ---- */

static void *create_main(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct proxy_main));
}

static void *create_location(struct rem_conf *cf)
{
    struct rem_proxy_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));
    struct rem_upstream_policy *policy;

    if (conf == NULL)
        return NULL;
    policy = &conf->policy;
    policy->connect_timeout = REM_CONF_UNSET;
    policy->send_timeout = REM_CONF_UNSET;
    policy->read_timeout = REM_CONF_UNSET;
    policy->next_tries = REM_CONF_UNSET;
    policy->next_timeout = REM_CONF_UNSET;
    policy->buffering = REM_CONF_UNSET;
    policy->request_buffering = REM_CONF_UNSET;
    policy->intercept_errors = REM_CONF_UNSET;
    policy->ignore_client_abort = REM_CONF_UNSET;
    policy->socket_keepalive = REM_CONF_UNSET;
    policy->pass_body = REM_CONF_UNSET;
    policy->buffer_size = REM_CONF_UNSET_SIZE;
    conf->busy_size = REM_CONF_UNSET_SIZE;
    policy->max_temp_file_size = REM_CONF_UNSET;
    conf->temp_file_write_size = REM_CONF_UNSET_SIZE;
    conf->sets = REM_CONF_UNSET_PTR;
    conf->http_version = REM_CONF_UNSET;
    conf->pass_headers = REM_CONF_UNSET;
    conf->method = REM_CONF_UNSET_PTR;
    conf->body = REM_CONF_UNSET_PTR;
    conf->hide = REM_CONF_UNSET_PTR;
    conf->pass = REM_CONF_UNSET_PTR;
    conf->redirects = REM_CONF_UNSET_PTR;
    conf->bind = REM_CONF_UNSET_PTR;
    conf->store = REM_CONF_UNSET_PTR;
    conf->limit_rate = REM_CONF_UNSET_PTR;
    policy->store_access = REM_CONF_UNSET;
    policy->force_ranges = REM_CONF_UNSET;
    policy->pass_trailers = REM_CONF_UNSET;
    rem_proxy_cookie_unset(&conf->cookies);
    return conf;
}

static void merge_policy(struct rem_upstream_policy *p, const struct rem_upstream_policy *up)
{
    rem_merge_msec(&p->connect_timeout, up->connect_timeout, 60000);
    rem_merge_msec(&p->send_timeout, up->send_timeout, 60000);
    rem_merge_msec(&p->read_timeout, up->read_timeout, 60000);
    rem_merge_bitmask(&p->next_upstream, up->next_upstream, REM_FAULT_ERROR | REM_FAULT_TIMEOUT);
    rem_merge_num(&p->next_tries, up->next_tries, 0);
    rem_merge_msec(&p->next_timeout, up->next_timeout, 0);
    rem_merge_flag(&p->buffering, up->buffering, 1);
    rem_merge_flag(&p->request_buffering, up->request_buffering, 1);
    rem_merge_flag(&p->intercept_errors, up->intercept_errors, 0);
    rem_merge_flag(&p->ignore_client_abort, up->ignore_client_abort, 0);
    rem_merge_flag(&p->socket_keepalive, up->socket_keepalive, 0);
    rem_merge_flag(&p->pass_body, up->pass_body, 1);
    rem_merge_flag(&p->force_ranges, up->force_ranges, 0);
    rem_merge_flag(&p->pass_trailers, up->pass_trailers, 0);
    rem_merge_bitmask(&p->ignore, up->ignore, 0);
    rem_merge_enum(&p->store_access, up->store_access, 0600);
    rem_merge_size(&p->buffer_size, up->buffer_size, 4096);
}

/* Buffers that nobody gave a size are large, but leave the sizes that are given their sense: those
 * were chosen beside nginx's buffers, of a page. */
static struct rem_conf_bufs default_bufs(const struct rem_proxy_conf *conf)
{
    size_t size = 16384, max = (size_t)conf->policy.max_temp_file_size;

    if (conf->busy_size < size)
        size = conf->busy_size;
    if (conf->temp_file_write_size < size)
        size = conf->temp_file_write_size;
    if (max != 0 && max < size)
        size = max;
    return (struct rem_conf_bufs){8, size < 4096 ? 4096 : size};
}

/* Sizes that depend on each other; messages as nginx gives them. */
static int merge_sizes(struct rem_conf *cf, struct rem_proxy_conf *conf,
                       const struct rem_proxy_conf *up)
{
    static const char larger[] =
        "must be equal to or greater than the maximum of the value of \"proxy_buffer_size\" and "
        "one of the \"proxy_buffers\"";
    struct rem_upstream_policy *p = &conf->policy;
    size_t most, unit;

    rem_merge_size(&conf->busy_size, up->busy_size, REM_CONF_UNSET_SIZE);
    rem_merge_size(&conf->temp_file_write_size, up->temp_file_write_size, REM_CONF_UNSET_SIZE);
    rem_merge_off(&p->max_temp_file_size, up->policy.max_temp_file_size, INT64_C(1) << 30);
    rem_merge_bufs(&conf->bufs, up->bufs, 0, 0);
    p->bufs = conf->bufs.num != 0 ? conf->bufs : default_bufs(conf);
    if (p->bufs.num < 2)
        return rem_conf_error(cf, "there must be at least 2 \"proxy_buffers\"");
    if (p->buffer_size < 64 || p->bufs.size < 64 || p->bufs.size > SIZE_MAX / (size_t)p->bufs.num)
        return rem_conf_error(cf, "invalid size of \"proxy_buffer_size\" or \"proxy_buffers\"");
    most = p->buffer_size > p->bufs.size ? p->buffer_size : p->bufs.size;
    unit = (size_t)(p->bufs.num - 1) * p->bufs.size;
    p->busy_size = conf->busy_size;
    if (p->busy_size == REM_CONF_UNSET_SIZE)
        p->busy_size = 2 * most <= unit || unit < most ? 2 * most : unit;
    p->temp_file_write_size = conf->temp_file_write_size;
    if (p->temp_file_write_size == REM_CONF_UNSET_SIZE)
        p->temp_file_write_size = 2 * most;
    if (p->busy_size < most)
        return rem_conf_error(cf, "\"proxy_busy_buffers_size\" %s", larger);
    if (p->busy_size > unit && unit >= most)
        return rem_conf_error(cf, "\"proxy_busy_buffers_size\" must be less than the size of all "
                                  "\"proxy_buffers\" minus one buffer");
    if (p->temp_file_write_size < most)
        return rem_conf_error(cf, "\"proxy_temp_file_write_size\" %s", larger);
    if (p->max_temp_file_size != 0 && (uint64_t)p->max_temp_file_size < most)
        return rem_conf_error(cf,
                              "\"proxy_max_temp_file_size\" must be equal to zero to disable "
                              "temporary files usage or %s",
                              larger);
    return 0;
}

static int merge_temp_path(struct rem_conf *cf, struct rem_upstream_policy *p,
                           const struct rem_upstream_policy *up)
{
    if (p->temp_path.p == NULL)
        p->temp_path = up->temp_path;
    if (p->temp_path.p == NULL)
        p->temp_path = rem_setup_temp_path(cf, REM_STR("proxy_temp"));
    if (p->temp_path.p == NULL)
        return REM_ENOMEM;
    return 0;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    struct rem_proxy_conf *up = parent, *conf = child;
    int rc;

    merge_policy(&conf->policy, &up->policy);
    rc = merge_sizes(cf, conf, up);
    if (rc == 0)
        rc = merge_temp_path(cf, &conf->policy, &up->policy);
    if (rc != 0)
        return rc;
    rem_merge_enum(&conf->http_version, up->http_version, 11);
    conf->policy.needs_length = conf->http_version == 10;
    rem_merge_flag(&conf->pass_headers, up->pass_headers, 1);
    rem_merge_value(conf->method, up->method, NULL);
    rem_merge_value(conf->body, up->body, NULL);
    if (conf->body != NULL) /* it may be made of the client's, which has to be read for that */
        conf->policy.pass_body = 1;
    rem_merge_ptr(conf->bind, up->bind, NULL);
    rem_merge_ptr(conf->store, up->store, NULL);
    rem_merge_value(conf->limit_rate, up->limit_rate, NULL);
    conf->policy.bind = conf->bind;
    conf->policy.store = conf->store;
    conf->policy.limit_rate = conf->limit_rate;
    rem_proxy_cookie_merge(&conf->cookies, &up->cookies);
    rem_merge_ptr(conf->sets, up->sets, NULL);
    rem_merge_ptr(conf->hide, up->hide, NULL);
    rem_merge_ptr(conf->pass, up->pass, NULL);
    if (conf->redirects == REM_CONF_UNSET_PTR && !conf->redirect_off) {
        conf->redirects = up->redirects;
        conf->redirect_off = up->redirect_off;
    }
    conf->limits = (struct rem_h1_limits){
        .max_line = (uint32_t)conf->policy.buffer_size,
        .max_head = (uint32_t)conf->policy.buffer_size,
        .max_fields = 1000,
        .underscores = true,
        .ignore_invalid = true,
    };
    /* An `if` inside a location that proxies still proxies. */
    if (conf->target == NULL &&
        ((struct rem_http_location_conf *)rem_conf_location(cf, &rem_http_core_module))->block)
        conf->target = up->target;
    if (conf->target == NULL)
        return 0;
    /* Only now, so that locations that proxy nothing cost nothing. */
    rc = rem_setup_add_dir(cf->user, conf->policy.temp_path);
    if (rc != 0)
        return rem_conf_nomem(cf);
    rc = rem_proxy_compile_request(cf, conf);
    if (rc == 0)
        rc = rem_proxy_compile_response(cf, conf);
    if (rc == 0)
        rc = rem_proxy_redirect_default(cf, conf);
    return rc;
}

struct rem_module rem_proxy_module = {
    .name = "proxy",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .preconfigure = rem_proxy_add_variables,
    .create_main = create_main,
    .create_location = create_location,
    .merge_location = merge_location,
};
