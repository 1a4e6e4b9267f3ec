/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/alloc.h"

#include "proto/shm/layout.h"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

enum { UNITS = 4096, BASE = 65536, LIVE_MAX = 300 };

struct block {
    uint64_t off, size;
};

static uint32_t units_of(uint64_t size)
{
    return (uint32_t)((size + REM_SHM_UNIT - 1) / REM_SHM_UNIT);
}

/* Marks a block in the model; no unit may be taken twice. */
static uint64_t mark(uint8_t *model, const struct block *block, uint8_t value)
{
    uint64_t first = (block->off - BASE) / REM_SHM_UNIT;

    ck_assert_uint_ge(block->off, BASE);
    ck_assert_uint_eq(block->off % REM_SHM_UNIT, 0);
    ck_assert_uint_le(first + units_of(block->size), UNITS);
    for (uint32_t i = 0; i < units_of(block->size); i++) {
        ck_assert_msg(model[first + i] != value, "unit %lu twice", (unsigned long)(first + i));
        model[first + i] = value;
    }
    return units_of(block->size) * (uint64_t)REM_SHM_UNIT;
}

/* Takes and gives at random beside a map of units; at the end all is one piece again. */
START_TEST(random_against_model)
{
    static uint8_t model[UNITS];
    struct block live[LIVE_MAX];
    struct rem_alloc alloc;
    size_t count = 0;
    uint64_t used = 0;
    unsigned full = 0;

    srand((unsigned)_i + 7);
    memset(model, 0, sizeof(model));
    ck_assert_int_eq(rem_alloc_init(&alloc, BASE, BASE + UNITS * REM_SHM_UNIT, BASE), REM_OK);
    for (int step = 0; step < 20000; step++) {
        if (count < LIVE_MAX && (count == 0 || rand() % 2)) {
            struct block block = {.size = 1 + (uint64_t)rand() % (rand() % 8 ? 2000 : 40000)};
            int rc = rem_alloc_take(&alloc, block.size, &block.off);
            if (rc == REM_OK) {
                used += mark(model, &block, 1);
                live[count++] = block;
            } else {
                ck_assert_int_eq(rc, REM_EFULL);
                full++;
            }
        } else {
            size_t at = (size_t)rand() % count;
            used -= mark(model, &live[at], 0);
            rem_alloc_give(&alloc, live[at].off, live[at].size);
            live[at] = live[--count];
        }
        ck_assert_uint_eq(rem_alloc_used(&alloc), used);
        ck_assert_uint_eq(rem_alloc_free(&alloc), UNITS * (uint64_t)REM_SHM_UNIT - used);
    }
    ck_assert_msg(full > 0, "the region never filled up: the test is too gentle");
    while (count != 0) {
        count--;
        rem_alloc_give(&alloc, live[count].off, live[count].size);
    }
    ck_assert_uint_eq(rem_alloc_used(&alloc), 0);
    ck_assert_uint_eq(rem_alloc_top(&alloc), BASE);
    uint64_t off;
    ck_assert_int_eq(rem_alloc_take(&alloc, UNITS * REM_SHM_UNIT, &off), REM_OK);
    ck_assert_int_eq(rem_alloc_take(&alloc, 1, &off), REM_EFULL);
    rem_alloc_fini(&alloc);
}
END_TEST

START_TEST(begins_taken_below_top)
{
    struct rem_alloc alloc;
    uint64_t off;

    ck_assert_int_eq(rem_alloc_init(&alloc, BASE, BASE + 100 * REM_SHM_UNIT, BASE + 6400), REM_OK);
    ck_assert_int_eq(rem_alloc_take(&alloc, 1, &off), REM_EFULL);
    rem_alloc_give(&alloc, BASE + 640, 1280);
    ck_assert_int_eq(rem_alloc_take(&alloc, 1281, &off), REM_EFULL);
    ck_assert_int_eq(rem_alloc_take(&alloc, UINT64_MAX / 2, &off), REM_EFULL);
    ck_assert_int_eq(rem_alloc_take(&alloc, 1280, &off), REM_OK);
    ck_assert_uint_eq(off, BASE + 640);
    rem_alloc_fini(&alloc);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("alloc");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, random_against_model, 0, 4);
    tcase_add_test(tcase, begins_taken_below_top);
    return run_suite("alloc", tcase);
}
