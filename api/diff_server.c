/* SPDX-License-Identifier: Apache-2.0 */
#include "api/diff_server.h"

#include "api/json.h"

static void put_count(struct rem_sbuf *out, const char *name, uint32_t value)
{
    rem_json_put_key(out, name);
    rem_json_put_number(out, value);
}

static void put_time(struct rem_sbuf *out, const char *name, uint32_t ms, struct rem_str spelling)
{
    char text[32];

    rem_json_put_key(out, name);
    if (spelling.n == 0)
        spelling = rem_str_make(text, rem_spec_duration_text(ms, text, sizeof(text)));
    rem_json_put(out, spelling);
}

static void put_flag(struct rem_sbuf *out, const char *name, uint32_t flags, uint32_t flag)
{
    rem_json_put_key(out, name);
    rem_sbuf_adds(out, (flags & flag) != 0 ? "true" : "false");
}

/* The address as it was given, or as it is. */
static struct rem_str address_of(const struct rem_server_spec *server, char text[REM_ADDR_TEXT])
{
    if (server->server.n != 0)
        return server->server;
    return rem_str_make(text, rem_addr_text(&server->addr, text, REM_ADDR_TEXT));
}

static void put_address(struct rem_sbuf *out, const struct rem_server_spec *server)
{
    char text[REM_ADDR_TEXT];

    rem_json_put(out, address_of(server, text));
}

static void put_identity(struct rem_sbuf *out, const struct rem_server_spec *server)
{
    rem_sbuf_adds(out, "{\"id\":");
    rem_json_put_number(out, server->id);
    rem_sbuf_adds(out, ",\"server\":");
    put_address(out, server);
}

static bool same_address(const struct rem_server_spec *a, const struct rem_server_spec *b)
{
    return rem_addr_eq(&a->addr, &b->addr) && rem_str_eq(a->server, b->server);
}

/* Down and drain are shown as the API takes them: one excludes the other. */
static uint32_t shown_flags(const struct rem_server_spec *server)
{
    uint32_t flags = server->flags;

    return flags & REM_SERVER_DRAIN ? flags & ~(uint32_t)REM_SERVER_DOWN : flags;
}

/* The members of `server` that differ in `other`, each behind a comma. */
static void put_differing(struct rem_sbuf *out, const struct rem_server_spec *server,
                          const struct rem_server_spec *other)
{
    uint32_t flags = shown_flags(server), differ = flags ^ shown_flags(other);

    if (server->weight != other->weight)
        put_count(out, "weight", server->weight);
    if (server->max_conns != other->max_conns)
        put_count(out, "max_conns", server->max_conns);
    if (server->max_fails != other->max_fails)
        put_count(out, "max_fails", server->max_fails);
    if (server->fail_timeout_ms != other->fail_timeout_ms)
        put_time(out, "fail_timeout", server->fail_timeout_ms, server->fail_timeout_text);
    if (server->slow_start_ms != other->slow_start_ms)
        put_time(out, "slow_start", server->slow_start_ms, server->slow_start_text);
    if (!rem_str_eq(server->route, other->route)) {
        rem_json_put_key(out, "route");
        rem_json_put(out, server->route);
    }
    if (differ & REM_SERVER_BACKUP)
        put_flag(out, "backup", flags, REM_SERVER_BACKUP);
    if (differ & REM_SERVER_DOWN)
        put_flag(out, "down", flags, REM_SERVER_DOWN);
    if (differ & REM_SERVER_DRAIN)
        put_flag(out, "drain", flags, REM_SERVER_DRAIN);
    if (server->parent != other->parent) {
        rem_json_put_key(out, "parent");
        if (server->parent != 0)
            rem_json_put_number(out, server->parent - 1);
        else
            rem_sbuf_adds(out, "null");
        rem_json_put_key(out, "host");
        rem_json_put(out, server->parent != 0 ? server->name : REM_STR(""));
    }
}

void rem_diff_server_put(struct rem_sbuf *out, const struct rem_server_spec *server, size_t at)
{
    struct rem_server_spec usual;

    rem_server_spec_init(&usual);
    put_identity(out, server);
    if (at != SIZE_MAX) {
        rem_sbuf_adds(out, ",\"at\":");
        rem_json_put_number(out, at);
    }
    put_differing(out, server, &usual);
    rem_sbuf_addc(out, '}');
}

static void put_side(struct rem_sbuf *out, const char *name, const struct rem_server_spec *server,
                     const struct rem_server_spec *other)
{
    size_t at;

    rem_json_put_key(out, name);
    at = out->n;
    if (!same_address(server, other)) {
        rem_sbuf_adds(out, ",\"server\":");
        put_address(out, server);
    }
    put_differing(out, server, other);
    if (out->n == at)
        rem_sbuf_addc(out, '{');
    else if (!out->failed)
        out->p[at] = '{';
    rem_sbuf_addc(out, '}');
}

void rem_diff_server_put_changed(struct rem_sbuf *out, const struct rem_server_spec *before,
                                 const struct rem_server_spec *after)
{
    put_identity(out, after);
    put_side(out, "before", before, after);
    put_side(out, "after", after, before);
    rem_sbuf_addc(out, '}');
}

bool rem_diff_server_same(const struct rem_server_spec *a, const struct rem_server_spec *b)
{
    return a->weight == b->weight && a->max_conns == b->max_conns && a->max_fails == b->max_fails &&
           a->fail_timeout_ms == b->fail_timeout_ms && a->slow_start_ms == b->slow_start_ms &&
           shown_flags(a) == shown_flags(b) && a->parent == b->parent &&
           rem_str_eq(a->route, b->route) && same_address(a, b);
}

bool rem_diff_server_exact(const struct rem_server_spec *before,
                           const struct rem_server_spec *after)
{
    char text[REM_ADDR_TEXT];
    bool host = after == NULL || before->parent != after->parent;
    bool route = after == NULL || !rem_str_eq(before->route, after->route);
    bool address = after == NULL || !same_address(before, after);

    return (!host || before->parent == 0 || rem_json_is_utf8(before->name)) &&
           (!route || rem_json_is_utf8(before->route)) &&
           (!address || rem_json_is_utf8(address_of(before, text)));
}
