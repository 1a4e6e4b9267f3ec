/* SPDX-License-Identifier: Apache-2.0 */
/* Steps about single servers: the published set and a few edits of it stand for the list, as long
 * as nobody asks for the list itself. */
#include "proto/shm/writer_priv.h"

enum { EDITS_MAX = 64 };

/* Where a server is. */
struct place {
    struct rem_server_edit *edit; /* NULL: in the base, or in the list */
    uint32_t at;                  /* in the base, or in the list of a full item */
};

static bool find_edit(const struct rem_change_item *item, uint32_t id, struct rem_server_edit **out)
{
    for (uint32_t i = 0; i < item->edit_count; i++) {
        if (item->edits[i].spec.id != id)
            continue;
        *out = &item->edits[i];
        return true;
    }
    return false;
}

/* Errors: REM_ENOTFOUND, REM_ENOMEM. */
static int find_server(struct rem_change_item *item, uint32_t id, struct place *out)
{
    *out = (struct place){.at = REM_SHM_NONE};
    if (item->full)
        return rem_change_keys_find(item, &(struct rem_change_key){.kind = REM_KEY_ID, .id = id},
                                    &out->at);
    if (find_edit(item, id, &out->edit)) {
        out->at = out->edit->at;
        return out->edit->spec.weight != 0 ? REM_OK : REM_ENOTFOUND;
    }
    out->at = rem_writer_server_at(item->base, id);
    return out->at != REM_SHM_NONE ? REM_OK : REM_ENOTFOUND;
}

static void read_server(const struct rem_change_item *item, const struct place *place,
                        struct rem_server_spec *out)
{
    if (item->full)
        *out = item->spec.servers[place->at];
    else if (place->edit != NULL)
        *out = place->edit->spec;
    else
        rem_writer_server_spec(item->base, rem_set_server(item->base, place->at), out);
}

/* The item of an existing upstream.  Errors: REM_ENOTFOUND, REM_ENOMEM. */
static int item_of(struct rem_change *change, struct rem_str name, struct rem_change_item **out)
{
    int rc = rem_change_item(change, name, out);

    return rc == REM_OK && !(*out)->exists ? REM_ENOTFOUND : rc;
}

int rem_change_server_get(struct rem_change *change, struct rem_str name, uint32_t id,
                          struct rem_server_spec *out)
{
    struct rem_change_item *item;
    struct place place;
    int rc = item_of(change, name, &item);

    if (rc == REM_OK)
        rc = find_server(item, id, &place);
    if (rc == REM_OK)
        read_server(item, &place, out);
    return rc;
}

static bool shown_as(const struct rem_server_spec *server, struct rem_str text)
{
    char made[REM_ADDR_TEXT];

    if (server->weight == 0) /* removed */
        return false;
    if (server->server.n != 0)
        return rem_str_eq(server->server, text);
    return rem_str_eq(rem_str_make(made, rem_addr_text(&server->addr, made, sizeof(made))), text);
}

/* In the list as base and edits make it. */
static bool find_shown(const struct rem_change_item *item, struct rem_str text, uint32_t *out_id)
{
    const struct rem_shm_set *base = item->base;
    struct rem_server_edit *edit;

    for (uint32_t i = 0; i < base->count; i++) {
        const struct rem_shm_server *server = rem_set_server(base, i);

        *out_id = server->id;
        if (item->edit_count != 0 && find_edit(item, server->id, &edit)
                ? shown_as(&edit->spec, text)
                : rem_str_eq(rem_set_text(base, server->server), text))
            return true;
    }
    for (uint32_t i = 0; i < item->edit_count; i++) {
        *out_id = item->edits[i].spec.id;
        if (item->edits[i].at == REM_SHM_NONE && shown_as(&item->edits[i].spec, text))
            return true;
    }
    return false;
}

int rem_change_server_find(struct rem_change *change, struct rem_str name, struct rem_str text,
                           uint32_t *out_id)
{
    struct rem_change_item *item;
    uint32_t id = 0;
    int rc = item_of(change, name, &item);

    if (rc != REM_OK)
        return rc;
    if (!item->full && !find_shown(item, text, &id))
        return REM_ENOTFOUND;
    if (item->full) {
        uint32_t at;
        rc = rem_change_keys_find(
            item, &(struct rem_change_key){.kind = REM_KEY_TEXT, .text = text}, &at);
        if (rc != REM_OK)
            return rc;
        id = item->spec.servers[at].id;
    }
    *out_id = id;
    return REM_OK;
}

/* ---- does another server have the address? ---- */

static bool base_has(const struct rem_change_item *item, const struct rem_addr *addr, uint32_t id)
{
    const struct rem_shm_set *base = item->base;
    struct rem_server_edit *edit;

    for (uint32_t i = 0; i < base->count; i++) {
        const struct rem_shm_server *server = rem_set_server(base, i);
        struct rem_addr other;

        if (server->addr_len != addr->len || server->id == id)
            continue;
        rem_set_addr(base, server, &other);
        if (rem_addr_eq(&other, addr) && !find_edit(item, server->id, &edit))
            return true;
    }
    return false;
}

static bool edits_have(const struct rem_change_item *item, const struct rem_addr *addr, uint32_t id)
{
    for (uint32_t i = 0; i < item->edit_count; i++) {
        const struct rem_server_spec *spec = &item->edits[i].spec;

        if (spec->weight != 0 && spec->id != id && rem_addr_eq(&spec->addr, addr))
            return true;
    }
    return false;
}

/* Errors: REM_EEXIST, REM_ENOMEM. */
static int check_addr(struct rem_change_item *item, const struct rem_addr *addr, uint32_t id,
                      struct rem_err *err)
{
    const struct rem_change_key key = {.kind = REM_KEY_ADDR, .id = id, .addr = addr};
    char text[REM_ADDR_TEXT];
    uint32_t at;
    int rc = REM_ENOTFOUND;

    if (item->full)
        rc = rem_change_keys_find(item, &key, &at);
    else if (edits_have(item, addr, id) || base_has(item, addr, id))
        rc = REM_OK;
    if (rc == REM_ENOMEM)
        return rem_err_set(err, rc, "out of memory");
    if (rc == REM_ENOTFOUND)
        return REM_OK;
    rem_addr_text(addr, text, sizeof(text));
    return rem_err_set(err, REM_EEXIST, "server \"%s\" occurs twice", text);
}

/* ---- recording ---- */

/* Room for one more in an array in the arena. */
static int grow(struct rem_change *change, void *array, size_t count, size_t each)
{
    void **items = array, *grown;

    if (count != 0 && (count & (count - 1) || count < 4)) /* room is 4, or the next power of two */
        return REM_OK;
    grown = rem_arena_alloc(&change->arena, (count != 0 ? 2 * count : 4) * each);
    if (grown == NULL)
        return REM_ENOMEM;
    if (count != 0)
        memcpy(grown, *items, count * each);
    *items = grown;
    return REM_OK;
}

static int note_id(struct rem_change *change, struct rem_change_item *item, uint32_t id)
{
    if (item->whole)
        return REM_OK;
    if (grow(change, &item->ids, item->id_count, sizeof(*item->ids)) != REM_OK)
        return REM_ENOMEM;
    item->ids[item->id_count++] = id;
    return REM_OK;
}

/* Room for another edit of an item that is not full.  Errors: REM_ENOMEM. */
static int add_edit(struct rem_change *change, struct rem_change_item *item,
                    struct rem_server_edit **out)
{
    if (grow(change, &item->edits, item->edit_count, sizeof(*item->edits)) != REM_OK)
        return REM_ENOMEM;
    *out = &item->edits[item->edit_count];
    return REM_OK;
}

/* Puts a server behind the others of a full item. */
static int append(struct rem_change *change, struct rem_change_item *item,
                  const struct rem_server_spec *server)
{
    size_t count = item->spec.server_count + item->holes;

    if (count >= item->room) {
        size_t room = count < 8 ? 16 : 2 * count;
        struct rem_server_spec *grown = rem_arena_alloc(&change->arena, room * sizeof(*grown));
        if (grown == NULL)
            return REM_ENOMEM;
        if (count != 0)
            memcpy(grown, item->spec.servers, count * sizeof(*grown));
        item->spec.servers = grown;
        item->room = room;
    }
    item->spec.servers[count] = *server;
    item->spec.server_count++;
    rem_change_keys_note(item, count);
    return REM_OK;
}

/* ---- texts ---- */

/* Keeps `now` where it says the same: then nothing is to be copied, here and in the new set. */
static bool keep_text(struct rem_arena *arena, struct rem_str *text, struct rem_str now)
{
    if (text->n == 0 || rem_str_eq(*text, now)) {
        *text = text->n == 0 ? REM_STR("") : now;
        return true;
    }
    *text = rem_arena_dup(arena, *text);
    return text->p != NULL;
}

static int keep_texts(struct rem_arena *arena, struct rem_server_spec *server,
                      const struct rem_server_spec *now)
{
    return keep_text(arena, &server->server, now->server) &&
                   keep_text(arena, &server->name, now->name) &&
                   keep_text(arena, &server->route, now->route) &&
                   keep_text(arena, &server->fail_timeout_text, now->fail_timeout_text) &&
                   keep_text(arena, &server->slow_start_text, now->slow_start_text)
               ? REM_OK
               : REM_ENOMEM;
}

/* ---- steps ---- */

/* The item of an existing upstream, with its list where there would be too many edits.
 * Errors: REM_ENOTFOUND, REM_ENOMEM. */
static int begin_step(struct rem_change *change, struct rem_str name, struct rem_change_item **out)
{
    int rc = item_of(change, name, out);

    if (rc == REM_OK && !(*out)->full && (*out)->edit_count == EDITS_MAX)
        rc = rem_change_fill(change, *out);
    return rc;
}

static int check_one(const struct rem_change_item *item, const struct rem_server_spec *server,
                     struct rem_err *err)
{
    if (server->flags & REM_SERVER_BACKUP && !rem_balance_has_backups(item->spec.method))
        return rem_err_set(err, REM_EUNSUPPORTED, "the method knows no backup servers");
    return rem_change_check_server(server, err);
}

static int put_at(struct rem_change *change, struct rem_change_item *item, struct place *place,
                  const struct rem_server_spec *server)
{
    struct rem_server_edit *edit = place->edit;

    if (note_id(change, item, server->id) != REM_OK)
        return REM_ENOMEM;
    if (item->full) {
        item->touched = true;
        item->spec.servers[place->at] = *server;
        rem_change_keys_note(item, place->at);
        return REM_OK;
    }
    if (edit == NULL && add_edit(change, item, &edit) != REM_OK)
        return REM_ENOMEM;
    item->touched = true;
    if (place->edit == NULL) {
        edit->at = place->at;
        item->edit_count++;
    }
    edit->spec = *server;
    return REM_OK;
}

int rem_change_server_put(struct rem_change *change, struct rem_str name,
                          const struct rem_server_spec *server, struct rem_err *err)
{
    struct rem_server_spec now, put = *server;
    struct rem_change_item *item;
    struct place place;
    int rc = begin_step(change, name, &item);

    if (rc == REM_OK)
        rc = find_server(item, server->id, &place);
    if (rc != REM_OK)
        return rem_err_set(err, rc, "%s", rem_err_text(rc));
    rc = check_one(item, server, err);
    if (rc != REM_OK)
        return rc;
    read_server(item, &place, &now);
    put.parent = now.parent;
    if (now.parent != 0)
        put.name = now.name;
    if (!rem_addr_eq(&now.addr, &put.addr)) {
        rc = check_addr(item, &put.addr, put.id, err);
        if (rc != REM_OK)
            return rc;
        put.parent = 0; /* no longer one that was found by its name */
        put.name = server->name;
    }
    rc = keep_texts(&change->arena, &put, &now);
    if (rc == REM_OK)
        rc = put_at(change, item, &place, &put);
    return rc == REM_OK ? REM_OK : rem_err_set(err, rc, "out of memory");
}

int rem_change_server_add(struct rem_change *change, struct rem_str name,
                          const struct rem_server_spec *server, uint32_t *out_id,
                          struct rem_err *err)
{
    struct rem_server_spec nothing = {0}, added = *server;
    struct rem_server_edit *edit = NULL;
    struct rem_change_item *item;
    int rc = begin_step(change, name, &item);

    if (rc != REM_OK)
        return rem_err_set(err, rc, "%s", rem_err_text(rc));
    rc = check_one(item, server, err);
    if (rc == REM_OK && item->spec.server_count == REM_UPSTREAM_SERVERS_MAX)
        rc = rem_err_set(err, REM_EINVAL, "more than %d servers", REM_UPSTREAM_SERVERS_MAX);
    if (rc == REM_OK)
        rc = check_addr(item, &added.addr, REM_ID_NONE, err);
    if (rc != REM_OK)
        return rc;
    added.id = item->next_id;
    added.parent = 0;
    rc = keep_texts(&change->arena, &added, &nothing);
    if (rc == REM_OK)
        rc = note_id(change, item, added.id);
    if (rc == REM_OK)
        rc = item->full ? append(change, item, &added) : add_edit(change, item, &edit);
    if (rc != REM_OK)
        return rem_err_set(err, rc, "out of memory");
    if (edit != NULL) {
        *edit = (struct rem_server_edit){.at = REM_SHM_NONE, .spec = added};
        item->edit_count++;
        item->spec.server_count++;
    }
    item->next_id++;
    item->touched = true;
    *out_id = added.id;
    return REM_OK;
}

int rem_change_server_remove(struct rem_change *change, struct rem_str name, uint32_t id)
{
    struct rem_server_spec gone = {.id = id};
    struct rem_change_item *item;
    struct place place;
    int rc = begin_step(change, name, &item);

    if (rc == REM_OK)
        rc = find_server(item, id, &place);
    if (rc != REM_OK)
        return rc;
    if (place.edit != NULL && place.at == REM_SHM_NONE) { /* added by this change */
        size_t index = (size_t)(place.edit - item->edits);
        item->edit_count--;
        memmove(place.edit, place.edit + 1, (item->edit_count - index) * sizeof(*place.edit));
        item->spec.server_count--;
        return note_id(change, item, id);
    }
    rc = put_at(change, item, &place, &gone);
    if (rc != REM_OK)
        return rc;
    item->holes += item->full;
    item->spec.server_count--;
    return REM_OK;
}
