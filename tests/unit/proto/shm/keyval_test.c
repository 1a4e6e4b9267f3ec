/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/keyval.h"

#include "tests/unit/proto/shm/fixture.h"

enum { NOW = 1000000 };

static struct rem_str build(struct rem_keyval_edit *edit)
{
    struct rem_str bytes;

    ck_assert_int_eq(rem_keyval_edit_build(edit, &bytes), 0);
    if (edit->max_size == 0)
        ck_assert_uint_eq(bytes.n, rem_keyval_edit_size(edit));
    else
        ck_assert_uint_le(bytes.n, edit->max_size);
    ck_assert(rem_keyval_valid(bytes, edit->type));
    rem_keyval_edit_fini(edit);
    return bytes;
}

static void release(struct rem_str bytes)
{
    free((void *)(uintptr_t)bytes.p);
}

static int put(struct rem_keyval_edit *edit, const char *key, const char *value, uint64_t expires)
{
    const struct rem_keyval_entry entry = {rem_str_from(key), rem_str_from(value), expires};

    return rem_keyval_edit_put(edit, &entry);
}

/* A zone of "k=v" pairs, of which "-" in front means that it is dead. */
static struct rem_str zone_of(enum rem_keyval_type type, const char *const *pairs)
{
    struct rem_keyval_edit edit;

    ck_assert_int_eq(rem_keyval_edit_init(&edit, type, REM_STR(""), NOW), 0);
    for (; *pairs != NULL; pairs += 2)
        ck_assert_int_eq(
            put(&edit, pairs[0] + (*pairs[0] == '-'), pairs[1], *pairs[0] == '-' ? NOW : 0), 0);
    return build(&edit);
}

static const char *look(struct rem_str zone, const char *text, uint64_t now)
{
    static char value[64];
    struct rem_str out;

    if (!rem_keyval_lookup(zone.p, rem_str_from(text), now, &out))
        return "(none)";
    (void)snprintf(value, sizeof(value), "%.*s", REM_STR_ARG(out));
    return value;
}

static const char *const strings[] = {"one", "1", "two", "", "On", "2", "-dead", "3", NULL};
static const char *const nets[] = {"10.0.0.0/8",
                                   "ten",
                                   "10.1.0.0/16",
                                   "one",
                                   "10.1.2.3",
                                   "host",
                                   "-10.1.2.4",
                                   "dead",
                                   "::/0",
                                   "six",
                                   "2001:db8::/33",
                                   "doc",
                                   "::ffff:192.0.2.0/120",
                                   "mapped",
                                   "2001:db8::1",
                                   "host6",
                                   NULL};
static const char *const prefixes[] = {"/a",       "a",    "/ab", "ab",    "/ab/c",
                                       "abc",      "/b",   "b",   "/ab/x", "abx",
                                       "-/ab/c/d", "dead", "zz",  "z",     NULL};

static const struct look_case {
    enum rem_keyval_type type;
    const char *const *pairs;
    const char *text, *value;
} look_cases[] = {
    {REM_KEYVAL_STRING, strings, "one", "1"},
    {REM_KEYVAL_STRING, strings, "two", ""},
    {REM_KEYVAL_STRING, strings, "On", "2"},
    {REM_KEYVAL_STRING, strings, "ONE", "(none)"},
    {REM_KEYVAL_STRING, strings, "on", "(none)"},
    {REM_KEYVAL_STRING, strings, "", "(none)"},
    {REM_KEYVAL_STRING, strings, "dead", "(none)"},
    {REM_KEYVAL_IP, nets, "10.1.2.3", "host"},
    {REM_KEYVAL_IP, nets, "10.1.2.4", "one"},
    {REM_KEYVAL_IP, nets, "10.1.255.255", "one"},
    {REM_KEYVAL_IP, nets, "10.2.0.0", "ten"},
    {REM_KEYVAL_IP, nets, "11.0.0.0", "(none)"},
    {REM_KEYVAL_IP, nets, "::ffff:10.2.0.0", "ten"},
    {REM_KEYVAL_IP, nets, "192.0.2.77", "mapped"},
    {REM_KEYVAL_IP, nets, "192.0.3.1", "(none)"},
    {REM_KEYVAL_IP, nets, "2001:db8::1", "host6"},
    {REM_KEYVAL_IP, nets, "2001:db8:7fff::", "doc"},
    {REM_KEYVAL_IP, nets, "2001:db8:8000::", "six"},
    {REM_KEYVAL_IP, nets, "10.1.0.0/16", "one"},
    {REM_KEYVAL_IP, nets, "10.1.2.0/24", "one"},
    {REM_KEYVAL_IP, nets, "10.0.0.0/15", "ten"},
    {REM_KEYVAL_IP, nets, "8.0.0.0/6", "(none)"},
    {REM_KEYVAL_IP, nets, "10.1.2.3:80", "(none)"},
    {REM_KEYVAL_IP, nets, "unix:", "(none)"},
    {REM_KEYVAL_IP, nets, "x", "(none)"},
    {REM_KEYVAL_PREFIX, prefixes, "/a", "a"},
    {REM_KEYVAL_PREFIX, prefixes, "/ac", "a"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab", "ab"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab/", "ab"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab/b", "ab"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab/c", "abc"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab/c/d", "abc"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab/c/d/e", "abc"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab/w", "ab"},
    {REM_KEYVAL_PREFIX, prefixes, "/ab/x\xff", "abx"},
    {REM_KEYVAL_PREFIX, prefixes, "/b", "b"},
    {REM_KEYVAL_PREFIX, prefixes, "/", "(none)"},
    {REM_KEYVAL_PREFIX, prefixes, "zzz", "z"},
    {REM_KEYVAL_PREFIX, prefixes, "\xff", "(none)"},
};

START_TEST(looks_up)
{
    const struct look_case *c = &look_cases[_i];
    struct rem_str zone = zone_of(c->type, c->pairs);

    ck_assert_msg(strcmp(look(zone, c->text, NOW), c->value) == 0, "%s: %s, not %s", c->text,
                  look(zone, c->text, NOW), c->value);
    release(zone);
}
END_TEST

START_TEST(entries_die)
{
    struct rem_keyval_edit edit;
    struct rem_str first, second;
    struct rem_keyval_entry entry;

    ck_assert_int_eq(rem_keyval_edit_init(&edit, REM_KEYVAL_STRING, REM_STR(""), NOW), 0);
    ck_assert_int_eq(put(&edit, "a", "1", NOW + 10), 0);
    ck_assert_int_eq(put(&edit, "b", "2", NOW + 20), 0);
    first = build(&edit);
    ck_assert_str_eq(look(first, "a", NOW + 9), "1");
    ck_assert_str_eq(look(first, "a", NOW + 10), "(none)");
    ck_assert_str_eq(look(first, "b", NOW + 10), "2");
    ck_assert_uint_eq(rem_keyval_count(first), 2);
    ck_assert_int_eq(rem_keyval_find(first, REM_STR("a"), &entry), 0);
    ck_assert_uint_eq(entry.expires_ms, NOW + 10);
    ck_assert_int_eq(rem_keyval_edit_init(&edit, REM_KEYVAL_STRING, first, NOW + 10), 0);
    ck_assert_int_eq(rem_keyval_edit_get(&edit, REM_STR("a"), &entry), REM_ENOTFOUND);
    second = build(&edit);
    ck_assert_uint_eq(rem_keyval_count(second), 1);
    ck_assert_uint_lt(second.n, first.n);
    ck_assert_int_eq(rem_keyval_find(second, REM_STR("a"), &entry), REM_ENOTFOUND);
    release(first);
    release(second);
}
END_TEST

START_TEST(one_network_is_one_key)
{
    static const char *const same[] = {"10.0.0.0/8", "10.1.2.3/8", "::ffff:10.0.0.0/104"};
    struct rem_keyval_edit edit;
    struct rem_keyval_entry entry;
    struct rem_str zone;

    ck_assert_int_eq(rem_keyval_edit_init(&edit, REM_KEYVAL_IP, REM_STR(""), NOW), 0);
    for (size_t i = 0; i < REM_COUNT(same); i++)
        ck_assert_int_eq(put(&edit, same[i], same[i], 0), 0);
    ck_assert_int_eq(put(&edit, "10.0.0.0/33", "x", 0), REM_EINVAL);
    ck_assert_int_eq(put(&edit, "name", "x", 0), REM_EINVAL);
    ck_assert_int_eq(put(&edit, "unix:", "x", 0), REM_EINVAL);
    ck_assert_int_eq(put(&edit, "", "x", 0), REM_EINVAL);
    zone = build(&edit);
    ck_assert_uint_eq(rem_keyval_count(zone), 1);
    ck_assert_int_eq(rem_keyval_find(zone, REM_STR("10.9.9.9/8"), &entry), 0);
    ck_assert(rem_str_is(entry.key, same[0]) && rem_str_is(entry.value, same[2]));
    release(zone);
}
END_TEST

/* So that whoever compares bytes sees no change. */
START_TEST(what_is_put_again_changes_nothing)
{
    const char *const *all[] = {strings, nets};

    for (size_t i = 0; i < 2 * REM_COUNT(all); i++) {
        enum rem_keyval_type type = i % 2 == 0 ? REM_KEYVAL_STRING : REM_KEYVAL_IP;
        struct rem_str zone = zone_of(type, all[i % 2]), again;
        struct rem_keyval_edit edit;
        struct rem_keyval_entry entry;
        ck_assert_int_eq(rem_keyval_edit_init(&edit, type, zone, 0), 0);
        edit.max_size = REM_KEYVAL_SIZE_MIN;
        for (size_t n = 0; n < rem_keyval_count(zone); n++) {
            rem_keyval_at(zone, n, &entry);
            ck_assert_int_eq(rem_keyval_edit_put(&edit, &entry), 0);
        }
        if (i >= REM_COUNT(all)) { /* but another time does */
            entry.expires_ms++;
            ck_assert_int_eq(rem_keyval_edit_put(&edit, &entry), 0);
        }
        again = build(&edit);
        ck_assert_int_eq(rem_str_eq(zone, again), i < REM_COUNT(all));
        release(zone);
        release(again);
    }
}
END_TEST

START_TEST(bounds)
{
    static char big[REM_KEYVAL_VALUE_MAX + 1];
    struct rem_keyval_edit edit;
    struct rem_keyval_entry entry = {.key = rem_str_make(big, REM_KEYVAL_KEY_MAX + 1)};
    struct rem_str zone;

    ck_assert_int_eq(rem_keyval_edit_init(&edit, REM_KEYVAL_STRING, REM_STR(""), NOW), 0);
    ck_assert_int_eq(rem_keyval_edit_put(&edit, &entry), REM_ETOOBIG);
    entry.key.n--;
    entry.value = rem_str_make(big, sizeof(big));
    ck_assert_int_eq(rem_keyval_edit_put(&edit, &entry), REM_ETOOBIG);
    entry.value.n--;
    ck_assert_int_eq(rem_keyval_edit_put(&edit, &entry), 0);
    zone = build(&edit);
    ck_assert_uint_gt(zone.n, REM_KEYVAL_VALUE_MAX + REM_KEYVAL_KEY_MAX);
    ck_assert(!rem_keyval_valid(zone, REM_KEYVAL_IP));
    ck_assert(!rem_keyval_valid(rem_str_make(zone.p, zone.n - 1), REM_KEYVAL_STRING));
    ck_assert(!rem_keyval_valid(rem_str_make(zone.p, 8), REM_KEYVAL_STRING));
    release(zone);
}
END_TEST

/* Thousands of steps, against a plain array; with and without room, so that the bytes are both laid
 * out anew and changed in a copy. */
enum { KEYS = 500, STEPS = 5000, ROOM = 64 << 10 };

static char values[KEYS][16], keys[KEYS][24];

static void begin(struct rem_keyval_edit *edit, int run, struct rem_str zone)
{
    ck_assert_int_eq(rem_keyval_edit_init(edit, (enum rem_keyval_type)(run / 2), zone, NOW), 0);
    edit->max_size = run % 2 == 0 ? 0 : ROOM;
}

/* Is all in the zone that is in the array, and nothing else? */
static void compare(struct rem_str zone, size_t count)
{
    struct rem_keyval_entry entry;

    ck_assert_uint_eq(rem_keyval_count(zone), count);
    for (int i = 0; i < KEYS; i++) {
        int rc = rem_keyval_find(zone, rem_str_from(keys[i]), &entry);

        ck_assert_int_eq(rc, values[i][0] != '\0' ? 0 : REM_ENOTFOUND);
        if (rc == 0)
            ck_assert(rem_str_is(entry.key, keys[i]) && rem_str_is(entry.value, values[i]));
        if (rc == 0)
            ck_assert_str_eq(look(zone, keys[i], NOW), values[i]);
    }
}

static size_t step(struct rem_keyval_edit *edit, int number, uint32_t random, size_t count)
{
    int k = (int)(random >> 8) % KEYS;
    bool there = values[k][0] != '\0', removes = random >> 30 == 0;
    struct rem_keyval_entry entry;

    ck_assert_int_eq(rem_keyval_edit_get(edit, rem_str_from(keys[k]), &entry),
                     there ? 0 : REM_ENOTFOUND);
    if (removes) {
        ck_assert_int_eq(rem_keyval_edit_remove(edit, rem_str_from(keys[k])),
                         there ? 0 : REM_ENOTFOUND);
        values[k][0] = '\0';
        return count - there;
    }
    (void)snprintf(values[k], sizeof(values[k]), "v%d", number);
    ck_assert_int_eq(put(edit, keys[k], values[k], number % 2 == 0 ? 0 : NOW + 1), 0);
    return count + !there;
}

START_TEST(does_what_a_plain_array_does)
{
    struct rem_keyval_edit edit;
    struct rem_str zone = {"", 0};
    uint32_t random = 7 + (uint32_t)_i;
    size_t count = 0;

    memset(values, 0, sizeof(values));
    for (int i = 0; i < KEYS; i++)
        (void)snprintf(keys[i], sizeof(keys[i]),
                       _i / 2 == REM_KEYVAL_IP ? "10.%d.0.0/%d" : "key%d.%d", i % 100,
                       i / 100 + 16);
    begin(&edit, _i, zone);
    for (int number = 0; number < STEPS; number++) {
        random = random * 1664525 + 1013904223;
        count = step(&edit, number, random, count);
        if (random % 32 != 0)
            continue;
        struct rem_str next = build(&edit);
        if (zone.n != 0)
            release(zone);
        zone = next;
        compare(zone, count);
        begin(&edit, _i, zone);
    }
    rem_keyval_edit_clear(&edit);
    release(zone);
    zone = build(&edit);
    ck_assert_uint_eq(rem_keyval_count(zone), 0);
    ck_assert_str_eq(look(zone, "key1.16", NOW), "(none)");
    release(zone);
}
END_TEST

START_TEST(what_is_full_is_laid_out_tightly)
{
    static char value[100];
    struct rem_keyval_edit edit;
    struct rem_str zone = {"", 0};
    int n = 0;

    memset(value, 'x', sizeof(value) - 1);
    for (;; n++) {
        char key[24];
        (void)snprintf(key, sizeof(key), "key%d", n);
        ck_assert_int_eq(rem_keyval_edit_init(&edit, REM_KEYVAL_STRING, zone, NOW), 0);
        edit.max_size = REM_KEYVAL_SIZE_MIN;
        ck_assert_int_eq(put(&edit, key, value, 0), 0);
        if (rem_keyval_edit_size(&edit) > edit.max_size)
            break;
        struct rem_str next = build(&edit);
        if (zone.n != 0)
            release(zone);
        zone = next;
    }
    rem_keyval_edit_fini(&edit);
    ck_assert_uint_eq(rem_keyval_count(zone), (size_t)n);
    ck_assert_int_gt(n, 45);
    ck_assert_str_ne(look(zone, "key0", NOW), "(none)");
    release(zone);
}
END_TEST

START_TEST(types_have_names)
{
    enum rem_keyval_type type;
    struct rem_keyval_spec a = {.type = REM_KEYVAL_STRING}, b = {.type = REM_KEYVAL_IP};

    for (int i = 0; i < REM_KEYVAL_TYPES; i++) {
        const char *name = rem_keyval_type_name((enum rem_keyval_type)i);
        ck_assert_int_eq(rem_keyval_type_parse(rem_str_from(name), &type), 0);
        ck_assert_int_eq((int)type, i);
    }
    ck_assert_int_eq(rem_keyval_type_parse(REM_STR("ipv4"), &type), REM_EINVAL);
    ck_assert_uint_ne(rem_keyval_config_hash(&a), rem_keyval_config_hash(&b));
    ck_assert_uint_ne(rem_keyval_config_hash(&a), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("keyval");

    tcase_add_loop_test(tcase, looks_up, 0, REM_COUNT(look_cases));
    tcase_add_test(tcase, entries_die);
    tcase_add_test(tcase, one_network_is_one_key);
    tcase_add_test(tcase, what_is_put_again_changes_nothing);
    tcase_add_test(tcase, bounds);
    tcase_add_loop_test(tcase, does_what_a_plain_array_does, 0, 2 * REM_KEYVAL_TYPES);
    tcase_add_test(tcase, what_is_full_is_laid_out_tightly);
    tcase_add_test(tcase, types_have_names);
    return run_suite("keyval", tcase);
}
