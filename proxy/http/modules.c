/* SPDX-License-Identifier: Apache-2.0 */
/* modules.c - all modules, in order: the order of configuration, of phase handlers and of filters.
 *
 * Modules of the main level come first; then `http`, whose block reads those of kind HTTP.  Header
 * and body filters run in the same order: what comes later in it sees what came earlier.  */
#include "proxy/http/http.h"

/* Declared here alone: nobody else needs to know who takes part. */
extern struct rem_module rem_core_module;
extern struct rem_module rem_events_module;
extern struct rem_module rem_admin_module;
extern struct rem_module rem_http_module;
extern struct rem_module rem_http_core_module;
extern struct rem_module rem_log_module;
extern struct rem_module rem_proxy_protocol_module;
extern struct rem_module rem_realip_module;
extern struct rem_module rem_limit_req_module;
extern struct rem_module rem_limit_conn_module;
extern struct rem_module rem_access_module;
extern struct rem_module rem_auth_basic_module;
extern struct rem_module rem_stub_status_module;
extern struct rem_module rem_rewrite_module;
extern struct rem_module rem_try_files_module;
extern struct rem_module rem_resolver_module;
extern struct rem_module rem_upstream_module;
extern struct rem_module rem_early_hints_module;
extern struct rem_module rem_balance_module;
extern struct rem_module rem_limits_module;
extern struct rem_module rem_sticky_module;
extern struct rem_module rem_proxy_module;
extern struct rem_module rem_api_module;
extern struct rem_module rem_check_module;
extern struct rem_module rem_index_module;
extern struct rem_module rem_autoindex_module;
extern struct rem_module rem_gzip_static_module;
extern struct rem_module rem_file_module;
extern struct rem_module rem_static_module;
extern struct rem_module rem_auth_request_module;
extern struct rem_module rem_mirror_module;
extern struct rem_module rem_addition_module;
extern struct rem_module rem_charset_module;
extern struct rem_module rem_order_module;
extern struct rem_module rem_not_modified_module;
extern struct rem_module rem_headers_module;
extern struct rem_module rem_gunzip_module;
extern struct rem_module rem_sub_module;
extern struct rem_module rem_gzip_accept_module;
extern struct rem_module rem_gzip_module;
extern struct rem_module rem_range_module;
extern struct rem_module rem_limit_rate_module;
extern struct rem_module rem_map_module;
extern struct rem_module rem_geo_module;
extern struct rem_module rem_split_clients_module;
extern struct rem_module rem_keyval_module;
extern struct rem_module rem_limit_except_module;
extern struct rem_module rem_referer_module;
extern struct rem_module rem_expires_module;
extern struct rem_module rem_absent_module;

/* clang-format off */
struct rem_module *const rem_modules[] = {
    &rem_core_module,
    &rem_events_module,
    &rem_admin_module,
    &rem_http_module,

    &rem_http_core_module,
    &rem_log_module,
    &rem_proxy_protocol_module,
    &rem_realip_module,
    &rem_limit_req_module,
    &rem_limit_conn_module,
    &rem_access_module,
    &rem_auth_basic_module,
    &rem_stub_status_module,
    &rem_resolver_module,
    &rem_upstream_module,
    &rem_early_hints_module,
    &rem_balance_module,
    &rem_limits_module,
    &rem_sticky_module,
    &rem_map_module,
    &rem_geo_module,
    &rem_split_clients_module,
    &rem_keyval_module,
    &rem_referer_module,
    &rem_limit_except_module,
    &rem_rewrite_module,
    &rem_auth_request_module,
    &rem_try_files_module,
    &rem_mirror_module,
    &rem_proxy_module,
    &rem_file_module,
    &rem_api_module,
    &rem_check_module,
    &rem_index_module,
    &rem_autoindex_module,
    &rem_gzip_static_module,
    &rem_static_module,
    &rem_absent_module,

    /* What filters the response, from the handler to the codec:
     *   not_modified  preconditions, against the content's own date and tag
     *   expires       how long it may be kept
     *   headers       add_header, add_trailer
     *   gunzip        for clients that cannot decompress, and for what follows to look into
     *   sub           sub_filter
     *   addition      other requests' bodies before and behind
     *   charset       named in Content-Type
     *   order         subrequests end here: filters behind it see the client's response as a whole
     *   gzip          what the above have made of it
     *   range         parts of a body that nothing before it changes
     *   limit_rate    how fast the codec may send it */
    &rem_not_modified_module,
    &rem_expires_module,
    &rem_headers_module,
    &rem_gunzip_module,
    &rem_sub_module,
    &rem_addition_module,
    &rem_charset_module,
    &rem_order_module,
    &rem_gzip_accept_module,
    &rem_gzip_module,
    &rem_range_module,
    &rem_limit_rate_module,
    NULL,
};
/* clang-format on */
