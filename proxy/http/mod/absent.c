/* SPDX-License-Identifier: Apache-2.0 */
/* absent.c - what nginx's configurations say of features that remora does not have, as far as it
 * makes no difference: a feature that is off, details of a cache that is not used, of TLS where no
 * listener has it.  What would make a difference is refused: `proxy_cache ZONE`, `listen ... ssl`,
 * `proxy_pass https://...`.
 *
 * The variables are those that log formats name for all servers; without TLS they are empty in
 * nginx, too.  A map may define them, as there.  */
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"

/* `data` says what is missing. */
static int set_off(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)conf;
    if (rem_str_eq_nocase(cf->args[1], REM_STR("off")))
        return 0;
    return rem_conf_error(cf, "\"%s %.*s\" is not supported: remora has no %s", d->name,
                          REM_STR_ARG(cf->args[1]), (const char *)d->data);
}

/* ---- variables ---- */

static int get_nothing(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)e;
    (void)v;
    return rem_core_var_absent(out);
}

static int add_variables(struct rem_http_setup *setup)
{
    static const char *const names[] = {
        "http2",
        "http3",
        "ssl_alpn_protocol",
        "ssl_cipher",
        "ssl_ciphers",
        "ssl_client_cert",
        "ssl_client_escaped_cert",
        "ssl_client_fingerprint",
        "ssl_client_i_dn",
        "ssl_client_i_dn_legacy",
        "ssl_client_raw_cert",
        "ssl_client_s_dn",
        "ssl_client_s_dn_legacy",
        "ssl_client_serial",
        "ssl_client_v_end",
        "ssl_client_v_remain",
        "ssl_client_v_start",
        "ssl_client_verify",
        "ssl_curve",
        "ssl_curves",
        "ssl_early_data",
        "ssl_protocol",
        "ssl_server_name",
        "ssl_session_id",
        "ssl_session_reused",
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < REM_COUNT(names); i++)
        rc = rem_core_var_define(
            setup->vars,
            &(const struct rem_core_var_def){names[i], get_nothing, NULL, REM_VAR_CHANGEABLE}, 1);
    return rc;
}

/* ---- configuration ---- */

enum {
    HS = REM_CTX_HTTP | REM_CTX_SERVER,
    HSL = HS | REM_CTX_LOCATION,
    HSLI = HSL | REM_CTX_LOCATION_IF,
};

#define OFF(name, contexts, args, what)                                                            \
    {                                                                                              \
        name, contexts, args, set_off, REM_LEVEL_NONE, 0, what                                     \
    }
#define WITHOUT_EFFECT(name, contexts, args)                                                       \
    {                                                                                              \
        name, contexts, args, rem_set_without_effect, REM_LEVEL_NONE, 0, NULL                      \
    }

static const struct rem_directive directives[] = {
    OFF("ssi", HSLI, REM_ARGS_FLAG, "server-side includes"),
    OFF("proxy_cache", HSL, REM_ARGS_1, "cache"),

    WITHOUT_EFFECT("proxy_cache_background_update", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("proxy_cache_bypass", HSL, REM_ARGS_1MORE),
    WITHOUT_EFFECT("proxy_cache_convert_head", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("proxy_cache_key", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_cache_lock", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("proxy_cache_lock_age", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_cache_lock_timeout", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_cache_max_range_offset", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_cache_methods", HSL, REM_ARGS_1MORE),
    WITHOUT_EFFECT("proxy_cache_min_uses", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_cache_revalidate", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("proxy_cache_use_stale", HSL, REM_ARGS_1MORE),
    WITHOUT_EFFECT("proxy_cache_valid", HSL, REM_ARGS_1MORE),
    WITHOUT_EFFECT("proxy_no_cache", HSL, REM_ARGS_1MORE),

    WITHOUT_EFFECT("proxy_ssl_certificate", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_ssl_certificate_key", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_ssl_ciphers", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_ssl_name", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_ssl_protocols", HSL, REM_ARGS_1MORE),
    WITHOUT_EFFECT("proxy_ssl_server_name", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("proxy_ssl_session_reuse", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("proxy_ssl_trusted_certificate", HSL, REM_ARGS_1),
    WITHOUT_EFFECT("proxy_ssl_verify", HSL, REM_ARGS_FLAG),
    WITHOUT_EFFECT("proxy_ssl_verify_depth", HSL, REM_ARGS_1),

    WITHOUT_EFFECT("ssl_buffer_size", HS, REM_ARGS_1),
    WITHOUT_EFFECT("ssl_certificate", HS, REM_ARGS_1),
    WITHOUT_EFFECT("ssl_certificate_key", HS, REM_ARGS_1),
    WITHOUT_EFFECT("ssl_ciphers", HS, REM_ARGS_1),
    WITHOUT_EFFECT("ssl_dhparam", HS, REM_ARGS_1),
    WITHOUT_EFFECT("ssl_early_data", HS, REM_ARGS_FLAG),
    WITHOUT_EFFECT("ssl_ecdh_curve", HS, REM_ARGS_1),
    WITHOUT_EFFECT("ssl_prefer_server_ciphers", HS, REM_ARGS_FLAG),
    WITHOUT_EFFECT("ssl_protocols", HS, REM_ARGS_1MORE),
    WITHOUT_EFFECT("ssl_session_cache", HS, REM_ARGS_12),
    WITHOUT_EFFECT("ssl_session_tickets", HS, REM_ARGS_FLAG),
    WITHOUT_EFFECT("ssl_session_timeout", HS, REM_ARGS_1),
    WITHOUT_EFFECT("ssl_stapling", HS, REM_ARGS_FLAG),
    WITHOUT_EFFECT("ssl_stapling_verify", HS, REM_ARGS_FLAG),
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.variables = add_variables};

extern struct rem_module rem_absent_module;

struct rem_module rem_absent_module = {
    .name = "absent",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .hooks = &hooks,
};
