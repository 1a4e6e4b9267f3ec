/* SPDX-License-Identifier: Apache-2.0 */
/* uri_fuzz.c - targets, hosts, paths and dates.
 *
 * Checked: a normal path stays what it is, has no dot segments, and survives being escaped and
 * read again; an accepted host has nothing in it that could end a field or a URI's authority.  */
#include "proto/base/err.h"
#include "proto/wire/date.h"
#include "proto/wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(struct rem_str text, struct rem_arena *arena)
{
    struct rem_str path, escaped, back;

    if (rem_uri_normalize(text, true, arena, &path) != REM_OK)
        return;
    REM_CHECK(path.n != 0 && path.p[0] == '/' && path.n <= text.n);
    REM_CHECK(memmem(path.p, path.n, "/../", 4) == NULL);
    REM_CHECK(memmem(path.p, path.n, "//", 2) == NULL);
    REM_CHECK(rem_uri_escape(path, REM_URI_ESCAPE_PATH, arena, &escaped) == REM_OK);
    REM_CHECK(rem_uri_normalize(escaped, true, arena, &back) == REM_OK);
    REM_CHECK(rem_str_eq(path, back));
}

static void check_host(struct rem_str text, struct rem_arena *arena)
{
    struct rem_authority authority;
    struct rem_str lower;

    if (rem_authority_split(text, &authority) != REM_OK)
        return;
    REM_CHECK(authority.host.n != 0 && authority.host.n <= text.n);
    for (size_t i = 0; i < text.n; i++)
        REM_CHECK(text.p[i] > 0x20 && text.p[i] != 0x7f && strchr("/?#@,\\", text.p[i]) == NULL);
    REM_CHECK(rem_host_lower(&authority, arena, &lower) == REM_OK);
    REM_CHECK(rem_str_eq_nocase(lower, authority.host));
}

static void check_date(struct rem_str text)
{
    char again[REM_DATE_SIZE];
    time_t when, back;

    if (rem_date_parse(text, 1795132800, &when) != REM_OK)
        return;
    rem_date_format(again, when);
    REM_CHECK(rem_date_parse(rem_str_make(again, sizeof(again)), 0, &back) == REM_OK);
    REM_CHECK(when == back || when == INT64_C(253402300800)); /* a leap second in 9999 */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_str text = rem_str_make((const char *)data, size);
    struct rem_target target;
    struct rem_str plain;
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    if (rem_target_split(text, false, true, &target) == REM_OK) {
        check_path(target.path, &arena);
        check_host(target.authority, &arena);
    }
    check_path(text, &arena);
    check_host(text, &arena);
    check_date(text);
    REM_CHECK(rem_uri_unescape(text, &arena, &plain) == REM_OK && plain.n <= size);
    rem_arena_reset(&arena);
    return 0;
}
