/* SPDX-License-Identifier: Apache-2.0 */
/* core_conf.c - the core's configuration structs: made unset, then merged downwards. */
#include "proxy/http/core_listen.h"
#include "proxy/http/core_names.h"
#include "proxy/http/core_priv.h"
#include "proxy/http/status_zone.h"
#include "proxy/net/setup.h"

void *rem_core_create_main(struct rem_conf *cf)
{
    struct rem_http_main_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    rem_array_init(&conf->servers, sizeof(struct rem_http_server_conf *));
    conf->listens = rem_http_listens_new(cf->arena);
    return conf->listens != NULL ? conf : NULL;
}

void *rem_core_create_server(struct rem_conf *cf)
{
    struct rem_http_server_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    rem_array_init(&conf->names, sizeof(struct rem_http_server_name));
    rem_strmap_init(&conf->named, cf->arena, false);
    conf->client_header_buffer_size = REM_CONF_UNSET_SIZE;
    conf->client_header_timeout = REM_CONF_UNSET;
    conf->ignore_invalid_headers = REM_CONF_UNSET;
    conf->underscores_in_headers = REM_CONF_UNSET;
    conf->merge_slashes = REM_CONF_UNSET;
    conf->max_headers = REM_CONF_UNSET;
    return conf;
}

/* The parser's limits are the directives' in its own words: a line must fit one buffer, a head all
 * of them. */
static void derive_limits(struct rem_http_server_conf *conf)
{
    uint64_t line = conf->large_client_header_buffers.size;
    uint64_t head = (uint64_t)conf->large_client_header_buffers.num * line;

    if (line < conf->client_header_buffer_size)
        line = conf->client_header_buffer_size;
    head += conf->client_header_buffer_size;
    conf->limits = (struct rem_h1_limits){
        .max_line = line < UINT32_MAX / 2 ? (uint32_t)line : UINT32_MAX / 2,
        .max_head = head < UINT32_MAX / 2 ? (uint32_t)head : UINT32_MAX / 2,
        .max_fields = (uint32_t)conf->max_headers,
        .underscores = conf->underscores_in_headers != 0,
        .ignore_invalid = conf->ignore_invalid_headers != 0,
    };
}

int rem_core_merge_server(struct rem_conf *cf, void *parent, void *child)
{
    const struct rem_http_server_conf *prev = parent;
    struct rem_http_server_conf *conf = child;

    rem_merge_size(&conf->client_header_buffer_size, prev->client_header_buffer_size, 1024);
    rem_merge_bufs(&conf->large_client_header_buffers, prev->large_client_header_buffers, 4, 8192);
    rem_merge_msec(&conf->client_header_timeout, prev->client_header_timeout, 60000);
    rem_merge_flag(&conf->ignore_invalid_headers, prev->ignore_invalid_headers, 1);
    rem_merge_flag(&conf->underscores_in_headers, prev->underscores_in_headers, 0);
    rem_merge_flag(&conf->merge_slashes, prev->merge_slashes, 1);
    rem_merge_num(&conf->max_headers, prev->max_headers, 1000);
    derive_limits(conf);
    if (rem_status_zone_default(cf, conf) != 0)
        return REM_EINVAL;
    return rem_core_name_server(cf, conf);
}

void *rem_core_create_location(struct rem_conf *cf)
{
    struct rem_http_location_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->recursive_error_pages = REM_CONF_UNSET;
    conf->log_not_found = REM_CONF_UNSET;
    conf->log_subrequest = REM_CONF_UNSET;
    conf->client_max_body_size = REM_CONF_UNSET;
    conf->client_body_buffer_size = REM_CONF_UNSET_SIZE;
    conf->client_body_timeout = REM_CONF_UNSET;
    conf->client_body_in_file_only = REM_CONF_UNSET;
    conf->send_timeout = REM_CONF_UNSET;
    conf->keepalive_timeout = REM_CONF_UNSET;
    conf->keepalive_header = REM_CONF_UNSET;
    conf->keepalive_requests = REM_CONF_UNSET;
    conf->keepalive_time = REM_CONF_UNSET;
    conf->lingering_close = REM_CONF_UNSET;
    conf->lingering_time = REM_CONF_UNSET;
    conf->lingering_timeout = REM_CONF_UNSET;
    conf->reset_timedout_connection = REM_CONF_UNSET;
    conf->sendfile = REM_CONF_UNSET;
    conf->sendfile_max_chunk = REM_CONF_UNSET_SIZE;
    conf->tcp_nopush = REM_CONF_UNSET;
    conf->tcp_nodelay = REM_CONF_UNSET;
    conf->postpone_output = REM_CONF_UNSET_SIZE;
    conf->server_tokens = REM_CONF_UNSET;
    conf->etag = REM_CONF_UNSET;
    conf->if_modified_since = REM_CONF_UNSET;
    conf->chunked_transfer_encoding = REM_CONF_UNSET;
    conf->absolute_redirect = REM_CONF_UNSET;
    conf->port_in_redirect = REM_CONF_UNSET;
    conf->server_name_in_redirect = REM_CONF_UNSET;
    conf->satisfy = REM_CONF_UNSET;
    conf->auth_delay = REM_CONF_UNSET;
    return conf;
}

static int merge_files(struct rem_conf *cf, struct rem_http_location_conf *prev,
                       struct rem_http_location_conf *conf)
{
    if (conf->root == NULL) {
        conf->root = prev->root;
        conf->alias = prev->alias;
    }
    rem_merge_str(&conf->default_type, prev->default_type, REM_STR("text/plain"));
    /* Made once, at the http level, for all servers. */
    if (conf->types == NULL && prev->types == NULL)
        prev->types = rem_core_default_types(cf);
    if (conf->types == NULL)
        conf->types = prev->types;
    if (conf->types == NULL)
        return rem_conf_nomem(cf);
    rem_merge_flag(&conf->sendfile, prev->sendfile, 1);
    rem_merge_size(&conf->sendfile_max_chunk, prev->sendfile_max_chunk, 2u << 20);
    rem_merge_flag(&conf->etag, prev->etag, 1);
    rem_merge_enum(&conf->if_modified_since, prev->if_modified_since, REM_IMS_EXACT);
    return 0;
}

static void merge_errors(struct rem_conf *cf, const struct rem_http_location_conf *prev,
                         struct rem_http_location_conf *conf)
{
    struct rem_setup *setup = cf->user;

    if (conf->error_pages == NULL)
        conf->error_pages = prev->error_pages;
    if (conf->block)
        conf->json_errors = prev->json_errors; /* the content is that of the location around it */
    conf->internal |= prev->internal; /* what is inside of an internal location is no way into it */
    rem_merge_flag(&conf->recursive_error_pages, prev->recursive_error_pages, 0);
    rem_merge_flag(&conf->log_not_found, prev->log_not_found, 1);
    rem_merge_flag(&conf->log_subrequest, prev->log_subrequest, 0);
    rem_merge_str(&conf->post_action, prev->post_action, REM_STR(""));
    if (conf->log == NULL)
        conf->log = prev->log;
    if (conf->log == NULL)
        conf->log = setup->log;
}

static int merge_body(struct rem_conf *cf, struct rem_http_location_conf *prev,
                      struct rem_http_location_conf *conf)
{
    rem_merge_off(&conf->client_max_body_size, prev->client_max_body_size, 1 << 20);
    rem_merge_size(&conf->client_body_buffer_size, prev->client_body_buffer_size, 16384);
    rem_merge_msec(&conf->client_body_timeout, prev->client_body_timeout, 60000);
    rem_merge_enum(&conf->client_body_in_file_only, prev->client_body_in_file_only,
                   REM_IN_FILE_OFF);
    if (conf->client_body_temp_path.p == NULL && prev->client_body_temp_path.p == NULL) {
        prev->client_body_temp_path = rem_setup_temp_path(cf, REM_STR("client_body_temp"));
        if (prev->client_body_temp_path.p == NULL ||
            rem_setup_add_dir(cf->user, prev->client_body_temp_path) != 0)
            return rem_conf_nomem(cf);
    }
    rem_merge_str(&conf->client_body_temp_path, prev->client_body_temp_path, REM_STR(""));
    return 0;
}

static void merge_connection(const struct rem_http_location_conf *prev,
                             struct rem_http_location_conf *conf)
{
    rem_merge_msec(&conf->send_timeout, prev->send_timeout, 60000);
    rem_merge_msec(&conf->keepalive_timeout, prev->keepalive_timeout, 75000);
    rem_merge_sec(&conf->keepalive_header, prev->keepalive_header, 0);
    rem_merge_num(&conf->keepalive_requests, prev->keepalive_requests, 1000);
    rem_merge_msec(&conf->keepalive_time, prev->keepalive_time, 3600000);
    rem_merge_bitmask(&conf->keepalive_disable, prev->keepalive_disable, REM_NO_KEEPALIVE_MSIE6);
    rem_merge_enum(&conf->lingering_close, prev->lingering_close, REM_LINGERING_ON);
    rem_merge_msec(&conf->lingering_time, prev->lingering_time, 30000);
    rem_merge_msec(&conf->lingering_timeout, prev->lingering_timeout, 5000);
    rem_merge_flag(&conf->reset_timedout_connection, prev->reset_timedout_connection, 0);
    rem_merge_flag(&conf->tcp_nopush, prev->tcp_nopush, 0);
    rem_merge_flag(&conf->tcp_nodelay, prev->tcp_nodelay, 1);
    rem_merge_size(&conf->postpone_output, prev->postpone_output, 1460);
    rem_merge_bufs(&conf->output_buffers, prev->output_buffers, 2, 32768);
}

static void merge_responses(const struct rem_http_location_conf *prev,
                            struct rem_http_location_conf *conf)
{
    rem_merge_enum(&conf->server_tokens, prev->server_tokens, REM_TOKENS_ON);
    rem_merge_flag(&conf->chunked_transfer_encoding, prev->chunked_transfer_encoding, 1);
    rem_merge_flag(&conf->absolute_redirect, prev->absolute_redirect, 1);
    rem_merge_flag(&conf->port_in_redirect, prev->port_in_redirect, 1);
    rem_merge_flag(&conf->server_name_in_redirect, prev->server_name_in_redirect, 0);
    rem_merge_enum(&conf->satisfy, prev->satisfy, REM_SATISFY_ALL);
    rem_merge_msec(&conf->auth_delay, prev->auth_delay, 0);
}

int rem_core_merge_location(struct rem_conf *cf, void *parent, void *child)
{
    struct rem_http_location_conf *prev = parent, *conf = child;
    int rc = merge_files(cf, prev, conf);

    if (rc == 0)
        rc = merge_body(cf, prev, conf);
    if (rc != 0)
        return rc;
    merge_errors(cf, prev, conf);
    merge_connection(prev, conf);
    merge_responses(prev, conf);
    if (!conf->zone_set)
        conf->zone = prev->zone;
    return 0;
}
