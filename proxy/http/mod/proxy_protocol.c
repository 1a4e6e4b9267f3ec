/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_protocol.c - $proxy_protocol_*: what a proxy before us has said about the connection.  */
#include "proto/wire/proxy_protocol.h"
#include "proxy/http/core_var.h"
#include "proxy/http/http.h"

static const char of_client[] = "src", of_server[] = "dst"; /* v->data: which of the two */

static const struct rem_addr *addr_of(const struct rem_proxy_header *proxied,
                                      const struct rem_var *v)
{
    const struct rem_addr *addr;

    if (proxied == NULL)
        return NULL;
    addr = v->data == of_client ? &proxied->src : &proxied->dst;
    return addr->len != 0 ? addr : NULL;
}

static int get_addr(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_proxy_header *proxied = rem_core_var_request(e)->proxied;

    if (addr_of(proxied, v) == NULL)
        return rem_core_var_absent(out);
    return rem_core_var_text(
        out, rem_str_from(v->data == of_client ? proxied->src_text : proxied->dst_text));
}

static int get_port(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_addr *addr = addr_of(rem_core_var_request(e)->proxied, v);

    return addr != NULL ? rem_core_var_number(e, out, rem_addr_port(addr))
                        : rem_core_var_absent(out);
}

/* $proxy_protocol_tlv_NAME and $proxy_protocol_tlv_ssl_NAME. */
static int get_tlv(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_proxy_header *proxied = rem_core_var_request(e)->proxied;
    bool in_ssl = rem_str_has_prefix(v->rest, REM_STR("ssl_"));
    struct rem_str name = rem_str_skip(v->rest, in_ssl ? 4 : 0);
    struct rem_str tlvs, value;
    uint32_t verify;
    uint8_t type;

    if (proxied == NULL)
        return rem_core_var_absent(out);
    tlvs = proxied->tlvs;
    if (in_ssl) {
        if (rem_proxy_tlv(tlvs, 0x20, &value) != REM_OK ||
            rem_proxy_ssl_tlv(value, &verify, &tlvs) != REM_OK)
            return rem_core_var_absent(out);
        if (rem_str_is(name, "verify"))
            return rem_core_var_number(e, out, verify);
    }
    if (rem_proxy_tlv_type(name, in_ssl, &type) != REM_OK ||
        rem_proxy_tlv(tlvs, type, &value) != REM_OK)
        return rem_core_var_absent(out);
    return rem_core_var_text(out, value);
}

static int add_variables(struct rem_http_setup *setup)
{
    static const struct rem_core_var_def defs[] = {
        {"proxy_protocol_addr", get_addr, of_client, 0},
        {"proxy_protocol_port", get_port, of_client, 0},
        {"proxy_protocol_server_addr", get_addr, of_server, 0},
        {"proxy_protocol_server_port", get_port, of_server, 0},
        {"proxy_protocol_tlv_", get_tlv, NULL, REM_VAR_PREFIX},
    };

    return rem_core_var_define(setup->vars, defs, REM_COUNT(defs));
}

static const struct rem_http_hooks hooks = {.variables = add_variables};

extern struct rem_module rem_proxy_protocol_module;

struct rem_module rem_proxy_protocol_module = {
    .name = "proxy_protocol",
    .kind = REM_MODULE_HTTP,
    .hooks = &hooks,
};
