/* SPDX-License-Identifier: Apache-2.0 */
/* What nginx makes of the same is compared in e2e/differential/autoindex.txt; here is the room. */
#include "proxy/http/mod/listing.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static struct rem_listing_entry entry(const char *name, enum rem_listing_type type, int64_t size)
{
    return (struct rem_listing_entry){rem_str_from(name), size, 1700000000, type};
}

static char *text_of(const struct rem_listing *listing)
{
    size_t size = rem_listing_size(listing);
    char *text = malloc(size + 1);
    struct rem_put put;

    rem_put_init(&put, text, size);
    rem_listing_put(listing, &put);
    ck_assert(!put.full);
    *put.at = '\0';
    return text;
}

START_TEST(order)
{
    struct rem_listing_entry entries[] = {
        entry("b", REM_LISTING_FILE, 1),      entry("a", REM_LISTING_OTHER, 1),
        entry("z", REM_LISTING_DIRECTORY, 1), entry("B", REM_LISTING_FILE, 1),
        entry("aa", REM_LISTING_FILE, 1),     entry("y", REM_LISTING_DIRECTORY, 1)};
    struct rem_listing listing = {.entries = entries, .n = REM_COUNT(entries)};
    char names[20] = "";

    rem_listing_sort(&listing);
    for (size_t i = 0; i < listing.n; i++) {
        strncat(names, entries[i].name.p, entries[i].name.n);
        strcat(names, " ");
    }
    ck_assert_str_eq(names, "y z B a aa b ");
}
END_TEST

/* Every byte at its longest, in each format. */
START_TEST(the_room_is_enough)
{
    static const char *const names[] = {"\"\"\"\"\"\"\"\"", "\x01\x02\x03\x1f", "\xff\xfe\xfd", "&",
                                        ""};

    for (int format = REM_LISTING_HTML; format <= REM_LISTING_JSONP; format++) {
        for (size_t i = 0; i < REM_COUNT(names); i++) {
            struct rem_listing_entry entries[64];
            struct rem_listing listing = {.uri = rem_str_from("/\"\"\"\"/"),
                                          .entries = entries,
                                          .n = REM_COUNT(entries),
                                          .format = (enum rem_listing_format)format,
                                          .callback = rem_str_from("a.callback"),
                                          .exact_size = i % 2 == 0};

            for (size_t k = 0; k < listing.n; k++)
                entries[k] = entry(names[i], (enum rem_listing_type)(k % 3), INT64_MAX);
            free(text_of(&listing));
        }
    }
}
END_TEST

START_TEST(sizes_for_people)
{
    static const struct {
        int64_t size;
        const char *want;
    } rows[] = {
        {0, "      0"},       {9999, "   9999"},       {10000, "    10K"},
        {10751, "    10K"},   {10752, "    11K"},      {1048575, "  1024K"},
        {1048576, "     1M"}, {1572863, "     1M"},    {1572864, "     2M"},
        {1 << 30, "     1G"}, {1610612736, "     2G"}, {INT64_MAX, "8589934592G"},
    };

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        struct rem_listing_entry one = entry("f", REM_LISTING_FILE, rows[i].size);
        struct rem_listing listing = {.uri = rem_str_from("/"), .entries = &one, .n = 1};
        char *text = text_of(&listing), *at = strstr(text, "22:13 ");

        ck_assert_ptr_nonnull(at);
        ck_assert_msg(strncmp(at + 6, rows[i].want, strlen(rows[i].want)) == 0, "row %zu: %s", i,
                      at);
        free(text);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, order);
    tcase_add_test(tc, the_room_is_enough);
    tcase_add_test(tc, sizes_for_people);
    return run_suite("listing", tc);
}
