/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store_text.h"

#include "api/json.h"
#include "proto/shm/keyval.h"

#include <inttypes.h>
#include <stddef.h>

#define UPSTREAM(name, member)                                                                     \
    {                                                                                              \
        name, offsetof(struct rem_upstream_spec, member)                                           \
    }
#define SERVER(name)                                                                               \
    {                                                                                              \
#name, offsetof(struct rem_server_spec, name)                                              \
    }

const struct rem_store_field rem_store_upstream_fields[] = {
    UPSTREAM("method", method),
    UPSTREAM("method_flags", method_flags),
    UPSTREAM("sticky", sticky),
    UPSTREAM("keepalive", keepalive.connections),
    UPSTREAM("keepalive_requests", keepalive.requests),
    UPSTREAM("keepalive_timeout_ms", keepalive.timeout_ms),
    UPSTREAM("keepalive_time_ms", keepalive.time_ms),
    UPSTREAM("max_connections", limits.max_connections),
    UPSTREAM("max_pending", limits.max_pending),
    UPSTREAM("max_requests", limits.max_requests),
    UPSTREAM("max_retries", limits.max_retries),
    UPSTREAM("retry_budget_percent", limits.retry_budget_percent),
    UPSTREAM("retry_budget_min", limits.retry_budget_min),
    UPSTREAM("consecutive_5xx", outlier.consecutive_5xx),
    UPSTREAM("consecutive_gateway", outlier.consecutive_gateway),
    UPSTREAM("interval_ms", outlier.interval_ms),
    UPSTREAM("base_ejection_ms", outlier.base_ejection_ms),
    UPSTREAM("max_ejection_ms", outlier.max_ejection_ms),
    UPSTREAM("max_ejection_percent", outlier.max_ejection_percent),
    UPSTREAM("success_rate_min_hosts", outlier.success_rate_min_hosts),
    UPSTREAM("success_rate_requests", outlier.success_rate_requests),
    UPSTREAM("success_rate_stdev_factor", outlier.success_rate_stdev_factor),
    {NULL, 0},
};

const struct rem_store_field rem_store_server_fields[] = {
    SERVER(weight),        SERVER(max_conns), SERVER(max_fails), SERVER(fail_timeout_ms),
    SERVER(slow_start_ms), SERVER(parent),    {NULL, 0},
};

/* ---- values ---- */

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void rem_store_text_string(struct rem_str s, struct rem_sbuf *out)
{
    size_t from = 0;

    rem_sbuf_addc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (is_plain((unsigned char)s.p[i]))
            continue;
        rem_sbuf_add(out, rem_str_make(s.p + from, i - from));
        rem_sbuf_addf(out, "\\u%04x", (unsigned)(unsigned char)s.p[i]);
        from = i + 1;
    }
    rem_sbuf_add(out, rem_str_make(s.p + from, s.n - from));
    rem_sbuf_addc(out, '"');
}

static void add_text(const char *key, struct rem_str s, struct rem_sbuf *out)
{
    if (s.n == 0)
        return;
    rem_json_put_key(out, key);
    rem_store_text_string(s, out);
}

/* Base64 (RFC 4648, section 4), with padding. */
static void add_bytes(struct rem_str s, struct rem_sbuf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t bits = 0;
        char four[4];
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            four[k] = i + k <= s.n ? digits[bits >> (18 - 6 * k) & 63] : '=';
        rem_sbuf_add(out, rem_str_make(four, 4));
    }
}

/* ---- objects ---- */

static void add_server(const struct rem_server_spec *server, struct rem_sbuf *out)
{
    struct rem_server_spec usual;
    char addr[REM_ADDR_TEXT];
    struct rem_str text = rem_str_make(addr, rem_addr_text(&server->addr, addr, sizeof(addr)));

    rem_server_spec_init(&usual);
    rem_sbuf_adds(out, "\n{\"id\":");
    rem_json_put_number(out, server->id);
    add_text("server", text, out);
    if (!rem_str_eq(server->server, text))
        add_text("shown", server->server, out);
    if (!rem_str_eq(server->name, text))
        add_text("name", server->name, out);
    for (const struct rem_store_field *field = rem_store_server_fields; field->name != NULL;
         field++) {
        uint32_t n = rem_store_number_of(server, field);
        if (n == rem_store_number_of(&usual, field))
            continue;
        rem_json_put_key(out, field->name);
        rem_json_put_number(out, n);
    }
    add_text("fail_timeout", server->fail_timeout_text, out);
    add_text("slow_start", server->slow_start_text, out);
    add_text("route", server->route, out);
    if (server->flags & REM_SERVER_BACKUP)
        rem_sbuf_adds(out, ",\"backup\":true");
    if (server->flags & REM_SERVER_DOWN)
        rem_sbuf_adds(out, ",\"down\":true");
    if (server->flags & REM_SERVER_DRAIN)
        rem_sbuf_adds(out, ",\"drain\":true");
    rem_sbuf_addc(out, '}');
}

void rem_store_text_upstream(const struct rem_upstream_spec *spec, struct rem_str changes,
                             struct rem_sbuf *out)
{
    rem_sbuf_adds(out, "{\"name\":");
    rem_store_text_string(spec->name, out);
    add_text("changes", changes, out);
    rem_sbuf_addf(out, ",\"config_hash\":\"%016" PRIx64 "\",\"flags\":%u", spec->config_hash,
                  spec->flags);
    add_text("zone", spec->zone, out);
    rem_json_put_key(out, "zone_size");
    rem_json_put_number(out, spec->zone_size);
    for (const struct rem_store_field *field = rem_store_upstream_fields; field->name != NULL;
         field++) {
        uint32_t n = rem_store_number_of(spec, field);
        if (n == 0)
            continue;
        rem_json_put_key(out, field->name);
        rem_json_put_number(out, n);
    }
    rem_sbuf_adds(out, ",\"servers\":[");
    for (size_t i = 0; i < spec->server_count; i++) {
        if (i != 0)
            rem_sbuf_addc(out, ',');
        add_server(&spec->servers[i], out);
    }
    rem_sbuf_adds(out, "]}");
}

static unsigned keyval_type(struct rem_str bytes)
{
    unsigned type = 0;

    while (type < REM_KEYVAL_TYPES && !rem_keyval_valid(bytes, (enum rem_keyval_type)type))
        type++;
    return type;
}

static void add_entries(struct rem_str bytes, struct rem_sbuf *out)
{
    size_t count = rem_keyval_count(bytes);

    rem_sbuf_addf(out, ",\"type\":%u,\"entries\":[", keyval_type(bytes));
    for (size_t i = 0; i < count; i++) {
        struct rem_keyval_entry entry;
        rem_keyval_at(bytes, i, &entry);
        rem_sbuf_adds(out, i == 0 ? "\n[" : ",\n[");
        rem_store_text_string(entry.key, out);
        rem_sbuf_addc(out, ',');
        rem_store_text_string(entry.value, out);
        rem_sbuf_addc(out, ',');
        rem_json_put_number(out, entry.expires_ms);
        rem_sbuf_addc(out, ']');
    }
    rem_sbuf_addc(out, ']');
}

void rem_store_text_table(const struct rem_table *table, struct rem_sbuf *out)
{
    rem_sbuf_addf(out, "{\"kind\":%u,\"name\":", (unsigned)table->kind);
    rem_store_text_string(table->name, out);
    rem_sbuf_addf(out, ",\"config_hash\":\"%016" PRIx64 "\"", table->config_hash);
    if (table->kind == REM_TABLE_KEYVAL) {
        add_entries(table->bytes, out);
    } else {
        rem_sbuf_adds(out, ",\"bytes\":\"");
        add_bytes(table->bytes, out);
        rem_sbuf_addc(out, '"');
    }
    rem_sbuf_addc(out, '}');
}

void rem_store_text_drop(const struct rem_store_drop *drop, struct rem_sbuf *out)
{
    rem_sbuf_adds(out, "{\"name\":");
    rem_store_text_string(drop->name, out);
    rem_sbuf_addf(out, ",\"sec\":%" PRId64, drop->sec);
    add_text("why", drop->why, out);
    add_text("changes", drop->changes, out);
    rem_sbuf_addc(out, '}');
}

void rem_store_text_end(struct rem_sbuf *out)
{
    uint64_t digest = rem_hash(out->p, out->n);

    rem_sbuf_addf(out, ",\n\"digest\":\"%016" PRIx64 "\"}\n", digest);
}
