/* SPDX-License-Identifier: Apache-2.0 */
/* Networks and ranges against a search that simply looks at all of them. */
#include "proxy/http/mod/geo.h"

#include "tests/unit/proxy/conf/helper.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { MANY = 2000 };

static struct rem_arena arena;
static struct rem_geo_table table;

static void setup(void)
{
    rem_arena_init(&arena, NULL);
    rem_geo_table_init(&table, &arena);
}

static void teardown(void)
{
    rem_arena_reset(&arena);
}

static int add(struct rem_geo_entry entry, uint32_t line)
{
    entry.pos.line = line;
    if (rem_geo_table_get(&table, &entry) != NULL)
        return REM_EEXIST;
    return rem_geo_table_add(&table, &arena, &entry);
}

static void build(void)
{
    const struct rem_geo_entry *later, *earlier;

    ck_assert_int_eq(rem_geo_table_build(&table, &arena, &later, &earlier), 0);
}

static struct rem_geo_point point(const char *text)
{
    struct rem_geo_entry entry;
    bool is_v6, masked;

    ck_assert_int_eq(rem_geo_parse_network(rem_str_from(text), &entry, &is_v6, &masked), 0);
    return entry.first;
}

static const char *find(const char *text)
{
    const struct rem_geo_entry *entry = rem_geo_table_find(&table, point(text));

    return entry != NULL ? entry->text.p : "none";
}

static bool holds(const struct rem_geo_entry *entry, struct rem_geo_point p)
{
    if (p.high < entry->first.high || (p.high == entry->first.high && p.low < entry->first.low))
        return false;
    return p.high < entry->last.high || (p.high == entry->last.high && p.low <= entry->last.low);
}

/* The narrowest that holds the point: of networks, the one that begins last and ends first. */
static const struct rem_geo_entry *search(struct rem_geo_point p)
{
    const struct rem_geo_entry *best = NULL;

    for (uint32_t i = 0; i < table.entries.n; i++) {
        const struct rem_geo_entry *entry = REM_ARRAY_OF(&table.entries, struct rem_geo_entry *)[i];

        if (!entry->deleted && holds(entry, p) &&
            (best == NULL || (holds(best, entry->first) && holds(best, entry->last))))
            best = entry;
    }
    return best;
}

static uint64_t random_bits(void)
{
    return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

/* A network of either family, many of them within each other. */
static void add_random(bool v6, uint32_t line)
{
    unsigned width = v6 ? 128 : 32, prefix = (unsigned)random() % (width + 1);
    char text[INET6_ADDRSTRLEN], network[INET6_ADDRSTRLEN + 8];
    struct rem_geo_entry entry;
    struct in6_addr address;
    bool is_v6, masked;

    for (size_t i = 0; i < sizeof(address); i++)
        address.s6_addr[i] = (unsigned char)(random() % 3 == 0 ? random() : 0x20);
    ck_assert_ptr_nonnull(inet_ntop(v6 ? AF_INET6 : AF_INET, &address, text, sizeof(text)));
    (void)snprintf(network, sizeof(network), "%s/%u", text, prefix);
    ck_assert_int_eq(rem_geo_parse_network(rem_str_from(network), &entry, &is_v6, &masked), 0);
    ck_assert_int_eq(is_v6, v6);
    entry.deleted = line % 7 == 0;
    (void)add(entry, line); /* the same may come twice */
}

START_TEST(as_a_plain_search)
{
    bool v6 = _i != 0;

    for (uint32_t i = 1; i <= MANY; i++)
        add_random(v6, i);
    build();
    for (uint32_t i = 0; i < table.entries.n; i++) {
        const struct rem_geo_entry *entry = REM_ARRAY_OF(&table.entries, struct rem_geo_entry *)[i];
        struct rem_geo_point points[] = {
            entry->first,
            entry->last,
            {entry->first.high, entry->first.low - 1},
            {entry->last.high, entry->last.low + 1},
            {v6 ? random_bits() : 0, random_bits() & (v6 ? UINT64_MAX : UINT32_MAX)}};

        for (size_t k = 0; k < REM_COUNT(points); k++)
            ck_assert_ptr_eq(rem_geo_table_find(&table, points[k]), search(points[k]));
    }
}
END_TEST

START_TEST(ranges)
{
    static const char *const texts[] = {"10.0.0.0-10.0.255.255", "10.0.1.0-10.0.1.255",
                                        "10.0.1.7-10.0.1.7", "0.0.0.0-0.0.0.0",
                                        "255.255.255.250-255.255.255.255"};

    for (size_t i = 0; i < REM_COUNT(texts); i++) {
        struct rem_geo_entry entry = {.text = rem_str_from(texts[i])};

        ck_assert_int_eq(rem_geo_parse_range(entry.text, &entry), 0);
        ck_assert_int_eq(add(entry, (uint32_t)i), 0);
    }
    build();
    ck_assert_str_eq(find("10.0.0.0"), texts[0]);
    ck_assert_str_eq(find("10.0.1.0"), texts[1]);
    ck_assert_str_eq(find("10.0.1.7"), texts[2]);
    ck_assert_str_eq(find("10.0.1.8"), texts[1]);
    ck_assert_str_eq(find("10.0.2.0"), texts[0]);
    ck_assert_str_eq(find("10.1.0.0"), "none");
    ck_assert_str_eq(find("0.0.0.0"), texts[3]);
    ck_assert_str_eq(find("0.0.0.1"), "none");
    ck_assert_str_eq(find("255.255.255.255"), texts[4]);
}
END_TEST

START_TEST(overlaps)
{
    static const char *const texts[] = {"1.0.0.5-1.0.0.9", "1.0.0.1-1.0.0.5"};
    const struct rem_geo_entry *later = NULL, *earlier = NULL;

    for (size_t i = 0; i < 2; i++) {
        struct rem_geo_entry entry = {.text = rem_str_from(texts[i])};

        ck_assert_int_eq(rem_geo_parse_range(entry.text, &entry), 0);
        ck_assert_int_eq(add(entry, (uint32_t)i), 0);
    }
    ck_assert_int_eq(rem_geo_table_build(&table, &arena, &later, &earlier), REM_EEXIST);
    ck_assert_str_eq(later->text.p, texts[1]);
    ck_assert_str_eq(earlier->text.p, texts[0]);
}
END_TEST

static const char *const bad_networks[] = {
    "",
    "foo",
    "1.2.3",
    "1.2.3.4/33",
    "1.2.3.4/",
    "1.2.3.4/-1",
    "/8",
    "::1/129",
    "::g",
    "1.2.3.4/a",
    "1.2.3.4-1.2.3.5",
    "1.2.3.256",
    "1.2.3.4/8x",
    "[::1]",
    "1.2.3.4 ",
    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
static const char *const bad_ranges[] = {"",
                                         "1.2.3.4",
                                         "1.2.3.9-1.2.3.8",
                                         "-1.2.3.4",
                                         "1.2.3.4-",
                                         "::1-::2",
                                         "1.2.3.4-::2",
                                         "1.2.3.0/24",
                                         "1.2.3.4-1.2.3.5-1.2.3.6"};

START_TEST(refuses)
{
    struct rem_geo_entry entry;
    bool is_v6, masked;

    for (size_t i = 0; i < REM_COUNT(bad_networks); i++)
        ck_assert_msg(rem_geo_parse_network(rem_str_from(bad_networks[i]), &entry, &is_v6,
                                            &masked) == REM_EINVAL,
                      "%s", bad_networks[i]);
    for (size_t i = 0; i < REM_COUNT(bad_ranges); i++)
        ck_assert_msg(rem_geo_parse_range(rem_str_from(bad_ranges[i]), &entry) == REM_EINVAL, "%s",
                      bad_ranges[i]);
}
END_TEST

START_TEST(masks)
{
    struct rem_geo_entry entry;
    bool is_v6, masked;

    ck_assert_int_eq(rem_geo_parse_network(REM_STR("1.2.3.4/24"), &entry, &is_v6, &masked), 0);
    ck_assert(masked && !is_v6);
    ck_assert_uint_eq(entry.first.low, 0x01020300);
    ck_assert_uint_eq(entry.last.low, 0x010203ff);
    ck_assert_int_eq(rem_geo_parse_network(REM_STR("2001:db8::/33"), &entry, &is_v6, &masked), 0);
    ck_assert(!masked && is_v6);
    ck_assert_uint_eq(entry.last.high, UINT64_C(0x20010db87fffffff));
    ck_assert_uint_eq(entry.last.low, UINT64_MAX);
    ck_assert_int_eq(rem_geo_parse_network(REM_STR("::/0"), &entry, &is_v6, &masked), 0);
    ck_assert_uint_eq(entry.first.high | entry.first.low, 0);
    ck_assert_uint_eq(entry.last.high & entry.last.low, UINT64_MAX);
}
END_TEST

START_TEST(points)
{
    struct rem_geo_point p;
    struct rem_addr addr;

    ck_assert_int_eq(rem_addr_parse(REM_STR("1.2.3.4:80"), 0, &addr), 0);
    ck_assert(!rem_geo_point_of(&addr, &p));
    ck_assert_uint_eq(p.low, 0x01020304);
    ck_assert_int_eq(rem_addr_parse(REM_STR("[::ffff:1.2.3.4]:80"), 0, &addr), 0);
    ck_assert(!rem_geo_point_of(&addr, &p));
    ck_assert_uint_eq(p.low, 0x01020304);
    ck_assert_int_eq(rem_addr_parse(REM_STR("[2001:db8::1]:80"), 0, &addr), 0);
    ck_assert(rem_geo_point_of(&addr, &p));
    ck_assert_uint_eq(p.high, UINT64_C(0x20010db800000000));
    ck_assert_uint_eq(p.low, 1);
    ck_assert_int_eq(rem_addr_parse(REM_STR("unix:/x"), 0, &addr), 0);
    ck_assert(!rem_geo_point_of(&addr, &p));
    ck_assert_uint_eq(p.low, UINT32_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("geo_table");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, as_a_plain_search, 0, 2);
    tcase_add_test(tc, ranges);
    tcase_add_test(tc, overlaps);
    tcase_add_test(tc, refuses);
    tcase_add_test(tc, masks);
    tcase_add_test(tc, points);
    tcase_set_timeout(tc, 60);
    return run_tests(tc);
}
