/* SPDX-License-Identifier: Apache-2.0 */
/* core_directives.c - the table of the core's directives, and those setters that are its own. */
#include "proxy/conf/set.h"
#include "proxy/http/core_listen.h"
#include "proxy/http/core_priv.h"
#include "proxy/http/status_zone.h"
#include "proxy/net/error_log.h"
#include "proxy/net/setup.h"

/* client_body_in_single_buffer: a body in memory always is in one, which is what "on" asks for. */
static int set_single_buffer(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    return rem_str_is(cf->args[1], "off") ? rem_set_without_effect(cf, d, conf) : 0;
}

static int set_keepalive_timeout(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = conf;

    (void)d;
    if (location->keepalive_timeout != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_msec(cf->args[1], &location->keepalive_timeout) != 0)
        return rem_conf_invalid(cf);
    /* A second value for the field in one level, and none of the level above without it. */
    location->keepalive_header = 0;
    if (cf->n_args > 2 && rem_conf_parse_sec(cf->args[2], &location->keepalive_header) != 0)
        return rem_conf_invalid(cf);
    return 0;
}

static int set_internal(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = conf;

    (void)d;
    if (location->internal)
        return rem_conf_duplicate(cf);
    location->internal = true;
    return 0;
}

/* client_body_temp_path: levels of subdirectories would be needed for many files in one directory;
 * temporary files here are unlinked as soon as they are open. */
static int set_temp_path(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = conf;
    int rc = rem_set_path(cf, d, conf);

    if (rc != 0)
        return rc;
    for (size_t i = 2; i < cf->n_args; i++) {
        int64_t digits;

        if (rem_conf_parse_num(cf->args[i], &digits) != 0 || digits < 1 || digits > 3)
            return rem_conf_invalid_arg(cf, cf->args[i]);
    }
    if (rem_setup_add_dir(cf->user, location->client_body_temp_path) != 0)
        return rem_conf_nomem(cf);
    return 0;
}

void rem_core_set_handler(struct rem_conf *cf, int (*handler)(struct rem_request *request))
{
    struct rem_http_location_conf *location = rem_conf_location(cf, &rem_http_core_module);

    location->handler = handler;
    if (location->name.n != 0 && location->name.p[location->name.n - 1] == '/')
        location->auto_redirect = true;
}

static const struct rem_conf_choice lingering_choices[] = {
    {"off", REM_LINGERING_OFF}, {"on", REM_LINGERING_ON}, {"always", REM_LINGERING_ALWAYS}, {0}};
static const struct rem_conf_choice token_choices[] = {
    {"off", REM_TOKENS_OFF}, {"on", REM_TOKENS_ON}, {"build", REM_TOKENS_BUILD}, {0}};
static const struct rem_conf_choice satisfy_choices[] = {
    {"all", REM_SATISFY_ALL}, {"any", REM_SATISFY_ANY}, {0}};
static const struct rem_conf_choice ims_choices[] = {
    {"off", REM_IMS_OFF}, {"exact", REM_IMS_EXACT}, {"before", REM_IMS_BEFORE}, {0}};
static const struct rem_conf_choice in_file_choices[] = {
    {"off", REM_IN_FILE_OFF}, {"on", REM_IN_FILE_ON}, {"clean", REM_IN_FILE_CLEAN}, {0}};
static const struct rem_conf_choice no_keepalive_choices[] = {{"none", REM_NO_KEEPALIVE_NONE},
                                                              {"msie6", REM_NO_KEEPALIVE_MSIE6},
                                                              {"safari", REM_NO_KEEPALIVE_SAFARI},
                                                              {0}};
static const struct rem_conf_bounds positive = {1, INT32_MAX};
static const struct rem_conf_bounds natural = {0, INT32_MAX};

enum {
    H = REM_CTX_HTTP,
    S = REM_CTX_SERVER,
    L = REM_CTX_LOCATION,
    LI = L | REM_CTX_LOCATION_IF,
    HS = H | S,
    HSL = H | S | L,
    HSLI = HSL | REM_CTX_LOCATION_IF,
};

#define SERVER_FIELD(field)   REM_LEVEL_SERVER, offsetof(struct rem_http_server_conf, field)
#define LOCATION_FIELD(field) REM_LEVEL_LOCATION, offsetof(struct rem_http_location_conf, field)
#define WITHOUT_EFFECT(name, contexts, args)                                                       \
    {                                                                                              \
        name, contexts, args, rem_set_without_effect, REM_LEVEL_NONE, 0, NULL                      \
    }

const struct rem_directive rem_core_directives[] = {
    {"server", H, REM_ARGS_0 | REM_ARGS_BLOCK, rem_core_set_server_block, REM_LEVEL_NONE, 0, NULL},
    {"location", S | L, REM_ARGS_12 | REM_ARGS_BLOCK, rem_core_set_location_block, REM_LEVEL_NONE,
     0, NULL},
    {"listen", S, REM_ARGS_1MORE, rem_http_listen_set, REM_LEVEL_SERVER, 0, NULL},
    {"server_name", S, REM_ARGS_1MORE, rem_core_set_server_name, REM_LEVEL_SERVER, 0, NULL},

    {"status_zone", S, REM_ARGS_1, rem_status_zone_set_server, REM_LEVEL_SERVER, 0, NULL},
    {"status_zone", LI, REM_ARGS_1, rem_status_zone_set_location, REM_LEVEL_LOCATION, 0, NULL},

    {"client_header_buffer_size", HS, REM_ARGS_1, rem_set_size,
     SERVER_FIELD(client_header_buffer_size), NULL},
    {"large_client_header_buffers", HS, REM_ARGS_2, rem_set_bufs,
     SERVER_FIELD(large_client_header_buffers), NULL},
    {"client_header_timeout", HS, REM_ARGS_1, rem_set_msec, SERVER_FIELD(client_header_timeout),
     NULL},
    {"ignore_invalid_headers", HS, REM_ARGS_FLAG, rem_set_flag,
     SERVER_FIELD(ignore_invalid_headers), NULL},
    {"underscores_in_headers", HS, REM_ARGS_FLAG, rem_set_flag,
     SERVER_FIELD(underscores_in_headers), NULL},
    {"merge_slashes", HS, REM_ARGS_FLAG, rem_set_flag, SERVER_FIELD(merge_slashes), NULL},
    {"max_headers", HS, REM_ARGS_1, rem_set_num, SERVER_FIELD(max_headers), &positive},

    {"root", HSLI, REM_ARGS_1, rem_core_set_root, REM_LEVEL_LOCATION, 0, NULL},
    {"alias", L, REM_ARGS_1, rem_core_set_root, REM_LEVEL_LOCATION, 0, NULL},
    {"types", HSL, REM_ARGS_0 | REM_ARGS_BLOCK, rem_core_set_types, REM_LEVEL_LOCATION, 0, NULL},
    {"default_type", HSL, REM_ARGS_1, rem_set_str, LOCATION_FIELD(default_type), NULL},
    {"sendfile", HSLI, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(sendfile), NULL},
    {"sendfile_max_chunk", HSL, REM_ARGS_1, rem_set_size, LOCATION_FIELD(sendfile_max_chunk), NULL},
    {"etag", HSL, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(etag), NULL},
    {"if_modified_since", HSL, REM_ARGS_1, rem_set_enum, LOCATION_FIELD(if_modified_since),
     ims_choices},
    {"internal", L, REM_ARGS_0, set_internal, REM_LEVEL_LOCATION, 0, NULL},
    {"satisfy", HSL, REM_ARGS_1, rem_set_enum, LOCATION_FIELD(satisfy), satisfy_choices},
    {"auth_delay", HSL, REM_ARGS_1, rem_set_msec, LOCATION_FIELD(auth_delay), NULL},

    {"error_page", HSLI, REM_ARGS_2MORE, rem_core_set_error_page, REM_LEVEL_LOCATION, 0, NULL},
    {"recursive_error_pages", HSL, REM_ARGS_FLAG, rem_set_flag,
     LOCATION_FIELD(recursive_error_pages), NULL},
    {"log_not_found", HSL, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(log_not_found), NULL},
    {"post_action", HSLI, REM_ARGS_1, rem_set_str, LOCATION_FIELD(post_action), NULL},
    {"log_subrequest", HSL, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(log_subrequest), NULL},
    {"error_log", HSL, REM_ARGS_1MORE, rem_error_log_set, LOCATION_FIELD(log), NULL},

    {"client_max_body_size", HSL, REM_ARGS_1, rem_set_off, LOCATION_FIELD(client_max_body_size),
     NULL},
    {"client_body_buffer_size", HSL, REM_ARGS_1, rem_set_size,
     LOCATION_FIELD(client_body_buffer_size), NULL},
    {"client_body_timeout", HSL, REM_ARGS_1, rem_set_msec, LOCATION_FIELD(client_body_timeout),
     NULL},
    {"client_body_in_file_only", HSL, REM_ARGS_1, rem_set_enum,
     LOCATION_FIELD(client_body_in_file_only), in_file_choices},
    {"client_body_in_single_buffer", HSL, REM_ARGS_FLAG, set_single_buffer, REM_LEVEL_NONE, 0,
     NULL},
    {"client_body_temp_path", HSL, REM_ARGS_1234, set_temp_path,
     LOCATION_FIELD(client_body_temp_path), NULL},

    {"send_timeout", HSL, REM_ARGS_1, rem_set_msec, LOCATION_FIELD(send_timeout), NULL},
    {"keepalive_timeout", HSL, REM_ARGS_12, set_keepalive_timeout, REM_LEVEL_LOCATION, 0, NULL},
    {"keepalive_requests", HSL, REM_ARGS_1, rem_set_num, LOCATION_FIELD(keepalive_requests),
     &natural},
    {"keepalive_time", HSL, REM_ARGS_1, rem_set_msec, LOCATION_FIELD(keepalive_time), NULL},
    {"keepalive_disable", HSL, REM_ARGS_12, rem_set_bitmask, LOCATION_FIELD(keepalive_disable),
     no_keepalive_choices},
    {"lingering_close", HSL, REM_ARGS_1, rem_set_enum, LOCATION_FIELD(lingering_close),
     lingering_choices},
    {"lingering_time", HSL, REM_ARGS_1, rem_set_msec, LOCATION_FIELD(lingering_time), NULL},
    {"lingering_timeout", HSL, REM_ARGS_1, rem_set_msec, LOCATION_FIELD(lingering_timeout), NULL},
    {"reset_timedout_connection", HSL, REM_ARGS_FLAG, rem_set_flag,
     LOCATION_FIELD(reset_timedout_connection), NULL},
    {"tcp_nopush", HSL, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(tcp_nopush), NULL},
    {"tcp_nodelay", HSL, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(tcp_nodelay), NULL},
    {"output_buffers", HSL, REM_ARGS_2, rem_set_bufs, LOCATION_FIELD(output_buffers), NULL},
    {"postpone_output", HSL, REM_ARGS_1, rem_set_size, LOCATION_FIELD(postpone_output), NULL},

    {"server_tokens", HSL, REM_ARGS_1, rem_set_enum, LOCATION_FIELD(server_tokens), token_choices},
    {"chunked_transfer_encoding", HSL, REM_ARGS_FLAG, rem_set_flag,
     LOCATION_FIELD(chunked_transfer_encoding), NULL},
    {"absolute_redirect", HSL, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(absolute_redirect),
     NULL},
    {"port_in_redirect", HSL, REM_ARGS_FLAG, rem_set_flag, LOCATION_FIELD(port_in_redirect), NULL},
    {"server_name_in_redirect", HSL, REM_ARGS_FLAG, rem_set_flag,
     LOCATION_FIELD(server_name_in_redirect), NULL},

    /* Hash tables size themselves, memory comes in blocks of one size, files are read by the
     * kernel as it thinks best. */
    WITHOUT_EFFECT("variables_hash_max_size", H, REM_ARGS_1),
    WITHOUT_EFFECT("variables_hash_bucket_size", H, REM_ARGS_1),
    WITHOUT_EFFECT("server_names_hash_max_size", H, REM_ARGS_1),
    WITHOUT_EFFECT("server_names_hash_bucket_size", H, REM_ARGS_1),
    WITHOUT_EFFECT("override_charset", HSLI, REM_ARGS_FLAG),
    WITHOUT_EFFECT("types_hash_max_size", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("types_hash_bucket_size", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("connection_pool_size", HS, REM_ARGS_1),
    WITHOUT_EFFECT("request_pool_size", HS, REM_ARGS_1),
    WITHOUT_EFFECT("read_ahead", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("send_lowat", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("subrequest_output_buffer_size", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("aio", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("aio_write", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("directio", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("directio_alignment", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("msie_padding", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("msie_refresh", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("fastcgi_temp_path", HSL, REM_ARGS_1234),
    WITHOUT_EFFECT("uwsgi_temp_path", HSL, REM_ARGS_1234),
    WITHOUT_EFFECT("scgi_temp_path", HSL, REM_ARGS_1234),
    REM_DIRECTIVE_END,
};
