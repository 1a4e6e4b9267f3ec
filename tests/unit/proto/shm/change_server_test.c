/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of single servers come to the same as changes of the whole list. */
#include "proto/shm/writer.h"

#include "tests/unit/proto/shm/fixture.h"

#include <time.h>

enum { ROUNDS = 400, NUMBERS = 40 };

static struct fixture fix;  /* changed server by server */
static struct fixture twin; /* the same, list by list */
static struct rem_arena arena;
static uint32_t dice;

static void setup(void)
{
    fix_init(&fix, 2);
    fix_init(&twin, 2);
    rem_arena_init(&arena, NULL);
    dice = 1;
}

static void teardown(void)
{
    rem_arena_reset(&arena);
    fix_fini(&fix);
    fix_fini(&twin);
}

static uint32_t throw_dice(uint32_t sides)
{
    dice = dice * 1103515245u + 12345u;
    return (dice >> 12) % sides;
}

static struct rem_upstream_spec spec_of(struct fixture *of)
{
    struct rem_upstream_spec spec;
    size_t index;

    ck_assert_int_eq(rem_writer_find(of->writer, REM_STR("app"), &index), REM_OK);
    ck_assert_int_eq(rem_writer_spec(of->writer, index, &arena, &spec), REM_OK);
    return spec;
}

static void same_server(const struct rem_server_spec *a, const struct rem_server_spec *b)
{
    ck_assert_uint_eq(a->id, b->id);
    ck_assert(rem_addr_eq(&a->addr, &b->addr));
    ck_assert(rem_str_eq(a->server, b->server));
    ck_assert(rem_str_eq(a->name, b->name));
    ck_assert(rem_str_eq(a->route, b->route));
    ck_assert(rem_str_eq(a->fail_timeout_text, b->fail_timeout_text));
    ck_assert(rem_str_eq(a->slow_start_text, b->slow_start_text));
    ck_assert_uint_eq(a->weight, b->weight);
    ck_assert_uint_eq(a->max_conns, b->max_conns);
    ck_assert_uint_eq(a->max_fails, b->max_fails);
    ck_assert_uint_eq(a->fail_timeout_ms, b->fail_timeout_ms);
    ck_assert_uint_eq(a->slow_start_ms, b->slow_start_ms);
    ck_assert_uint_eq(a->flags, b->flags);
    ck_assert_uint_eq(a->parent, b->parent);
}

static void same_turns(const struct rem_shm_set *a, const struct rem_shm_schedule *left,
                       const struct rem_shm_set *b, const struct rem_shm_schedule *right)
{
    ck_assert_uint_eq(left->length, right->length);
    ck_assert_uint_eq(left->servers, right->servers);
    for (uint32_t i = 0; i < left->length; i++)
        ck_assert_uint_eq(rem_set_turn(a, left, i), rem_set_turn(b, right, i));
}

static const struct rem_shm_set *set_of(struct fixture *of, struct rem_reader *reader,
                                        struct rem_upstream_ref *ref)
{
    unsigned slot = fix_worker(of, reader);

    (void)slot;
    rem_upstream_ref_init(ref, REM_STR("app"));
    return rem_reader_find(reader, ref);
}

static void leave(struct fixture *of, struct rem_reader *reader, struct rem_upstream_ref *ref)
{
    rem_reader_quiesce(reader);
    rem_upstream_ref_fini(ref);
    rem_region_worker_gone(&of->region, (unsigned)(reader->worker - of->region.header->workers));
}

/* Both registries say the same, turns and slots included. */
static void compare(void)
{
    struct rem_upstream_spec a = spec_of(&fix), b = spec_of(&twin);
    struct rem_reader left, right;
    struct rem_upstream_ref refs[2];
    const struct rem_shm_set *sets[2] = {set_of(&fix, &left, &refs[0]),
                                         set_of(&twin, &right, &refs[1])};

    ck_assert_uint_eq(a.server_count, b.server_count);
    for (size_t i = 0; i < a.server_count; i++) {
        struct rem_shm_server_slot *slot =
            rem_reader_slot(&left, rem_set_server(sets[0], (uint32_t)i));
        char text[REM_ADDR_TEXT];
        size_t n = rem_addr_text(&a.servers[i].addr, text, sizeof(text));

        same_server(&a.servers[i], &b.servers[i]);
        ck_assert(rem_str_eq(rem_str_make(slot->name, slot->name_len), rem_str_make(text, n)));
        ck_assert_uint_eq(slot->uid, rem_set_server(sets[0], (uint32_t)i)->uid);
    }
    same_turns(sets[0], &sets[0]->primary, sets[1], &sets[1]->primary);
    same_turns(sets[0], &sets[0]->backup, sets[1], &sets[1]->backup);
    ck_assert_uint_eq(sets[0]->next_id, sets[1]->next_id);
    ck_assert_uint_eq(sets[0]->set_flags, sets[1]->set_flags);
    leave(&fix, &left, &refs[0]);
    leave(&twin, &right, &refs[1]);
}

/* ---- random steps, on both ---- */

struct both {
    struct rem_change *one, *list;
};

static void begin(struct both *both)
{
    ck_assert_int_eq(rem_change_new(fix.writer, &both->one), REM_OK);
    ck_assert_int_eq(rem_change_new(twin.writer, &both->list), REM_OK);
}

static void end(struct both *both)
{
    struct rem_commit commit;

    ck_assert_int_eq(rem_change_commit(both->one, REM_REVISION_ANY, &commit, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(both->list, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&both->one);
    rem_change_free(&both->list);
    (void)rem_writer_reclaim(fix.writer);
    (void)rem_writer_reclaim(twin.writer);
}

/* The twin's list as staged, with room for one more. */
static struct rem_server_spec *list_of(struct both *both, size_t *count)
{
    const struct rem_upstream_spec *spec;
    struct rem_server_spec *servers;

    ck_assert_int_eq(rem_change_get(both->list, REM_STR("app"), &spec), REM_OK);
    servers = rem_arena_alloc(&arena, (spec->server_count + 1) * sizeof(*servers));
    for (size_t i = 0; i < spec->server_count; i++)
        servers[i] = spec->servers[i];
    *count = spec->server_count;
    return servers;
}

/* Looks at what is staged on both sides, in one of the ways there are. */
static void same_lists(struct both *both)
{
    struct rem_upstream_spec spec;
    const struct rem_upstream_spec *seen = &spec;
    size_t count;
    const struct rem_server_spec *servers = list_of(both, &count);

    switch (throw_dice(3)) {
    case 0:
        ck_assert_int_eq(rem_change_get(both->one, REM_STR("app"), &seen), REM_OK);
        break;
    case 1:
        ck_assert_int_eq(rem_change_list(both->one, REM_STR("app"), &arena, &spec), REM_OK);
        break;
    default:
        ck_assert_int_eq(rem_change_head(both->one, REM_STR("app"), &spec), REM_OK);
        ck_assert_int_eq(rem_change_after(both->one, REM_STR("app"), &arena, &spec), REM_OK);
    }
    ck_assert_uint_eq(seen->server_count, count);
    for (size_t i = 0; i < count; i++)
        same_server(&seen->servers[i], &servers[i]);
}

static void alter(struct rem_server_spec *server)
{
    static const char *texts[] = {"", "1m", "a longer text than before", "30s"};

    switch (throw_dice(6)) {
    case 0:
        server->weight = 1 + throw_dice(5);
        break;
    case 1:
        server->flags ^= REM_SERVER_DOWN;
        break;
    case 2:
        server->max_conns = throw_dice(100);
        break;
    case 3:
        server->route = rem_str_from(texts[throw_dice(4)]);
        break;
    case 4:
        server->fail_timeout_text = rem_str_from(texts[throw_dice(4)]);
        break;
    default: { /* another address */
        struct rem_server_spec other;
        fix_server(&other, 1 + throw_dice(NUMBERS));
        server->addr = other.addr;
        server->server = server->name = REM_STR("");
    }
    }
}

static void step_put(struct both *both)
{
    size_t count, at;
    struct rem_server_spec *servers = list_of(both, &count), now;
    int rc;

    if (count == 0)
        return;
    at = throw_dice((uint32_t)count);
    ck_assert_int_eq(rem_change_server_get(both->one, REM_STR("app"), servers[at].id, &now),
                     REM_OK);
    same_server(&now, &servers[at]);
    if (now.server.n != 0) {
        uint32_t id = REM_ID_NONE;
        ck_assert_int_eq(rem_change_server_find(both->one, REM_STR("app"), now.server, &id),
                         REM_OK);
        ck_assert_uint_eq(id, now.id);
    }
    alter(&servers[at]);
    rc = rem_change_server_put(both->one, REM_STR("app"), &servers[at], NULL);
    ck_assert_int_eq(rem_change_servers(both->list, REM_STR("app"), servers, count, NULL), rc);
    ck_assert(rc == REM_OK || rc == REM_EEXIST);
}

static void step_add(struct both *both)
{
    size_t count;
    struct rem_server_spec *servers = list_of(both, &count);
    const struct rem_upstream_spec *spec;
    uint32_t id = 0;
    int rc;

    fix_server(&servers[count], 1 + throw_dice(NUMBERS));
    if (throw_dice(4) == 0)
        servers[count].flags = REM_SERVER_BACKUP;
    rc = rem_change_server_add(both->one, REM_STR("app"), &servers[count], &id, NULL);
    ck_assert_int_eq(rem_change_servers(both->list, REM_STR("app"), servers, count + 1, NULL), rc);
    if (rc != REM_OK) {
        ck_assert_int_eq(rc, REM_EEXIST);
        return;
    }
    ck_assert_int_eq(rem_change_get(both->list, REM_STR("app"), &spec), REM_OK);
    ck_assert_uint_eq(spec->servers[count].id, id);
}

static void step_remove(struct both *both)
{
    size_t count, at;
    struct rem_server_spec *servers = list_of(both, &count), gone;

    if (count == 0)
        return;
    at = throw_dice((uint32_t)count);
    gone = servers[at];
    memmove(&servers[at], &servers[at + 1], (count - at - 1) * sizeof(*servers));
    ck_assert_int_eq(rem_change_servers(both->list, REM_STR("app"), servers, count - 1, NULL),
                     REM_OK);
    ck_assert_int_eq(rem_change_server_remove(both->one, REM_STR("app"), gone.id), REM_OK);
    ck_assert_int_eq(rem_change_server_remove(both->one, REM_STR("app"), gone.id), REM_ENOTFOUND);
    if (gone.server.n != 0)
        ck_assert_int_eq(rem_change_server_find(both->one, REM_STR("app"), gone.server, &gone.id),
                         REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_server_get(both->one, REM_STR("app"), gone.id, &gone),
                     REM_ENOTFOUND);
}

/* Steps per publish: few stay edits of the set, many become a list. */
static const uint32_t loads[] = {1, 4, 200};

START_TEST(comes_to_the_same_as_whole_lists)
{
    uint32_t load = loads[_i], rounds = load > 100 ? 10 : ROUNDS;
    uint64_t used = 0;
    struct rem_writer_stats stats;

    fix_put(&fix, "app", 1, 12);
    fix_put(&twin, "app", 1, 12);
    for (uint32_t round = 0; round < rounds; round++) {
        struct both both;

        begin(&both);
        for (uint32_t i = throw_dice(load) + 1; i > 0; i--) {
            uint32_t what = throw_dice(10);
            if (throw_dice(8) == 0)
                same_lists(&both);
            if (what < 6)
                step_put(&both);
            else if (what < 8)
                step_add(&both);
            else
                step_remove(&both);
        }
        end(&both);
        compare();
        rem_arena_reset(&arena);
    }
    fix_settle(&fix);
    fix_settle(&twin);
    /* texts that nobody names any more do not pile up */
    ck_assert_int_eq(rem_writer_stats(fix.writer, &stats), REM_OK);
    used = stats.used;
    ck_assert_int_eq(rem_writer_stats(twin.writer, &stats), REM_OK);
    ck_assert_uint_le(used, stats.used + 3 * 4096);
}
END_TEST

/* Thousands of steps about one of thousands of servers each. */
START_TEST(many_steps_about_many_servers)
{
    enum { SERVERS = 20000 };
    struct rem_upstream_spec spec = {.name = REM_STR("many"), .zone = REM_STR("z")};
    struct rem_server_spec now;
    struct rem_server_spec *servers = calloc(SERVERS, sizeof(*servers));
    struct rem_change *change;
    struct rem_commit commit;
    char text[REM_ADDR_TEXT];
    clock_t before;

    ck_assert_ptr_nonnull(servers);
    spec.servers = servers;
    spec.server_count = SERVERS;
    for (uint32_t i = 0; i < SERVERS; i++)
        fix_server(&servers[i], i + 1);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_put(change, &spec, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    before = clock();
    for (uint32_t i = 0; i < SERVERS; i++) {
        uint32_t id;
        size_t n = rem_addr_text(&servers[i].addr, text, sizeof(text));
        ck_assert_int_eq(rem_change_server_find(change, spec.name, rem_str_make(text, n), &id),
                         REM_OK);
        ck_assert_int_eq(rem_change_server_get(change, spec.name, id, &now), REM_OK);
        if (i % 2 == 0) {
            ck_assert_int_eq(rem_change_server_remove(change, spec.name, id), REM_OK);
            continue;
        }
        fix_server(&now, SERVERS + i + 1);
        now.id = id;
        ck_assert_int_eq(rem_change_server_put(change, spec.name, &now, NULL), REM_OK);
        fix_server(&now, 2 * SERVERS + i + 1);
        ck_assert_int_eq(rem_change_server_add(change, spec.name, &now, &id, NULL), REM_OK);
    }
    ck_assert_int_lt((clock() - before) / CLOCKS_PER_SEC, 2);
    ck_assert_int_eq(rem_change_head(change, spec.name, &spec), REM_OK);
    ck_assert_uint_eq(spec.server_count, SERVERS);
    rem_change_free(&change);
    free(servers);
}
END_TEST

START_TEST(texts_that_nobody_names_do_not_pile_up)
{
    struct rem_server_spec server;
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_reader reader;
    struct rem_upstream_ref ref;
    char route[1000];

    fix_put(&fix, "app", 1, 3);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
        ck_assert_int_eq(rem_change_server_get(change, REM_STR("app"), 1, &server), REM_OK);
        memset(route, 'a' + i % 26, sizeof(route));
        server.route = rem_str_make(route, sizeof(route));
        ck_assert_int_eq(rem_change_server_put(change, REM_STR("app"), &server, NULL), REM_OK);
        ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
        rem_change_free(&change);
        (void)rem_writer_reclaim(fix.writer);
        const struct rem_shm_set *set = set_of(&fix, &reader, &ref);
        ck_assert_uint_lt(set->size, 16384);
        ck_assert(rem_str_eq(rem_set_text(set, rem_set_server(set, 1)->route), server.route));
        leave(&fix, &reader, &ref);
    }
}
END_TEST

START_TEST(keeps_slots_and_counters)
{
    struct rem_upstream_status before, after;
    struct rem_server_spec server;
    struct rem_reader reader;
    struct rem_upstream_ref ref;
    struct rem_pin pin = {0};
    struct rem_change *change;
    struct rem_commit commit;
    uint32_t id;

    fix_put(&fix, "app", 1, 3);
    const struct rem_shm_set *set = set_of(&fix, &reader, &ref);
    for (uint32_t i = 0; i < 3; i++) {
        const struct rem_pin_report report = {.status = 200 + i, .sent = i};
        ck_assert_int_eq(rem_pin_take(&reader, set, rem_set_server(set, i), 1, &pin), REM_OK);
        rem_pin_done(&pin, &report, 2);
    }
    /* the second one's pin outlives it */
    ck_assert_int_eq(rem_pin_take(&reader, set, rem_set_server(set, 1), 1, &pin), REM_OK);
    rem_reader_quiesce(&reader);
    before = fix_status(&fix, "app", &arena);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_server_get(change, REM_STR("app"), 1, &server), REM_OK);
    ck_assert_int_eq(rem_change_server_remove(change, REM_STR("app"), 1), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    after = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(after.server_count, 2);
    ck_assert_uint_eq(after.zombies, 1);
    ck_assert_mem_eq(&after.totals, &before.totals, sizeof(after.totals));
    ck_assert_mem_eq(&after.servers[1].totals, &before.servers[2].totals, sizeof(after.totals));
    /* back again while it is held: the same slot, another id */
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    fix_server(&server, 2);
    ck_assert_int_eq(rem_change_server_add(change, REM_STR("app"), &server, &id, NULL), REM_OK);
    ck_assert_uint_eq(id, 3);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    after = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(after.zombies, 0);
    ck_assert_uint_eq(after.servers[2].totals.requests, 2);
    ck_assert_int_eq(after.servers[2].active, 1);
    rem_pin_done(&pin, &(struct rem_pin_report){.status = 200}, 2);
    leave(&fix, &reader, &ref);
    fix_settle(&fix);
}
END_TEST

START_TEST(refuses_what_lists_refuse)
{
    struct rem_server_spec server, other;
    struct rem_change *change;
    struct rem_err err;
    struct rem_commit commit;
    uint32_t id;

    fix_put(&fix, "app", 1, 3);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_server_get(change, REM_STR("none"), 1, &server), REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_server_get(change, REM_STR("app"), 9, &server), REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_server_get(change, REM_STR("app"), 1, &server), REM_OK);
    fix_server(&other, 1);
    server.addr = other.addr;
    ck_assert_int_eq(rem_change_server_put(change, REM_STR("app"), &server, &err), REM_EEXIST);
    ck_assert_int_eq(rem_change_server_add(change, REM_STR("app"), &other, &id, &err), REM_EEXIST);
    ck_assert_int_eq(rem_change_server_add(change, REM_STR("none"), &other, &id, &err),
                     REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_server_get(change, REM_STR("app"), 1, &server), REM_OK);
    for (int bad = 0; bad < 3; bad++) {
        other = server;
        if (bad == 0)
            other.weight = 0;
        if (bad == 1)
            other.flags = 1u << 30;
        if (bad == 2)
            other.max_conns = UINT32_MAX;
        ck_assert_int_eq(rem_change_server_put(change, REM_STR("app"), &other, &err), REM_EINVAL);
        other.addr.u.in.sin_port ^= 1;
        ck_assert_int_eq(rem_change_server_add(change, REM_STR("app"), &other, &id, &err),
                         REM_EINVAL);
    }
    other = server;
    other.id = 77;
    ck_assert_int_eq(rem_change_server_put(change, REM_STR("app"), &other, &err), REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_server_remove(change, REM_STR("app"), 77), REM_ENOTFOUND);
    /* and nothing of all that is in the change */
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    ck_assert_uint_eq(commit.revision, 1);
    rem_change_free(&change);
}
END_TEST

START_TEST(says_what_it_is_about)
{
    struct rem_upstream_spec before, after;
    struct rem_server_spec server;
    struct rem_touched touched;
    struct rem_change *change;
    struct rem_commit commit;
    const uint32_t *ids;
    size_t cursor = 0, count;
    uint32_t id;

    fix_put(&fix, "app", 1, 3);
    fix_put(&fix, "looked at", 1, 3);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_server_get(change, REM_STR("looked at"), 1, &server), REM_OK);
    ck_assert_int_eq(rem_change_server_get(change, REM_STR("app"), 1, &server), REM_OK);
    server.weight = 99;
    ck_assert_int_eq(rem_change_server_put(change, REM_STR("app"), &server, NULL), REM_OK);
    fix_server(&server, 7);
    ck_assert_int_eq(rem_change_server_add(change, REM_STR("app"), &server, &id, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    ck_assert(rem_change_next(change, &cursor, &touched));
    ck_assert(rem_str_is(touched.name, "app") && touched.kind == REM_TOUCHED_UPSTREAM);
    ck_assert(touched.existed && touched.exists);
    ck_assert(!rem_change_next(change, &cursor, &touched));
    ck_assert(rem_change_ids(change, REM_STR("app"), &ids, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert(ids[0] == 1 && ids[1] == id);
    ck_assert(!rem_change_ids(change, REM_STR("other"), &ids, &count));
    ck_assert_int_eq(rem_change_before(change, REM_STR("app"), &arena, &before), REM_OK);
    ck_assert_int_eq(rem_change_after(change, REM_STR("app"), &arena, &after), REM_OK);
    ck_assert_uint_eq(before.server_count, 3);
    ck_assert_uint_eq(after.server_count, 4);
    ck_assert_uint_ne(before.servers[1].weight, 99);
    ck_assert_uint_eq(after.servers[1].weight, 99);
    rem_change_free(&change);
    /* a list that is put says so */
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_servers(change, REM_STR("app"), fix.servers, 1, NULL), REM_OK);
    ck_assert(!rem_change_ids(change, REM_STR("app"), &ids, &count));
    rem_change_free(&change);
}
END_TEST

START_TEST(methods_with_tables_of_their_own_get_them_anew)
{
    static const uint32_t methods[] = {REM_BALANCE_IP_HASH, REM_BALANCE_HASH,
                                       REM_BALANCE_HASH_CONSISTENT, REM_BALANCE_ROUND_ROBIN};
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, 5);
    struct rem_server_spec server;
    struct rem_upstream_ref ref;
    struct rem_reader reader;
    struct rem_change *change;
    struct rem_commit commit;
    uint32_t id;

    spec.method = methods[_i];
    spec.sticky = spec.method == REM_BALANCE_ROUND_ROBIN ? REM_STICKY_ANYWAY : REM_STICKY_NONE;
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    fix_server(&server, 30);
    ck_assert_int_eq(rem_change_server_add(change, REM_STR("app"), &server, &id, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    const struct rem_shm_set *set = set_of(&fix, &reader, &ref);
    ck_assert_uint_eq(set->count, 6);
    if (spec.sticky != REM_STICKY_NONE) {
        struct rem_str sticky = rem_set_sticky_id(set, 5);
        uint32_t place = 0;
        ck_assert_uint_eq(rem_set_route(set, rem_hash(sticky.p, sticky.n), &place), 5);
    } else {
        ck_assert_uint_eq(rem_shm_share_of(set, set->shares - 1), 5);
        ck_assert_uint_eq(set->ring_length != 0, spec.method == REM_BALANCE_HASH_CONSISTENT);
    }
    leave(&fix, &reader, &ref);
    fix_settle(&fix);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("change_server");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, comes_to_the_same_as_whole_lists, 0, (int)REM_COUNT(loads));
    tcase_add_test(tcase, many_steps_about_many_servers);
    tcase_add_test(tcase, texts_that_nobody_names_do_not_pile_up);
    tcase_add_test(tcase, keeps_slots_and_counters);
    tcase_add_test(tcase, refuses_what_lists_refuse);
    tcase_add_test(tcase, says_what_it_is_about);
    tcase_add_loop_test(tcase, methods_with_tables_of_their_own_get_them_anew, 0, 4);
    return run_suite("change_server", tcase);
}
