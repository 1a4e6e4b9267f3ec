/* SPDX-License-Identifier: Apache-2.0 */
#include "api/names.h"

#include "api/server_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { HASH_TEXT = 24 };

/* ---- in ---- */

/* Takes a member out of the object; *out is its text, in the arena. */
static bool take_text(json_t *object, const char *key, struct rem_arena *arena, struct rem_str *out)
{
    const json_t *value = json_object_get(object, key);
    bool is_text = json_is_string(value);

    if (is_text)
        *out = rem_arena_dup(arena, rem_json_str(value));
    (void)json_object_del(object, key);
    return is_text && out->p != NULL;
}

static int read_name(json_t *object, struct rem_arena *arena, struct rem_name *out)
{
    json_int_t number = json_integer_value(json_object_get(object, "id"));
    struct rem_server_spec server;
    struct rem_fault fault;
    struct rem_str hash;

    *out = (struct rem_name){.number = (uint32_t)number};
    if (number < REM_NAMES_FIRST || number >= REM_NAMES_ID ||
        !take_text(object, "upstream", arena, &out->upstream) ||
        !take_text(object, "config_hash", arena, &hash))
        return REM_EPROTO;
    out->config_hash = strtoull(hash.p, NULL, 16);
    (void)json_object_del(object, "id");
    if (rem_server_json_parse(object, REM_SERVER_JSON_PLUS_ADD, arena, &server, &fault) != 0 ||
        server.addr.len != 0)
        return REM_EPROTO;
    if (rem_server_spec_copy(arena, &server, &out->server) != 0)
        return REM_ENOMEM;
    out->server.id = REM_NAMES_ID + out->number;
    return 0;
}

int rem_names_read(struct rem_str bytes, struct rem_arena *arena, struct rem_names *out)
{
    json_error_t error = {0};
    json_t *root = bytes.n != 0 ? json_loadb(bytes.p, bytes.n, 0, &error) : json_object();
    const json_t *list = json_object_get(root, "names");
    json_int_t next = json_integer_value(json_object_get(root, "next"));
    size_t count = json_array_size(list);
    int rc = 0;

    if (root == NULL)
        rc = bytes.n == 0 || json_error_code(&error) == json_error_out_of_memory ? REM_ENOMEM
                                                                                 : REM_EPROTO;

    *out = (struct rem_names){.next = REM_NAMES_FIRST};
    out->items = rem_arena_alloc(arena, (count + 1) * sizeof(*out->items));
    if (out->items == NULL) {
        json_decref(root);
        return REM_ENOMEM;
    }
    if (next > REM_NAMES_FIRST && next < REM_NAMES_ID)
        out->next = (uint32_t)next;
    while (rc == 0 && out->count < count) {
        rc = read_name(json_array_get(list, out->count), arena, &out->items[out->count]);
        out->count += rc == 0;
    }
    if (rc != 0)
        out->count = 0;
    json_decref(root);
    return rc;
}

/* ---- out ---- */

static json_t *name_json(const struct rem_name *name)
{
    struct rem_server_spec server = name->server;
    json_t *object;
    char hash[HASH_TEXT];

    server.id = name->number;
    object = rem_server_json_make(&server);
    (void)snprintf(hash, sizeof(hash), "%" PRIx64, name->config_hash);
    if (object != NULL &&
        (json_object_set_new(object, "upstream", rem_json_text(name->upstream)) != 0 ||
         json_object_set_new(object, "config_hash", json_string(hash)) != 0)) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

int rem_names_write(const struct rem_names *names, struct rem_arena *arena, struct rem_str *out)
{
    json_t *list = json_array(), *root;
    size_t size;
    char *text;

    for (size_t i = 0; list != NULL && i < names->count; i++) {
        if (json_array_append_new(list, name_json(&names->items[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    root = json_pack("{s:I,s:o}", "next", (json_int_t)names->next, "names", list);
    size = root != NULL ? json_dumpb(root, NULL, 0, JSON_COMPACT) : 0;
    text = size != 0 ? rem_arena_alloc(arena, size) : NULL;
    if (text != NULL)
        *out = rem_str_make(text, json_dumpb(root, text, size, JSON_COMPACT));
    json_decref(root);
    return text != NULL ? 0 : REM_ENOMEM;
}

/* ---- what they mean ---- */

bool rem_names_holds(const struct rem_name *name, const struct rem_upstream_spec *conf)
{
    return conf != NULL && conf->resolver != NULL && rem_str_eq(conf->name, name->upstream) &&
           (conf->flags & REM_UPSTREAM_STATE || conf->config_hash == name->config_hash);
}

int rem_names_question(const struct rem_name *name, const struct rem_upstream_spec *conf,
                       struct rem_arena *arena, struct rem_resolve_spec *out)
{
    const struct rem_server_spec *server = &name->server;
    struct rem_addr_parts parts;

    if (rem_addr_split(server->server, &parts) != 0 || parts.kind != REM_ADDR_NAME)
        return REM_EINVAL;
    *out = (struct rem_resolve_spec){
        .server = *server,
        .host = parts.host,
        .port = parts.port,
        .resolver = conf->resolver,
        .timeout_ms = conf->resolver_timeout_ms,
    };
    out->server.name = server->server;
    out->server.server = REM_STR(""); /* each shows its address */
    out->server.service = REM_STR("");
    if (server->service.n == 0)
        return 0;
    out->service = rem_spec_service_name(arena, server->service, parts.host);
    return out->service.p != NULL ? 0 : REM_ENOMEM;
}
