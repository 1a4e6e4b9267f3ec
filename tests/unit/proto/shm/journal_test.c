/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/journal.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEC = 1000, BASE = SEC * 1000000 };

static struct rem_journal journal;

static void setup(void)
{
    ck_assert_int_eq(rem_journal_create(&journal, SEC), REM_OK);
    rem_journal_recover(&journal, 0, REM_JOURNAL_HISTORY);
}

static void teardown(void)
{
    rem_journal_close(&journal);
}

static uint64_t add(enum rem_journal_kind kind, uint64_t revision, struct rem_str body)
{
    struct rem_journal_record record = {
        .kind = kind, .revision = revision, .wall_ms = (int64_t)revision * 10, .head = 1};

    ck_assert_int_eq(rem_journal_append(&journal, &record, body), REM_OK);
    return record.sequence;
}

static void check_body(const struct rem_journal_record *record, struct rem_str want)
{
    struct rem_sbuf text;

    rem_sbuf_init(&text);
    ck_assert_int_eq(rem_journal_body(record, &text), REM_OK);
    ck_assert_uint_eq(text.n, want.n);
    ck_assert(want.n == 0 || memcmp(text.p, want.p, want.n) == 0);
    rem_sbuf_fini(&text);
}

START_TEST(test_append_and_read)
{
    struct rem_journal_cursor cursor = {0};
    struct rem_journal_record record;

    ck_assert_uint_eq(rem_journal_sequence(&journal), BASE);
    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_EAGAIN);
    ck_assert_uint_eq(add(REM_JOURNAL_REVISION, 7, REM_STR("seven")), BASE + 1);
    ck_assert_uint_eq(add(REM_JOURNAL_DRAIN, 7, REM_STR("")), BASE + 2);
    ck_assert_uint_eq(add(REM_JOURNAL_REVISION, 8, REM_STR("eight")), BASE + 3);
    ck_assert_uint_eq(rem_journal_sequence(&journal), BASE + 3);

    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_OK);
    ck_assert_uint_eq(record.sequence, BASE + 1);
    ck_assert_uint_eq(record.revision, 7);
    ck_assert_int_eq(record.wall_ms, 70);
    ck_assert_uint_eq(record.head, 1);
    ck_assert_int_eq(record.kind, REM_JOURNAL_REVISION);
    check_body(&record, REM_STR("seven"));
    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_OK);
    ck_assert_int_eq(record.kind, REM_JOURNAL_DRAIN);
    check_body(&record, REM_STR(""));
    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_OK);
    check_body(&record, REM_STR("eight"));
    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_EAGAIN);

    ck_assert_int_eq(rem_journal_revision(&journal, 8, &record), REM_OK);
    ck_assert_uint_eq(record.sequence, BASE + 3);
    ck_assert_int_eq(rem_journal_revision(&journal, 9, &record), REM_ENOTFOUND);
}
END_TEST

START_TEST(test_seek)
{
    struct rem_journal_cursor cursor;
    struct rem_journal_record record;

    for (uint64_t i = 1; i <= 6; i++)
        add(i % 2 != 0 ? REM_JOURNAL_REVISION : REM_JOURNAL_HEALTH, i, REM_STR("x"));
    for (uint64_t i = 0; i < 6; i++) {
        ck_assert(rem_journal_seek(&journal, BASE + i, &cursor));
        ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_OK);
        ck_assert_uint_eq(record.sequence, BASE + i + 1);
    }
    ck_assert(rem_journal_seek(&journal, BASE + 6, &cursor));
    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_EAGAIN);
    /* Numbers of another start, earlier or later. */
    ck_assert(!rem_journal_seek(&journal, BASE + 7, &cursor));
    ck_assert(!rem_journal_seek(&journal, BASE - 1, &cursor));
    ck_assert(!rem_journal_seek(&journal, 0, &cursor));
    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_EAGAIN);
    rem_journal_seek_end(&journal, &cursor);
    add(REM_JOURNAL_RELOAD, 9, REM_STR("new"));
    ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_OK);
    check_body(&record, REM_STR("new"));
}
END_TEST

/* Bytes that no compression helps with. */
static struct rem_str noise(size_t n)
{
    static char bytes[REM_JOURNAL_BODY_MAX * 2];
    uint32_t x = 12345;

    ck_assert_uint_le(n, sizeof(bytes));
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (char)(x >> 24);
    }
    return rem_str_make(bytes, n);
}

START_TEST(test_large_bodies)
{
    struct rem_journal_record record = {.kind = REM_JOURNAL_REVISION, .revision = 1};
    char *flat = malloc(REM_JOURNAL_RAW_MAX + 1);
    struct rem_str text = rem_str_make(flat, REM_JOURNAL_RAW_MAX);

    memset(flat, 'a', REM_JOURNAL_RAW_MAX + 1);
    ck_assert_int_eq(rem_journal_append(&journal, &record, text), REM_OK);
    ck_assert_int_eq(rem_journal_revision(&journal, 1, &record), REM_OK);
    ck_assert(record.deflated);
    ck_assert_uint_eq(record.raw, REM_JOURNAL_RAW_MAX);
    check_body(&record, text);
    for (uint32_t head = 0; head < REM_JOURNAL_RAW_MAX; head = head * 3 + 1) {
        struct rem_sbuf first;
        rem_sbuf_init(&first);
        record.head = head;
        ck_assert_int_eq(rem_journal_head(&record, &first), REM_OK);
        ck_assert_uint_eq(first.n, head);
        ck_assert(head == 0 || memcmp(first.p, flat, head) == 0);
        rem_sbuf_fini(&first);
    }
    text.n++;
    ck_assert_int_eq(rem_journal_append(&journal, &record, text), REM_ETOOBIG);
    ck_assert_int_eq(
        rem_journal_append(&journal, &record, noise((size_t)REM_JOURNAL_BODY_MAX + 4096)),
        REM_ETOOBIG);
    record.kind = REM_JOURNAL_HEALTH;
    ck_assert_int_eq(rem_journal_append(&journal, &record, noise(REM_JOURNAL_OTHERS_SIZE / 4)),
                     REM_ETOOBIG);
    ck_assert_uint_eq(rem_journal_sequence(&journal), BASE + 1);
    free(flat);
}
END_TEST

/* Many laps with bodies of all sizes: what is there is whole and in order, and the newest is. */
START_TEST(test_laps)
{
    struct rem_journal_cursor late = {0};
    uint64_t last = 0;

    for (uint64_t i = 1; i <= 20000; i++) {
        size_t n = i % 97 == 0 ? 200000 : i * 7919 % 4000;
        struct rem_journal_cursor cursor;
        struct rem_journal_record record;

        last = add(i % 3 != 0 ? REM_JOURNAL_REVISION : REM_JOURNAL_EJECT, i,
                   noise(i % 3 != 0 ? n : n % 30000));
        if (i == 1)
            ck_assert_int_eq(rem_journal_next(&journal, &late, &record), REM_OK);
        ck_assert(rem_journal_seek(&journal, last - 1, &cursor));
        ck_assert_int_eq(rem_journal_next(&journal, &cursor, &record), REM_OK);
        ck_assert_uint_eq(record.revision, i);
        check_body(&record, noise(i % 3 != 0 ? n : n % 30000));
        ck_assert_uint_le(journal.counts[0], REM_JOURNAL_CHANGES);
        ck_assert_uint_le(journal.counts[1], REM_JOURNAL_OTHERS);
        if (i % 1000 == 0) {
            struct rem_journal_cursor all = {0};
            uint64_t before = 0, n_read = 0;
            while (rem_journal_next(&journal, &all, &record) == REM_OK) {
                ck_assert_uint_gt(record.sequence, before);
                before = record.sequence;
                n_read++;
            }
            ck_assert_uint_eq(before, last);
            ck_assert_uint_eq(n_read, journal.counts[0] + journal.counts[1]);
        }
    }
    struct rem_journal_record record;
    ck_assert_int_eq(rem_journal_next(&journal, &late, &record), REM_EFULL);
    ck_assert(!rem_journal_seek(&journal, BASE + 1, &late));
}
END_TEST

/* What an agent leaves that was killed between preparing, publishing and committing. */
START_TEST(test_recover)
{
    static const struct {
        uint64_t published;
        bool commit;
        bool counts;
    } rows[] = {{5, false, true}, {4, false, false}, {5, true, true}, {9, false, true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rem_journal_record record = {.kind = REM_JOURNAL_REVISION, .revision = 5};
        struct rem_journal next = {0};
        int fd;

        teardown();
        setup();
        add(REM_JOURNAL_REVISION, 4, REM_STR("four"));
        ck_assert_int_eq(rem_journal_prepare(&journal, &record, REM_STR("five")), REM_OK);
        ck_assert_int_eq(rem_journal_revision(&journal, 5, &record), REM_ENOTFOUND);
        if (rows[i].commit)
            rem_journal_commit(&journal);
        fd = dup(journal.fd);
        ck_assert_int_eq(rem_journal_attach(&next, fd), REM_OK);
        rem_journal_recover(&next, rows[i].published, REM_JOURNAL_HISTORY);
        ck_assert_uint_eq(next.counts[0], rows[i].counts ? 2u : 1u);
        ck_assert_int_eq(rem_journal_revision(&next, 5, &record),
                         rows[i].counts ? REM_OK : REM_ENOTFOUND);
        /* Once is enough. */
        rem_journal_recover(&next, 100, REM_JOURNAL_HISTORY);
        ck_assert_uint_eq(next.counts[0], rows[i].counts ? 2u : 1u);
        record = (struct rem_journal_record){.kind = REM_JOURNAL_REVISION, .revision = 6};
        ck_assert_int_eq(rem_journal_append(&next, &record, REM_STR("six")), REM_OK);
        ck_assert_int_eq(rem_journal_revision(&next, 6, &record), REM_OK);
        rem_journal_close(&next);
    }
}
END_TEST

START_TEST(test_what_was_prepared_is_dropped)
{
    struct rem_journal_record record = {.kind = REM_JOURNAL_REVISION, .revision = 1};

    ck_assert_int_eq(rem_journal_prepare(&journal, &record, REM_STR("one")), REM_OK);
    add(REM_JOURNAL_REVISION, 2, REM_STR("two"));
    rem_journal_commit(&journal);
    ck_assert_int_eq(rem_journal_revision(&journal, 1, &record), REM_ENOTFOUND);
    ck_assert_uint_eq(journal.counts[0], 1);
}
END_TEST

START_TEST(test_not_a_journal)
{
    struct rem_journal other = {0};
    FILE *file = tmpfile();

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(rem_journal_attach(&other, fileno(file)), REM_EINVAL);
    ck_assert_int_eq(
        ftruncate(fileno(file), 4096 + REM_JOURNAL_CHANGES_SIZE + REM_JOURNAL_OTHERS_SIZE), 0);
    ck_assert_int_eq(rem_journal_attach(&other, fileno(file)), REM_EINVAL);
    ck_assert_ptr_null(other.map);
    fclose(file);
    ck_assert_int_eq(rem_journal_attach(&other, -1), REM_EIO);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("journal");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_append_and_read);
    tcase_add_test(tc, test_seek);
    tcase_add_test(tc, test_large_bodies);
    tcase_add_test(tc, test_laps);
    tcase_add_test(tc, test_recover);
    tcase_add_test(tc, test_what_was_prepared_is_dropped);
    tcase_add_test(tc, test_not_a_journal);
    return run_suite("journal", tc);
}
