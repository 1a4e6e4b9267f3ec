/* SPDX-License-Identifier: Apache-2.0 */
/* Servers as JSON text, without a tree in between: sets are large, and changes of one frequent. */
#include "api/server_json.h"

static void put_time(struct rem_sbuf *out, struct rem_str name, struct rem_str spelling,
                     uint32_t ms)
{
    char text[32];

    if (spelling.n == 0)
        spelling = rem_str_make(text, rem_spec_duration_text(ms, text, sizeof(text)));
    rem_json_put_text(out, name, spelling);
}

static void put_address(struct rem_sbuf *out, const struct rem_server_spec *spec)
{
    char text[REM_ADDR_TEXT];
    struct rem_str address = spec->server;

    if (address.n == 0)
        address = rem_str_make(text, rem_addr_text(&spec->addr, text, sizeof(text)));
    rem_json_put_text(out, REM_JSON_KEY("server"), address);
}

/* What it was found for. */
static void put_parent(struct rem_sbuf *out, const struct rem_server_spec *spec, uint64_t first)
{
    rem_sbuf_add(out, REM_JSON_KEY("parent"));
    if (first != 0)
        rem_sbuf_addc(out, '"');
    rem_json_put_number(out, first + spec->parent - 1);
    if (first != 0)
        rem_sbuf_addc(out, '"');
    rem_json_put_text(out, REM_JSON_KEY("host"), spec->name);
}

void rem_server_json_put_open(struct rem_sbuf *out, const struct rem_server_spec *spec,
                              uint64_t first_parent)
{
    bool drain = spec->flags & REM_SERVER_DRAIN;

    rem_json_put_count(out, REM_STR("{\"id\":"), spec->id);
    put_address(out, spec);
    rem_json_put_count(out, REM_JSON_KEY("weight"), spec->weight);
    rem_json_put_count(out, REM_JSON_KEY("max_conns"), spec->max_conns);
    rem_json_put_count(out, REM_JSON_KEY("max_fails"), spec->max_fails);
    put_time(out, REM_JSON_KEY("fail_timeout"), spec->fail_timeout_text, spec->fail_timeout_ms);
    put_time(out, REM_JSON_KEY("slow_start"), spec->slow_start_text, spec->slow_start_ms);
    rem_json_put_text(out, REM_JSON_KEY("route"), spec->route);
    rem_json_put_flag(out, REM_JSON_KEY("backup"), spec->flags & REM_SERVER_BACKUP);
    rem_json_put_flag(out, REM_JSON_KEY("down"), (spec->flags & REM_SERVER_DOWN) && !drain);
    if (spec->parent != 0)
        put_parent(out, spec, first_parent);
    if (spec->service.n != 0)
        rem_json_put_text(out, REM_JSON_KEY("service"), spec->service);
    if (drain)
        rem_json_put_flag(out, REM_JSON_KEY("drain"), true);
}

void rem_server_json_put(struct rem_sbuf *out, const struct rem_server_spec *spec,
                         uint64_t first_parent)
{
    rem_server_json_put_open(out, spec, first_parent);
    rem_sbuf_addc(out, '}');
}

void rem_server_json_put_list(struct rem_sbuf *out, const struct rem_server_spec *specs,
                              size_t count, uint64_t first_parent)
{
    for (size_t i = 0; i < count; i++) {
        if (i != 0)
            rem_sbuf_addc(out, ',');
        rem_server_json_put(out, &specs[i], first_parent);
    }
}
