/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/table.h"

#include "tests/unit/proto/shm/fixture.h"

static struct fixture fix;

static void setup(void)
{
    fix_init(&fix, 2);
}

static void teardown(void)
{
    fix_fini(&fix);
}

static struct rem_commit put_table(enum rem_table_kind kind, const char *name, struct rem_str bytes,
                                   uint64_t hash)
{
    struct rem_change *change;
    struct rem_commit commit;

    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_table(change, kind, rem_str_from(name), bytes, hash, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    return commit;
}

static bool table_is(enum rem_table_kind kind, const char *name, const char *bytes)
{
    struct rem_table table;

    return rem_writer_table(fix.writer, kind, rem_str_from(name), &table) == REM_OK &&
           rem_str_is(table.bytes, bytes) && rem_str_is(table.name, name) && table.kind == kind &&
           table.uid != 0 && (uintptr_t)table.bytes.p % REM_SHM_UNIT == 0;
}

static bool reads(struct rem_reader *reader, struct rem_table_ref *ref, const char *bytes)
{
    size_t size = 0;
    const void *at = rem_reader_table(reader, ref, &size);

    return at == NULL ? bytes == NULL
                      : bytes != NULL && rem_str_eq(rem_str_make(at, size), rem_str_from(bytes)) &&
                            (uintptr_t)at % REM_SHM_UNIT == 0;
}

START_TEST(is_published_read_replaced_and_removed)
{
    struct rem_table_ref ref, other;
    struct rem_reader reader;
    struct rem_commit commit;

    fix_worker(&fix, &reader);
    rem_table_ref_init(&ref, REM_TABLE_KEYVAL, REM_STR("names"));
    rem_table_ref_init(&other, REM_TABLE_SPLIT, REM_STR("names"));
    ck_assert(reads(&reader, &ref, NULL)); /* no directory at all */
    rem_reader_quiesce(&reader);
    fix_put(&fix, "app", 1, 2);
    put_table(REM_TABLE_SPLIT, "names", REM_STR("split"), 1);
    commit = put_table(REM_TABLE_KEYVAL, "names", REM_STR("one"), 1);
    ck_assert_uint_eq(commit.revision, 3);
    ck_assert(reads(&reader, &ref, "one") && reads(&reader, &other, "split"));
    put_table(REM_TABLE_KEYVAL, "names", REM_STR("two"), 1);
    ck_assert(reads(&reader, &ref, "one")); /* its turn goes on with what it began with */
    rem_reader_quiesce(&reader);
    ck_assert(reads(&reader, &ref, "two") && table_is(REM_TABLE_KEYVAL, "names", "two"));
    rem_reader_quiesce(&reader);
    ck_assert_uint_eq(rem_writer_tables(fix.writer), 2);
    put_table(REM_TABLE_KEYVAL, "names", (struct rem_str){NULL, 0}, 0);
    ck_assert(reads(&reader, &ref, NULL) && reads(&reader, &other, "split"));
    rem_reader_quiesce(&reader);
    ck_assert_uint_eq(rem_writer_tables(fix.writer), 1);
    put_table(REM_TABLE_SPLIT, "names", REM_STR(""), 1);
    ck_assert(reads(&reader, &other, ""));
    rem_reader_quiesce(&reader);
    fix_settle(&fix);
}
END_TEST

START_TEST(an_old_one_is_freed_when_readers_have_passed)
{
    struct rem_writer_stats before, after;
    struct rem_table_ref ref;
    struct rem_reader reader;
    static char large[300000];

    fix_worker(&fix, &reader);
    rem_table_ref_init(&ref, REM_TABLE_KEYVAL, REM_STR("t"));
    put_table(REM_TABLE_KEYVAL, "t", REM_STR("small"), 1);
    fix_settle(&fix);
    ck_assert_int_eq(rem_writer_stats(fix.writer, &before), REM_OK);
    put_table(REM_TABLE_KEYVAL, "t", rem_str_make(large, sizeof(large)), 1);
    rem_reader_enter(&reader);
    put_table(REM_TABLE_KEYVAL, "t", REM_STR("small"), 1);
    ck_assert(rem_writer_reclaim(fix.writer)); /* the reader is still in */
    ck_assert_int_eq(rem_writer_stats(fix.writer, &after), REM_OK);
    ck_assert_uint_ge(after.pending, sizeof(large));
    rem_reader_quiesce(&reader);
    fix_settle(&fix);
    ck_assert_int_eq(rem_writer_stats(fix.writer, &after), REM_OK);
    ck_assert_uint_eq(after.used, before.used);
}
END_TEST

START_TEST(a_successor_finds_tables_by_walking)
{
    put_table(REM_TABLE_KEYVAL, "a", REM_STR("bytes of a"), 1);
    put_table(REM_TABLE_SPLIT, "b", REM_STR("bytes of b"), 2);
    rem_writer_free(&fix.writer);
    ck_assert_int_eq(rem_writer_new(&fix.region, &fix.writer, NULL), REM_OK);
    fix_put(&fix, "app", 1, 60); /* takes what it believes to be free */
    fix_settle(&fix);
    fix_put(&fix, "more", 100, 60);
    ck_assert(table_is(REM_TABLE_KEYVAL, "a", "bytes of a"));
    ck_assert(table_is(REM_TABLE_SPLIT, "b", "bytes of b"));
    fix_settle(&fix);
}
END_TEST

START_TEST(steps_of_a_change_see_each_other)
{
    const enum rem_table_kind kind = REM_TABLE_KEYVAL;
    struct rem_table table;
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_touched touched;
    struct rem_err err;
    size_t cursor = 0;
    char name[REM_TABLE_NAME_MAX + 2];

    put_table(kind, "old", REM_STR("1"), 7);
    memset(name, 'n', sizeof(name));
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_table(change, kind, REM_STR(""), REM_STR("x"), 1, &err),
                     REM_EINVAL);
    ck_assert_int_eq(
        rem_change_table(change, kind, rem_str_make(name, sizeof(name) - 1), REM_STR("x"), 1, &err),
        REM_EINVAL);
    ck_assert_int_eq(
        rem_change_table(change, kind, REM_STR("none"), (struct rem_str){NULL, 0}, 1, &err),
        REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_table_get(change, kind, REM_STR("none"), &table), REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_table_get(change, kind, REM_STR("old"), &table), REM_OK);
    ck_assert(rem_str_is(table.bytes, "1") && table.config_hash == 7);
    ck_assert_int_eq(rem_change_table(change, kind, REM_STR("old"), REM_STR("2"), 7, &err), REM_OK);
    ck_assert_int_eq(rem_change_table_get(change, kind, REM_STR("old"), &table), REM_OK);
    ck_assert(rem_str_is(table.bytes, "2") && table.uid == 0);
    ck_assert((uintptr_t)table.bytes.p % REM_SHM_UNIT == 0);
    ck_assert_int_eq(rem_change_table(change, kind, REM_STR("new"), REM_STR("3"), 0, &err), REM_OK);
    ck_assert_int_eq(rem_change_table(change, kind, REM_STR("brief"), REM_STR("4"), 0, &err),
                     REM_OK);
    ck_assert_int_eq(
        rem_change_table(change, kind, REM_STR("brief"), (struct rem_str){NULL, 0}, 0, &err),
        REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    /* what it was about can be asked for after the commit, too */
    ck_assert(rem_change_next(change, &cursor, &touched));
    ck_assert(touched.kind == REM_TOUCHED_TABLE && rem_str_is(touched.name, "old"));
    ck_assert(touched.existed && touched.exists && touched.table_kind == kind);
    ck_assert_int_eq(rem_change_table_before(change, kind, touched.name, &table), REM_OK);
    ck_assert(rem_str_is(table.bytes, "1"));
    ck_assert_int_eq(rem_change_table_after(change, kind, touched.name, &table), REM_OK);
    ck_assert(rem_str_is(table.bytes, "2"));
    ck_assert(rem_change_next(change, &cursor, &touched));
    ck_assert(rem_str_is(touched.name, "new") && !touched.existed && touched.exists);
    ck_assert_int_eq(rem_change_table_before(change, kind, touched.name, &table), REM_ENOTFOUND);
    ck_assert(!rem_change_next(change, &cursor, &touched));
    rem_change_free(&change);
    ck_assert(table_is(kind, "old", "2") && table_is(kind, "new", "3"));
    ck_assert_uint_eq(rem_writer_tables(fix.writer), 2);
    fix_settle(&fix);
}
END_TEST

static uint64_t reconcile(uint64_t generation, const struct rem_table_spec *specs, size_t count)
{
    const struct rem_registry_conf conf = {
        .tables = specs, .table_count = count, .generation = generation};

    ck_assert_int_eq(rem_writer_reconcile(fix.writer, &conf, NULL), REM_OK);
    return rem_writer_revision(fix.writer);
}

START_TEST(bytes_may_be_given_away)
{
    struct rem_str bytes = {aligned_alloc(REM_SHM_UNIT, REM_SHM_UNIT), 3};
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_table table;

    memcpy((char *)(uintptr_t)bytes.p, "new", 3);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(
        rem_change_table(change, REM_TABLE_KEYVAL, REM_STR("k"), REM_STR("old"), 1, NULL), REM_OK);
    ck_assert_int_eq(rem_change_table_take(change, REM_TABLE_KEYVAL, REM_STR(""), &bytes, 1, NULL),
                     REM_EINVAL);
    ck_assert(rem_str_is(bytes, "new")); /* still ours */
    ck_assert_int_eq(rem_change_table_take(change, REM_TABLE_KEYVAL, REM_STR("k"), &bytes, 1, NULL),
                     REM_OK);
    ck_assert_uint_eq(bytes.n, 0);
    ck_assert_int_eq(rem_change_table_get(change, REM_TABLE_KEYVAL, REM_STR("k"), &table), REM_OK);
    ck_assert(rem_str_is(table.bytes, "new") && table.uid == 0);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    ck_assert(table_is(REM_TABLE_KEYVAL, "k", "new"));
}
END_TEST

START_TEST(a_reload_keeps_what_its_file_did_not_change)
{
    struct rem_table_spec specs[] = {
        {REM_TABLE_KEYVAL, REM_STR("kept"), REM_STR("file"), 11},
        {REM_TABLE_KEYVAL, REM_STR("edited"), REM_STR("file"), 21},
        {REM_TABLE_SPLIT, REM_STR("gone"), REM_STR("file"), 31},
    };
    struct rem_table_ref ref;
    struct rem_reader reader;
    struct rem_table table;
    uint64_t revision;
    unsigned slot;

    slot = fix_worker(&fix, &reader); /* of generation 1 */
    rem_table_ref_init(&ref, REM_TABLE_SPLIT, REM_STR("gone"));
    revision = reconcile(1, specs, 3);
    ck_assert_uint_eq(reconcile(1, specs, 3), revision); /* an agent that comes anew */
    put_table(REM_TABLE_KEYVAL, "kept", REM_STR("api"), 11);
    put_table(REM_TABLE_KEYVAL, "edited", REM_STR("api"), 21);
    put_table(REM_TABLE_KEYVAL, "run time", REM_STR("api"), 0);
    ck_assert_uint_eq(reconcile(1, specs, 3), revision + 3);
    ck_assert(table_is(REM_TABLE_KEYVAL, "kept", "api"));
    ck_assert_int_eq(rem_writer_table(fix.writer, REM_TABLE_KEYVAL, REM_STR("kept"), &table),
                     REM_OK);
    ck_assert(table.declared && table.config_hash == 11);
    specs[1] = (struct rem_table_spec){REM_TABLE_KEYVAL, REM_STR("edited"), REM_STR("file 2"), 22};
    ck_assert_uint_eq(reconcile(2, specs, 2), revision + 4);
    ck_assert(table_is(REM_TABLE_KEYVAL, "kept", "api"));
    ck_assert(table_is(REM_TABLE_KEYVAL, "edited", "file 2"));
    ck_assert(table_is(REM_TABLE_KEYVAL, "run time", "api"));
    /* the old worker still has what is gone, the API has not */
    ck_assert(rem_writer_reclaim(fix.writer) || true);
    ck_assert(reads(&reader, &ref, "file"));
    rem_reader_quiesce(&reader);
    ck_assert_int_eq(rem_writer_table(fix.writer, REM_TABLE_SPLIT, REM_STR("gone"), &table),
                     REM_ENOTFOUND);
    ck_assert_uint_eq(rem_writer_tables(fix.writer), 3);
    for (size_t i = 0; i < 3; i++) {
        rem_writer_table_at(fix.writer, i, &table);
        ck_assert(!rem_str_is(table.name, "gone"));
    }
    rem_region_worker_gone(&fix.region, slot);
    fix_settle(&fix);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), revision + 4);
    slot = fix_worker(&fix, &reader);
    rem_table_ref_init(&ref, REM_TABLE_SPLIT, REM_STR("gone"));
    ck_assert(reads(&reader, &ref, NULL));
    rem_reader_quiesce(&reader);
    /* and when it comes back, the file's bytes do */
    specs[2].name = REM_STR("gone");
    reconcile(3, specs, 3);
    ck_assert(reads(&reader, &ref, "file"));
    rem_reader_quiesce(&reader);
    fix_settle(&fix);
}
END_TEST

START_TEST(a_full_region_changes_nothing)
{
    static char large[FIX_SIZE];
    struct rem_change *change;
    struct rem_commit commit;

    put_table(REM_TABLE_KEYVAL, "t", REM_STR("small"), 1);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_table(change, REM_TABLE_KEYVAL, REM_STR("t"),
                                      rem_str_make(large, sizeof(large)), 1, NULL),
                     REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_EFULL);
    rem_change_free(&change);
    ck_assert(table_is(REM_TABLE_KEYVAL, "t", "small"));
    ck_assert_uint_eq(rem_writer_revision(fix.writer), 1);
    fix_settle(&fix);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("table");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, is_published_read_replaced_and_removed);
    tcase_add_test(tcase, an_old_one_is_freed_when_readers_have_passed);
    tcase_add_test(tcase, a_successor_finds_tables_by_walking);
    tcase_add_test(tcase, steps_of_a_change_see_each_other);
    tcase_add_test(tcase, bytes_may_be_given_away);
    tcase_add_test(tcase, a_reload_keeps_what_its_file_did_not_change);
    tcase_add_test(tcase, a_full_region_changes_nothing);
    return run_suite("table", tcase);
}
