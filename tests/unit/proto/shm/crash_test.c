/* SPDX-License-Identifier: Apache-2.0 */
/* The writer is killed before every single store of every kind of change, while a worker reads. */
#include "proto/shm/writer.h"

#include "tests/unit/proto/shm/fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 1, COUNT = 6, NEXT = 4, NEXT_COUNT = 9, STEPS_MAX = 5000 };
enum { OLD_TABLE = 5000, NEW_TABLE = 3000 };

/* What the processes of this test share beside the region. */
struct board {
    _Atomic int stop;
    _Atomic uint64_t turns;
};

static struct fixture fix;
static struct board *board;

/* ---- the worker that looks on ---- */

static void check_set(const struct rem_shm_set *set, uint32_t first, uint32_t count, uint32_t other,
                      uint32_t other_count)
{
    uint32_t number = set->count != 0 ? fix_number(set, rem_set_server(set, 0)) : 0;

    REM_CHECK((set->count == count && number == first) ||
              (set->count == other_count && number == other));
    for (uint32_t i = 1; i < set->count; i++)
        REM_CHECK(fix_number(set, rem_set_server(set, i)) == number + i);
    for (uint32_t i = 0; i < set->primary.length; i++)
        REM_CHECK(rem_set_turn(set, &set->primary, i) < set->count);
}

/* One of the two that are ever published, or none. */
static void check_table(struct rem_reader *reader, struct rem_table_ref *ref)
{
    size_t size = 0;
    const char *bytes = rem_reader_table(reader, ref, &size);

    REM_CHECK(bytes == NULL || (size == OLD_TABLE && bytes[0] == 'o') ||
              (size == NEW_TABLE && bytes[0] == 'n'));
    for (size_t i = 0; bytes != NULL && i < size; i++)
        REM_CHECK(bytes[i] == bytes[0]);
}

static void look_on(unsigned slot)
{
    const struct rem_pin_report report = {.status = 200};
    struct rem_table_ref table;
    struct rem_upstream_ref app, extra;
    struct rem_reader reader;
    struct rem_pin pin = {0};

    rem_reader_init(&reader, &fix.region, slot);
    rem_upstream_ref_init(&app, rem_str_from("app"));
    rem_upstream_ref_init(&extra, rem_str_from("extra"));
    rem_table_ref_init(&table, REM_TABLE_KEYVAL, REM_STR("table"));
    while (!atomic_load(&board->stop)) {
        const struct rem_shm_set *set = rem_reader_find(&reader, &app);

        REM_CHECK(set != NULL);
        check_set(set, FIRST, COUNT, NEXT, NEXT_COUNT);
        rem_pin_done(&pin, &report, 1); /* of the turn before, whatever became of its set */
        REM_CHECK(rem_pin_take(&reader, set, rem_set_server(set, 0), 1, &pin) == REM_OK);
        set = rem_reader_find(&reader, &extra);
        if (set != NULL)
            check_set(set, 1000, 3, 1000, 3);
        check_table(&reader, &table);
        rem_reader_quiesce(&reader);
        atomic_fetch_add(&board->turns, 1);
        sched_yield();
    }
    rem_pin_done(&pin, &report, 1);
    rem_upstream_ref_fini(&app);
    rem_upstream_ref_fini(&extra);
}

static pid_t start_worker(unsigned slot)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        look_on(slot);
        _exit(0);
    }
    return pid;
}

static void wait_turns(uint64_t turns)
{
    uint64_t until = atomic_load(&board->turns) + turns;

    while (atomic_load(&board->turns) < until)
        sched_yield();
}

/* ---- the writer that dies ---- */

static void do_replace(void)
{
    fix_put(&fix, "app", NEXT, NEXT_COUNT);
}

static void do_add(void)
{
    fix_put(&fix, "extra", 1000, 3);
}

/* The same as do_replace, server by server. */
static void do_edit(void)
{
    const struct rem_str app = REM_STR("app");
    const struct rem_upstream_spec *spec;
    struct rem_server_spec server;
    struct rem_change *change;
    struct rem_commit commit;
    uint32_t ids[COUNT], id;

    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_get(change, app, &spec), REM_OK);
    for (uint32_t i = 0; i < COUNT; i++)
        ids[i] = spec->servers[i].id;
    rem_change_free(&change);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    for (uint32_t i = 0; i < NEXT - FIRST; i++)
        ck_assert_int_eq(rem_change_server_remove(change, app, ids[i]), REM_OK);
    for (uint32_t i = FIRST + COUNT; i < NEXT + NEXT_COUNT; i++) {
        fix_server(&server, i);
        ck_assert_int_eq(rem_change_server_add(change, app, &server, &id, NULL), REM_OK);
    }
    ck_assert_int_eq(rem_change_server_get(change, app, ids[COUNT - 1], &server), REM_OK);
    server.max_conns = 100000;
    server.route = REM_STR("a text that makes the set longer");
    ck_assert_int_eq(rem_change_server_put(change, app, &server, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
}

static void put_table(char fill, size_t size)
{
    struct rem_change *change;
    struct rem_commit commit;
    char bytes[OLD_TABLE];

    memset(bytes, fill, size);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_table(change, REM_TABLE_KEYVAL, REM_STR("table"),
                                      (struct rem_str){size != 0 ? bytes : NULL, size}, 1, NULL),
                     REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
}

static void do_table(void)
{
    put_table('n', NEW_TABLE);
}

static void do_table_remove(void)
{
    put_table(0, 0);
}

static void do_remove(void)
{
    fix_remove(&fix, "extra");
}

static void do_reclaim(void)
{
    for (int i = 0; i < 50 && rem_writer_reclaim(fix.writer); i++)
        sched_yield();
}

static void do_replace_and_reclaim(void)
{
    do_replace();
    do_reclaim();
    put_table('n', NEW_TABLE);
    fix_put(&fix, "app", FIRST, COUNT);
    do_reclaim();
}

static void prepare_nothing(void)
{
}

static void prepare_zombies(void)
{
    fix_put(&fix, "app", NEXT, NEXT_COUNT);
}

/* A worker that died with pins on servers that stay, and on one that goes. */
static void prepare_dead_worker(void)
{
    struct rem_upstream_ref ref;
    struct rem_reader reader;
    struct rem_pin pin = {0};
    unsigned slot = fix_worker(&fix, &reader);

    rem_upstream_ref_init(&ref, rem_str_from("app"));
    const struct rem_shm_set *set = rem_reader_find(&reader, &ref);
    for (uint32_t i = 0; i < set->count; i++)
        ck_assert_int_eq(rem_pin_take(&reader, set, rem_set_server(set, i), 1, &pin), REM_OK);
    rem_region_worker_gone(&fix.region, slot);
    fix_put(&fix, "app", NEXT, NEXT_COUNT);
    rem_upstream_ref_fini(&ref);
}

static const struct scenario {
    const char *name;
    void (*prepare)(void);
    void (*act)(void);
    int steps_min; /* a scenario with fewer stores than this does not do what it should */
} scenarios[] = {
    {"replace", prepare_nothing, do_replace, 10},
    {"edit", prepare_nothing, do_edit, 10},
    {"table", prepare_nothing, do_table, 5},
    {"table gone", prepare_nothing, do_table_remove, 3},
    {"add", prepare_nothing, do_add, 10},
    {"remove", do_add, do_remove, 3},
    {"revive", prepare_zombies, do_replace_and_reclaim, 20},
    {"bury", prepare_zombies, do_reclaim, 4},
    {"dead worker", prepare_dead_worker, do_reclaim, 10},
    {"swap and back", prepare_nothing, do_replace_and_reclaim, 30},
};

static int steps_left;

static void die_in_time(void *data)
{
    (void)data;
    if (steps_left-- == 0)
        raise(SIGKILL);
}

/* Returns whether the writer was killed; it was not when it came to the end first. */
static bool run_and_kill(const struct scenario *scenario, int step)
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (rem_writer_new(&fix.region, &fix.writer, NULL) != REM_OK)
            _exit(2);
        steps_left = step;
        rem_writer_set_poison(fix.writer, true);
        rem_writer_set_step(fix.writer, die_in_time, NULL);
        scenario->act();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        ck_assert_int_eq(WTERMSIG(status), SIGKILL);
        return true;
    }
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    return false;
}

/* Waits for the worker to pass, so it settles though the worker goes on. */
static void settle(void)
{
    struct rem_writer_stats stats;
    int rounds = 0;

    /* The worker always pins one server of its last set; that one may stay a zombie for a turn. */
    while (rem_writer_reclaim(fix.writer)) {
        ck_assert_int_lt(rounds++, 1000);
        wait_turns(1);
    }
    ck_assert_int_eq(rem_writer_stats(fix.writer, &stats), REM_OK);
    ck_assert_uint_eq(stats.used, stats.reachable);
    ck_assert_uint_eq(stats.zombies, 0);
}

static struct rem_shm_totals app_totals(int64_t *active)
{
    struct rem_arena arena;
    struct rem_upstream_status status;
    struct rem_shm_totals totals;

    rem_arena_init(&arena, NULL);
    status = fix_status(&fix, "app", &arena);
    *active = 0;
    for (size_t i = 0; i < status.server_count; i++)
        *active += status.servers[i].active;
    totals = status.totals;
    rem_arena_reset(&arena);
    return totals;
}

/* Back to where each round begins. */
static void reset(void)
{
    size_t index;

    fix_put(&fix, "app", FIRST, COUNT);
    if (rem_writer_find(fix.writer, rem_str_from("extra"), &index) == REM_OK)
        fix_remove(&fix, "extra");
    put_table('o', OLD_TABLE);
    settle();
}

/* The worker goes on meanwhile: each turn counts one request, and a response of the one before. */
static void check_counts(const struct scenario *scenario, uint64_t step,
                         const struct rem_shm_totals *before, const struct rem_shm_totals *after)
{
    uint64_t of_the_dead = scenario->prepare == prepare_dead_worker ? COUNT * (step + 1) : 0;

    ck_assert_uint_ge(after->requests, before->requests);
    ck_assert_uint_le(after->requests, atomic_load(&board->turns) + 1 + of_the_dead);
    ck_assert_uint_ge(after->responses[1] + 2, after->requests - of_the_dead);
}

START_TEST(killed_before_every_store)
{
    const struct scenario *scenario = &scenarios[_i];
    uint64_t used = 0, mark = 0;
    unsigned slot;
    pid_t worker;
    int step;

    fix_init(&fix, 2);
    rem_writer_set_poison(fix.writer, true);
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(board, MAP_FAILED);
    fix_put(&fix, "app", FIRST, COUNT);
    put_table('o', OLD_TABLE);
    ck_assert_int_eq(rem_region_claim_worker(&fix.region, 1, 0, &slot), REM_OK);
    worker = start_worker(slot);
    wait_turns(3);
    for (step = 0; step < STEPS_MAX; step++) {
        struct rem_writer_stats stats;
        struct rem_shm_totals before, after;
        int64_t active;
        bool killed;

        scenario->prepare();
        rem_writer_free(&fix.writer);
        killed = run_and_kill(scenario, step);
        ck_assert_int_eq(rem_writer_new(&fix.region, &fix.writer, NULL), REM_OK);
        rem_writer_set_poison(fix.writer, true);
        /* what the dead writer left is whole, and its counts neither lost nor doubled */
        before = app_totals(&active);
        settle();
        reset();
        after = app_totals(&active);
        ck_assert_int_le(active, 1); /* the worker's */
        check_counts(scenario, (uint64_t)step, &before, &after);
        ck_assert_int_eq(rem_writer_stats(fix.writer, &stats), REM_OK);
        if (step == 0) {
            used = stats.used;
            mark = atomic_load(&fix.region.header->high_water);
        }
        ck_assert_uint_eq(stats.used, used);
        /* nor does a death leave the mark higher, but for holes */
        ck_assert_uint_le(atomic_load(&fix.region.header->high_water), mark + 65536);
        if (!killed)
            break;
    }
    ck_assert_msg(step >= scenario->steps_min && step < STEPS_MAX, "%s: %d steps", scenario->name,
                  step);
    atomic_store(&board->stop, 1);
    int status;
    ck_assert_int_eq(waitpid(worker, &status, 0), worker);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the worker saw a torn registry");
    munmap(board, sizeof(*board));
    fix_fini(&fix);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("crash");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, killed_before_every_store, 0, (int)REM_COUNT(scenarios));
    return run_suite("crash", tcase);
}
