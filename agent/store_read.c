/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store_read.h"

#include "proto/base/base64.h"
#include "proto/shm/keyval.h"
#include "proto/shm/split.h"
#include "proto/shm/state_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

struct reading {
    struct rem_arena *arena;
    struct rem_err *err;
};

static int broken(struct reading *in, const char *what)
{
    return rem_err_set(in->err, REM_EPROTO, "%s", what);
}

static int no_memory(struct reading *in)
{
    return rem_err_set(in->err, REM_ENOMEM, "out of memory");
}

/* ---- values ---- */

/* A member's text as bytes; one that is missing is empty. */
static int read_text(struct reading *in, const json_t *object, const char *key, struct rem_str *out)
{
    const json_t *value = json_object_get(object, key);
    const char *from = json_string_value(value), *end;
    char *to;

    *out = REM_STR("");
    if (value == NULL)
        return REM_OK;
    if (from == NULL)
        return broken(in, "a text is none");
    to = rem_arena_alloc(in->arena, json_string_length(value) + 1);
    if (to == NULL)
        return no_memory(in);
    out->p = to;
    end = from + json_string_length(value);
    while (from < end) {
        unsigned char c = (unsigned char)*from++;
        if (c >= 0x80) { /* U+0080 to U+00FF have two bytes, the first C2 or C3 */
            if (c > 0xc3 || from == end)
                return broken(in, "a text has characters that are no bytes");
            c = (unsigned char)(c << 6 | ((unsigned char)*from++ & 0x3f));
        }
        *to++ = (char)c;
    }
    *to = '\0';
    out->n = (size_t)(to - out->p);
    return REM_OK;
}

static int read_u64(struct reading *in, const json_t *object, const char *key, uint64_t max,
                    uint64_t *out)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL)
        return REM_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max)
        return broken(in, "a number is none, or out of range");
    *out = (uint64_t)json_integer_value(value);
    return REM_OK;
}

static int read_fields(struct reading *in, const json_t *object,
                       const struct rem_store_field *fields, void *spec)
{
    for (; fields->name != NULL; fields++) {
        uint64_t n = rem_store_number_of(spec, fields);
        int rc = read_u64(in, object, fields->name, UINT32_MAX, &n);
        if (rc != REM_OK)
            return rc;
        *rem_store_number(spec, fields) = (uint32_t)n;
    }
    return REM_OK;
}

static int read_hash(struct reading *in, const json_t *object, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(object, "config_hash"));
    char *end;

    if (text == NULL || strlen(text) != 16)
        return broken(in, "a config_hash is none");
    *out = strtoull(text, &end, 16);
    return *end == '\0' ? REM_OK : broken(in, "a config_hash is none");
}

/* Room for what an array holds.  Returns NULL with *rc; an array that is missing is empty. */
static void *room_for(struct reading *in, const json_t *object, const char *key, size_t size,
                      size_t *count, int *rc)
{
    const json_t *array = json_object_get(object, key);
    void *p;

    *count = json_array_size(array);
    *rc = array == NULL || json_is_array(array) ? REM_OK : broken(in, "a list is none");
    if (*rc != REM_OK)
        return NULL;
    p = rem_arena_zalloc(in->arena, *count * size + 1);
    if (p == NULL)
        *rc = no_memory(in);
    return p;
}

/* ---- objects ---- */

static int read_server(struct reading *in, const json_t *object, struct rem_server_spec *out)
{
    struct rem_str addr;
    uint64_t id = REM_ID_NONE;
    int rc;

    rem_server_spec_init(out);
    if (!json_is_object(object))
        return broken(in, "a server is no object");
    rc = read_text(in, object, "server", &addr);
    if (rc == REM_OK && rem_addr_parse(addr, 0, &out->addr) != REM_OK)
        rc = broken(in, "a server has no address");
    out->server = out->name = addr;
    if (rc == REM_OK && json_object_get(object, "shown") != NULL)
        rc = read_text(in, object, "shown", &out->server);
    if (rc == REM_OK && json_object_get(object, "name") != NULL)
        rc = read_text(in, object, "name", &out->name);
    if (rc == REM_OK)
        rc = read_u64(in, object, "id", REM_ID_NONE, &id);
    out->id = (uint32_t)id;
    if (rc == REM_OK)
        rc = read_fields(in, object, rem_store_server_fields, out);
    if (rc == REM_OK)
        rc = read_text(in, object, "fail_timeout", &out->fail_timeout_text);
    if (rc == REM_OK)
        rc = read_text(in, object, "slow_start", &out->slow_start_text);
    if (rc == REM_OK)
        rc = read_text(in, object, "route", &out->route);
    if (json_is_true(json_object_get(object, "backup")))
        out->flags |= REM_SERVER_BACKUP;
    if (json_is_true(json_object_get(object, "down")))
        out->flags |= REM_SERVER_DOWN;
    if (json_is_true(json_object_get(object, "drain")))
        out->flags |= REM_SERVER_DRAIN;
    return rc;
}

static int read_upstream(struct reading *in, const json_t *object, struct rem_upstream_spec *out)
{
    uint64_t flags = 0;
    int rc = json_is_object(object) ? read_text(in, object, "name", &out->name)
                                    : broken(in, "an upstream is no object");

    if (rc == REM_OK && (out->name.n == 0 || out->name.n > REM_UPSTREAM_NAME_MAX))
        rc = broken(in, "an upstream has no name");
    if (rc == REM_OK)
        rc = read_hash(in, object, &out->config_hash);
    if (rc == REM_OK)
        rc = read_u64(in, object, "flags", UINT32_MAX, &flags);
    out->flags = (uint32_t)flags;
    if (rc == REM_OK)
        rc = read_text(in, object, "zone", &out->zone);
    if (rc == REM_OK)
        rc = read_u64(in, object, "zone_size", INT64_MAX, &out->zone_size);
    if (rc == REM_OK)
        rc = read_fields(in, object, rem_store_upstream_fields, out);
    if (rc == REM_OK)
        out->servers =
            room_for(in, object, "servers", sizeof(*out->servers), &out->server_count, &rc);
    for (size_t i = 0; rc == REM_OK && i < out->server_count; i++)
        rc = read_server(in, json_array_get(json_object_get(object, "servers"), i),
                         &out->servers[i]);
    return rc;
}

/* ---- tables; what they hold is aligned as it is in shared memory ---- */

static char *align(char *p)
{
    return p + (64 - (uintptr_t)p % 64) % 64;
}

static int read_bytes(struct reading *in, const json_t *object, struct rem_str *out)
{
    const json_t *value = json_object_get(object, "bytes");
    struct rem_str text = rem_str_make(json_string_value(value), json_string_length(value));
    char *to;

    if (!json_is_string(value))
        return broken(in, "a table has no bytes");
    to = rem_arena_alloc(in->arena, text.n / 4 * 3 + 4 + 64);
    if (to == NULL)
        return no_memory(in);
    to = align(to);
    out->p = to;
    return rem_base64_decode(text, to, &out->n) ? REM_OK : broken(in, "a table's bytes are none");
}

static int put_entry(struct reading *in, struct rem_keyval_edit *edit, json_t *array)
{
    json_t *object = json_pack("{s:O,s:O,s:O}", "key", json_array_get(array, 0), "value",
                               json_array_get(array, 1), "expires", json_array_get(array, 2));
    struct rem_keyval_entry entry = {.expires_ms = 0};
    int rc = object != NULL ? read_text(in, object, "key", &entry.key)
                            : broken(in, "an entry of a zone is none");

    if (rc == REM_OK)
        rc = read_text(in, object, "value", &entry.value);
    if (rc == REM_OK)
        rc = read_u64(in, object, "expires", INT64_MAX, &entry.expires_ms);
    json_decref(object);
    if (rc != REM_OK)
        return rc;
    rc = rem_keyval_edit_put(edit, &entry);
    if (rc == REM_ENOMEM)
        return no_memory(in);
    return rc == REM_OK ? rc : broken(in, "a zone cannot have one of its entries");
}

static int build(struct reading *in, struct rem_keyval_edit *edit, struct rem_str *out)
{
    struct rem_str built;
    char *to;
    int rc = rem_keyval_edit_build(edit, &built);

    if (rc != REM_OK)
        return no_memory(in);
    to = rem_arena_alloc(in->arena, built.n + 64);
    if (to != NULL) {
        to = align(to);
        memcpy(to, built.p, built.n);
        *out = rem_str_make(to, built.n);
    }
    free((void *)(uintptr_t)built.p);
    return to != NULL ? REM_OK : no_memory(in);
}

static int read_entries(struct reading *in, const json_t *object, struct rem_str *out)
{
    const json_t *entries = json_object_get(object, "entries");
    struct rem_keyval_edit edit;
    uint64_t type = REM_KEYVAL_TYPES;
    int rc = read_u64(in, object, "type", REM_KEYVAL_TYPES - 1, &type);

    if (rc == REM_OK && (!json_is_array(entries) || type == REM_KEYVAL_TYPES))
        rc = broken(in, "a zone has no entries");
    if (rc != REM_OK)
        return rc;
    if (rem_keyval_edit_init(&edit, (enum rem_keyval_type)type, REM_STR(""), 0) != REM_OK)
        return no_memory(in);
    for (size_t i = 0; rc == REM_OK && i < json_array_size(entries); i++)
        rc = put_entry(in, &edit, json_array_get(entries, i));
    if (rc == REM_OK)
        rc = build(in, &edit, out);
    rem_keyval_edit_fini(&edit);
    return rc;
}

static int read_table(struct reading *in, const json_t *object, struct rem_table *out)
{
    uint64_t kind = 0;
    int rc = json_is_object(object) ? read_text(in, object, "name", &out->name)
                                    : broken(in, "a table is no object");

    if (rc == REM_OK && (out->name.n == 0 || out->name.n > REM_TABLE_NAME_MAX))
        rc = broken(in, "a table has no name");
    if (rc == REM_OK)
        rc = read_u64(in, object, "kind", UINT8_MAX, &kind);
    out->kind = (enum rem_table_kind)kind;
    if (rc == REM_OK)
        rc = read_hash(in, object, &out->config_hash);
    if (rc != REM_OK)
        return rc;
    if (out->kind == REM_TABLE_KEYVAL)
        return read_entries(in, object, &out->bytes);
    if (out->kind != REM_TABLE_SPLIT && out->kind != REM_TABLE_NAMES)
        return broken(in, "a table is of no kind that is kept");
    rc = read_bytes(in, object, &out->bytes);
    /* Workers trust it; names are read as text each time. */
    if (rc == REM_OK && out->kind == REM_TABLE_SPLIT && !rem_split_sound(out->bytes))
        rc = broken(in, "a table's bytes are no split");
    return rc;
}

/* ---- the lists ---- */

static int read_drop(struct reading *in, const json_t *object, struct rem_store_drop *out)
{
    uint64_t sec = 0;
    int rc = read_u64(in, object, "sec", INT64_MAX, &sec);

    out->sec = (int64_t)sec;
    if (rc == REM_OK)
        rc = read_text(in, object, "name", &out->name);
    if (rc == REM_OK)
        rc = read_text(in, object, "why", &out->why);
    return rc == REM_OK ? read_text(in, object, "changes", &out->changes) : rc;
}

static int read_lists(struct reading *in, const json_t *root, struct rem_store_saved *out)
{
    int rc;

    out->upstreams =
        room_for(in, root, "upstreams", sizeof(*out->upstreams), &out->upstream_count, &rc);
    if (rc == REM_OK)
        out->changes =
            room_for(in, root, "upstreams", sizeof(*out->changes), &out->upstream_count, &rc);
    for (size_t i = 0; rc == REM_OK && i < out->upstream_count; i++) {
        const json_t *object = json_array_get(json_object_get(root, "upstreams"), i);
        rc = read_upstream(in, object, &out->upstreams[i]);
        if (rc == REM_OK)
            rc = read_text(in, object, "changes", &out->changes[i]);
    }
    if (rc == REM_OK)
        out->tables = room_for(in, root, "tables", sizeof(*out->tables), &out->table_count, &rc);
    for (size_t i = 0; rc == REM_OK && i < out->table_count; i++)
        rc = read_table(in, json_array_get(json_object_get(root, "tables"), i), &out->tables[i]);
    if (rc == REM_OK)
        out->drops = room_for(in, root, "dropped", sizeof(*out->drops), &out->drop_count, &rc);
    for (size_t i = 0; rc == REM_OK && i < out->drop_count; i++)
        rc = read_drop(in, json_array_get(json_object_get(root, "dropped"), i), &out->drops[i]);
    return rc;
}

/* ---- the whole ---- */

/* Is the digest that of what stands before it? */
static bool digest_ok(struct rem_str text, const char *digest)
{
    struct rem_sbuf end;
    bool ok;

    rem_sbuf_init(&end);
    rem_sbuf_addf(&end, ",\n\"digest\":\"%s\"}\n", digest);
    ok = !end.failed && text.n > end.n && memcmp(text.p + text.n - end.n, end.p, end.n) == 0;
    if (ok) {
        char wanted[17];
        (void)snprintf(wanted, sizeof(wanted), "%016" PRIx64, rem_hash(text.p, text.n - end.n));
        ok = strcmp(wanted, digest) == 0;
    }
    rem_sbuf_fini(&end);
    return ok;
}

static int read_root(struct reading *in, struct rem_str text, const json_t *root,
                     struct rem_store_saved *out)
{
    const json_t *version = json_object_get(root, "remora_state");
    const char *digest = json_string_value(json_object_get(root, "digest"));
    int rc;

    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return broken(in, "it is no state of remora");
    if (json_integer_value(version) > REM_STATE_VERSION)
        return rem_err_set(in->err, REM_EUNSUPPORTED,
                           "it has version %" JSON_INTEGER_FORMAT ", and this remora knows %d",
                           json_integer_value(version), REM_STATE_VERSION);
    out->edited = digest == NULL;
    if (digest != NULL && !digest_ok(text, digest))
        return broken(in, "its digest is wrong");
    rc = read_u64(in, root, "revision", INT64_MAX, &out->revision);
    if (rc == REM_OK)
        rc = read_u64(in, root, "reserved", INT64_MAX, &out->reserved);
    if (out->reserved < out->revision)
        out->reserved = out->revision;
    return rc == REM_OK ? read_lists(in, root, out) : rc;
}

int rem_store_read(struct rem_str text, struct rem_arena *arena, struct rem_store_saved *out,
                   struct rem_err *err)
{
    struct reading in = {.arena = arena, .err = err};
    json_error_t error;
    json_t *root = json_loadb(text.n != 0 ? text.p : "", text.n,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    int rc;

    *out = (struct rem_store_saved){.hash = rem_hash(text.p, text.n)};
    if (root == NULL)
        return rem_err_set(err, REM_EPROTO, "line %d: %s", error.line, error.text);
    rc = read_root(&in, text, root, out);
    json_decref(root);
    return rc;
}

int rem_store_read_file(const char *path, struct rem_arena *arena, struct rem_store_saved *out,
                        struct rem_err *err)
{
    struct rem_sbuf text;
    int rc;

    rem_sbuf_init(&text);
    rc = rem_state_file_read(path, REM_STORE_FILE_MAX, &text);
    if (rc == REM_OK)
        rc = rem_store_read(rem_sbuf_str(&text), arena, out, err);
    else if (rc == REM_EIO)
        rc = rem_err_set(err, REM_EPROTO, "cannot read it: %s", strerror(errno));
    else if (rc != REM_ENOTFOUND)
        rc = rem_err_set(err, rc == REM_ENOMEM ? rc : REM_EPROTO, "%s", rem_err_text(rc));
    rem_sbuf_fini(&text);
    return rc;
}
