/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/reader.h"

#include "proto/shm/codes.h"

#include <stdlib.h>
#include <unistd.h>

/* For counters and hints that stand alone. */
#define LOAD(field)         atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define ADD(field, value)   atomic_fetch_add_explicit(&(field), (value), memory_order_relaxed)

enum { REST_MS = 5000 };

void rem_reader_init(struct rem_reader *reader, const struct rem_region *region, unsigned slot)
{
    *reader = (struct rem_reader){
        .header = region->header,
        .worker = rem_region_worker(region, slot),
        .line = slot & (region->lines - 1),
        .lines = region->lines,
    };
}

void rem_reader_go_online(struct rem_reader *reader)
{
    struct rem_shm_header *header = reader->header;
    /* acquire: whoever sees an epoch sees the root that came before it; pairs with the writer's
     * store of the epoch */
    uint64_t epoch = atomic_load_explicit(&header->epoch, memory_order_acquire);
    uint64_t root;

    /* relaxed, made strong by the fence */
    STORE(reader->worker->seen, epoch);
    /* seq_cst: "I am awake" before "I load the root".  Pairs with the fence that the writer has
     * between its store of the root and its look at `seen`: either it sees us awake, or we see the
     * new root. */
    atomic_thread_fence(memory_order_seq_cst);
    /* acquire: pairs with the writer's release; all that the root reaches is complete */
    root = atomic_load_explicit(&header->root, memory_order_acquire);
    reader->online = true;
    reader->dir = NULL;
    if (root == 0)
        return;
    reader->dir = (const void *)((const char *)header + root);
    if (LOAD(reader->worker->revision) != reader->dir->revision)
        STORE(reader->worker->revision, reader->dir->revision);
}

/* ---- finding a set ---- */

void rem_upstream_ref_init(struct rem_upstream_ref *ref, struct rem_str name)
{
    *ref = (struct rem_upstream_ref){.name = name, .name_hash = rem_hash(name.p, name.n)};
    /* Workers throw different dice. */
    ref->dither = (uint32_t)ref->name_hash ^ (uint32_t)getpid() * 2654435761u;
}

void rem_upstream_ref_fini(struct rem_upstream_ref *ref)
{
    free(ref->side[0].skip);
    free(ref->side[1].skip);
    *ref = (struct rem_upstream_ref){0};
}

static const struct rem_shm_set *look_up(const struct rem_reader *reader,
                                         const struct rem_upstream_ref *ref)
{
    const char *base = (const char *)reader->header, *dir_base = (const char *)reader->dir;
    const struct rem_shm_dir *dir = reader->dir;
    const uint32_t *table = (const uint32_t *)(const void *)(dir_base + dir->table_off);
    const struct rem_shm_dir_entry *entries =
        (const struct rem_shm_dir_entry *)(const void *)(dir_base + dir->entries_off);

    for (uint32_t at = (uint32_t)ref->name_hash & dir->mask;; at = (at + 1) & dir->mask) {
        if (table[at] == REM_SHM_NONE)
            return NULL;
        const struct rem_shm_dir_entry *entry = &entries[table[at]];
        if (entry->name_hash != ref->name_hash)
            continue;
        const struct rem_shm_set *set = (const void *)(base + entry->set);
        if (rem_str_eq(rem_set_text(set, set->name), ref->name))
            return set;
    }
}

/* What was learnt about the turns of another set is no use any more. */
static void forget_turns(struct rem_upstream_ref *ref)
{
    for (size_t i = 0; i < REM_COUNT(ref->side); i++) {
        ref->side[i].skip_until_ms = 0;
        ref->side[i].dead_until_ms = 0;
    }
}

const struct rem_shm_set *rem_reader_find(struct rem_reader *reader, struct rem_upstream_ref *ref)
{
    const struct rem_shm_set *set;

    rem_reader_enter(reader);
    if (REM_UNLIKELY(reader->dir == NULL))
        return NULL;
    if (REM_LIKELY(ref->epoch == reader->dir->epoch))
        return ref->set;
    set = look_up(reader, ref);
    ref->epoch = reader->dir->epoch;
    ref->set = set;
    ref->line = NULL;
    if (set != NULL) {
        if (set->uid != ref->set_uid)
            forget_turns(ref);
        ref->set_uid = set->uid;
        struct rem_shm_upstream_slot *slot = (void *)((char *)reader->header + set->upstream_slot);
        ref->line = (struct rem_shm_upstream_line *)(void *)(slot + 1) + reader->line;
    }
    return set;
}

void rem_upstream_count_idle(struct rem_reader *reader, struct rem_upstream_ref *ref, uint64_t uid,
                             int n)
{
    const struct rem_shm_set *set = rem_reader_find(reader, ref);

    if (set != NULL && set->upstream_uid == uid)
        ADD(ref->line->idle, n);
}

/* ---- tables ---- */

void rem_table_ref_init(struct rem_table_ref *ref, enum rem_table_kind kind, struct rem_str name)
{
    *ref = (struct rem_table_ref){.kind = kind, .name = name, .hash = rem_table_hash(kind, name)};
}

static const struct rem_shm_table *table_of(const struct rem_reader *reader,
                                            const struct rem_table_ref *ref, uint32_t at)
{
    const struct rem_shm_dir_table *tables =
        (const void *)((const char *)reader->dir + reader->dir->tables_off);
    const struct rem_shm_table *table;

    if (at >= reader->dir->table_count || tables[at].name_hash != ref->hash ||
        tables[at].kind != (uint32_t)ref->kind)
        return NULL;
    table = (const void *)((const char *)reader->header + tables[at].table);
    return rem_str_eq(rem_str_make((const char *)(table + 1), table->name_len), ref->name) ? table
                                                                                           : NULL;
}

const void *rem_reader_table(struct rem_reader *reader, struct rem_table_ref *ref, size_t *size)
{
    rem_reader_enter(reader);
    if (REM_UNLIKELY(reader->dir == NULL))
        return NULL;
    if (REM_UNLIKELY(ref->epoch != reader->dir->epoch)) {
        /* Tables come and go with configurations: as a rule it is where it was. */
        ref->table = table_of(reader, ref, ref->at);
        for (uint32_t i = 0; ref->table == NULL && i < reader->dir->table_count; i++) {
            ref->table = table_of(reader, ref, i);
            ref->at = i;
        }
        ref->epoch = reader->dir->epoch;
    }
    if (ref->table == NULL)
        return NULL;
    *size = ref->table->bytes_len;
    return (const char *)ref->table + ref->table->bytes_off;
}

/* ---- may a server be used? ---- */

/* Of a server that is not simply well: may it be used in spite of that, or again? */
static bool fit_again(const struct rem_shm_set *set, const struct rem_shm_server *server,
                      struct rem_shm_server_slot *slot, uint64_t now_ms, uint64_t *retry_ms)
{
    /* acquire: pairs with rem_server_eject */
    uint32_t health = atomic_load_explicit(&slot->health, memory_order_acquire);
    uint64_t until = LOAD(slot->ejected_until_ms);

    *retry_ms = UINT64_MAX;
    if ((health & REM_HEALTH_MASK) >= REM_HEALTH_CHECKING)
        return false;
    if (!(health & REM_HEALTH_EJECTED))
        return true;
    if (rem_ejection_holds(set, until, now_ms)) {
        *retry_ms = until;
        return false;
    }
    /* The region begins where the slot's offset leads back to; `set` may be a copy. */
    (void)rem_server_uneject((void *)((char *)slot - server->slot + set->upstream_slot), slot,
                             now_ms);
    return true;
}

bool rem_server_available(const struct rem_shm_set *set, const struct rem_shm_server *server,
                          struct rem_shm_server_slot *slot, uint64_t now_ms, uint64_t *retry_ms)
{
    uint64_t checked;

    /* relaxed: failure state is a hint that may be a moment old */
    if (REM_UNLIKELY(LOAD(slot->health) >= REM_HEALTH_CHECKING) &&
        !fit_again(set, server, slot, now_ms, retry_ms))
        return false;
    if (REM_LIKELY(LOAD(slot->fails) < server->max_fails || server->max_fails == 0) ||
        set->set_flags & REM_SET_SINGLE)
        return true;
    checked = LOAD(slot->checked_ms);
    if (now_ms > checked + server->fail_timeout_ms)
        return true;
    *retry_ms = checked + server->fail_timeout_ms + 1;
    return false;
}

/* ---- pins ---- */

static int64_t sum_active(const struct rem_reader *reader, struct rem_shm_server_slot *slot)
{
    struct rem_shm_line *lines = rem_slot_lines(slot);
    int64_t sum = 0;

    for (uint32_t i = 0; i < reader->lines; i++)
        /* seq_cst: after our own add; of two workers that add at once, one sees the other */
        sum += atomic_load(&lines[i].active);
    return sum;
}

/* Counts the request as active unless that would be one too many. */
static bool take_place(const struct rem_reader *reader, struct rem_shm_server_slot *slot,
                       uint32_t max_conns)
{
    struct rem_shm_line *line = rem_slot_lines(slot) + reader->line;

    /* Two workers that reach for the last place at once both step back; a few tries later one of
     * them has it. */
    for (int tries = 0; tries < 8; tries++) {
        if (sum_active(reader, slot) >= (int64_t)max_conns)
            return false;
        /* seq_cst: before our look at the others' lines */
        atomic_fetch_add(&line->active, 1);
        if (sum_active(reader, slot) <= (int64_t)max_conns)
            return true;
        atomic_fetch_sub(&line->active, 1);
    }
    return false;
}

/* A request that goes to a server whose failures have lapsed opens a new window: it is the probe,
 * and while it is out no other is sent. */
static bool take_probe(const struct rem_shm_set *set, const struct rem_shm_server *server,
                       struct rem_shm_server_slot *slot, uint64_t now_ms)
{
    uint32_t fails = LOAD(slot->fails);
    uint64_t checked = LOAD(slot->checked_ms);

    if (REM_LIKELY(fails == 0) || now_ms <= checked + server->fail_timeout_ms)
        return true;
    /* relaxed: the exchange alone decides who of several workers sends the probe */
    if (atomic_compare_exchange_strong_explicit(&slot->checked_ms, &checked, now_ms,
                                                memory_order_relaxed, memory_order_relaxed))
        return true;
    return server->max_fails == 0 || fails < server->max_fails || set->set_flags & REM_SET_SINGLE;
}

int rem_pin_take(struct rem_reader *reader, const struct rem_shm_set *set,
                 const struct rem_shm_server *server, uint64_t now_ms, struct rem_pin *pin)
{
    struct rem_shm_server_slot *slot = rem_reader_slot(reader, server);
    struct rem_shm_line *line = rem_slot_lines(slot) + reader->line;

    REM_CHECK(slot->uid == server->uid);
    if (!take_probe(set, server, slot, now_ms))
        return REM_EBUSY;
    if (server->max_conns == 0)
        /* seq_cst costs nothing over relaxed here; the writer frees the slot only when it has seen
         * us pass a quiescent state and this count at zero */
        atomic_fetch_add(&line->active, 1);
    else if (!take_place(reader, slot, server->max_conns))
        return REM_EBUSY;
    ADD(line->requests, 1);
    if (set->set_flags & REM_SET_TIMED) {
        ADD(line->open_since_ms, now_ms);
        pin->rested = now_ms > LOAD(line->selected_ms) + REST_MS;
    }
    STORE(line->selected_ms, now_ms);
    pin->slot = slot;
    pin->line = line;
    pin->header = reader->header;
    pin->uid = server->uid;
    pin->since_ms = now_ms;
    pin->id = server->id;
    pin->max_conns = server->max_conns;
    pin->max_fails = server->max_fails;
    pin->fail_timeout_ms = server->fail_timeout_ms;
    pin->slow_start_ms = server->slow_start_ms;
    pin->server_flags = server->flags;
    pin->set_flags = set->set_flags;
    rem_set_addr(set, server, &pin->addr);
    return REM_OK;
}

static void count_failure(const struct rem_pin *pin, uint64_t now_ms)
{
    struct rem_shm_server_slot *slot = pin->slot;
    uint32_t fails;

    ADD(pin->line->fails, 1);
    STORE(slot->failed_ms, now_ms);
    STORE(slot->checked_ms, now_ms);
    /* relaxed: the count alone decides; times are hints */
    fails = ADD(slot->fails, 1) + 1;
    if (pin->max_fails == 0 || pin->set_flags & REM_SET_SINGLE || fails < pin->max_fails)
        return;
    if (fails == pin->max_fails) {
        ADD(pin->line->unavail, 1);
        STORE(slot->down_from_ms, now_ms);
    }
}

/* Moves an average an eighth of the way; the first value, and one after a long rest, is taken as it
 * is.  One worker writes. */
static void move_average(_Atomic uint32_t *average, uint32_t ms, bool rested)
{
    int64_t now = LOAD(*average), value = (int64_t)(ms < (1u << 24) ? ms : 1u << 24) * 16 + 1;

    now = now == 0 || rested ? value : now + (value - now) / 8;
    STORE(*average, (uint32_t)now);
}

static void count_time(const struct rem_pin *pin, const struct rem_pin_report *report)
{
    struct rem_shm_line *line = pin->line;

    atomic_fetch_sub_explicit(&line->open_since_ms, pin->since_ms, memory_order_relaxed);
    if (report->outcome != REM_OUTCOME_OK)
        return;
    move_average(&line->header_avg, report->header_ms, pin->rested);
    move_average(&line->response_avg, report->response_ms, pin->rested);
}

/* A success ends the count of failures, if it is of a request sent after the last of them had
 * lapsed: a late answer to an older request says nothing about the server's state now. */
static void count_success(const struct rem_pin *pin, uint64_t now_ms)
{
    struct rem_shm_server_slot *slot = pin->slot;
    uint64_t down_from;

    if (REM_LIKELY(LOAD(slot->fails) == 0) || LOAD(slot->failed_ms) >= LOAD(slot->checked_ms))
        return;
    STORE(slot->fails, 0);
    /* relaxed: of several workers that find the server well at once, one takes the time out */
    down_from = atomic_exchange_explicit(&slot->down_from_ms, 0, memory_order_relaxed);
    if (down_from == 0)
        return;
    ADD(slot->downtime_ms, now_ms > down_from ? now_ms - down_from : 0);
    STORE(slot->slow_from_ms, now_ms);
    ADD(pin->header->recoveries, 1);
}

static void count_code(const struct rem_pin *pin, unsigned status)
{
    uint32_t lines = pin->header->lines;
    ptrdiff_t line = pin->line - rem_slot_lines(pin->slot);

    rem_codes_count(rem_slot_codes(pin->slot, lines) + line, 1, status);
}

void rem_pin_done(struct rem_pin *pin, const struct rem_pin_report *report, uint64_t now_ms)
{
    struct rem_shm_line *line = pin->line;
    unsigned status_class = report->status / 100;

    if (pin->slot == NULL)
        return;
    REM_CHECK(pin->slot->uid == pin->uid);
    if (report->outcome == REM_OUTCOME_FAIL)
        count_failure(pin, now_ms);
    else if (report->outcome == REM_OUTCOME_OK)
        count_success(pin, now_ms);
    if (pin->set_flags & REM_SET_TIMED)
        count_time(pin, report);
    if (status_class >= 1 && status_class <= REM_SHM_CLASSES) {
        ADD(line->responses[rem_shm_class(status_class)], 1);
        if (report->status != 200)
            count_code(pin, report->status);
    }
    if (report->sent != 0)
        ADD(line->sent, report->sent);
    if (report->received != 0)
        ADD(line->received, report->received);
    if (report->header_ms != 0)
        ADD(line->header_ms, report->header_ms);
    if (report->response_ms != 0)
        ADD(line->response_ms, report->response_ms);
    pin->slot = NULL;
    pin->line = NULL;
    /* release: all counts above are in before the slot may be folded and freed; pairs with the
     * writer's acquire load of active */
    atomic_fetch_sub_explicit(&line->active, 1, memory_order_release);
}

/* ---- what sets have computed ahead ---- */

uint32_t rem_shm_share_of(const struct rem_shm_set *set, uint32_t at)
{
    uint32_t low = 0, high = set->count - 1;

    if (set->shares_off == 0)
        return at;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (rem_shm_share_end(set, middle) > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint32_t rem_set_route(const struct rem_shm_set *set, uint64_t hash, uint32_t *place)
{
    const uint32_t *table = (const uint32_t *)(const void *)((const char *)set + set->routes_off);
    uint32_t at = *place != 0 ? *place - 1 : (uint32_t)hash & set->routes_mask;

    if (set->routes_off == 0)
        return REM_SHM_NONE;
    while (table[at] != REM_SHM_NONE) {
        uint32_t server = table[at];
        struct rem_str id = rem_set_sticky_id(set, server);

        at = (at + 1) & set->routes_mask;
        *place = at + 1;
        if (rem_hash(id.p, id.n) == hash)
            return server;
    }
    return REM_SHM_NONE;
}
