/* SPDX-License-Identifier: Apache-2.0 */
/* regex.c - see regex.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "proto/base/regex.h"

#include <pcre2.h>

_Static_assert(sizeof(PCRE2_SIZE) == sizeof(size_t), "offsets are handed out as size_t");
_Static_assert(PCRE2_UNSET == REM_REGEX_NONE, "an unset group is passed on as it is");

/* A pattern that backtracks more often is given up; a match takes less than about 0.1 s so. */
enum { MATCH_LIMIT = 1000000, HEAP_LIMIT_KIB = 16384 };

struct rem_regex {
    struct rem_str pattern;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    uint32_t n_captures;
    uint32_t n_names;
    struct rem_regex_name *names;
};

static void on_arena_reset(void *data)
{
    struct rem_regex *regex = data;

    pcre2_match_context_free(regex->limits);
    pcre2_match_data_free(regex->match);
    pcre2_code_free(regex->code);
}

static int compile(struct rem_regex *regex, uint32_t flags, struct rem_err *err)
{
    uint32_t options = flags & REM_REGEX_NOCASE ? PCRE2_CASELESS : 0;
    struct rem_str p = regex->pattern;
    PCRE2_SIZE at;
    int code;

    regex->code = pcre2_compile((PCRE2_SPTR)p.p, p.n, options, &code, &at, NULL);
    if (regex->code == NULL) {
        unsigned char reason[128];

        pcre2_get_error_message(code, reason, sizeof(reason));
        if (at >= p.n)
            return rem_err_set(err, REM_EINVAL, "pcre2_compile() failed: %s in \"%s\"", reason,
                               p.p);
        return rem_err_set(err, REM_EINVAL, "pcre2_compile() failed: %s in \"%s\" at \"%s\"",
                           reason, p.p, p.p + at);
    }
    /* Without JIT (no memory to execute from) the interpreter does the same, slower. */
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    regex->match = pcre2_match_data_create_from_pattern(regex->code, NULL);
    regex->limits = pcre2_match_context_create(NULL);
    if (regex->match == NULL || regex->limits == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    pcre2_set_match_limit(regex->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(regex->limits, HEAP_LIMIT_KIB);
    return 0;
}

/* PCRE2 keeps names in a table of entries: two bytes of number, the name, NUL. */
static int read_names(struct rem_regex *regex, struct rem_arena *arena)
{
    PCRE2_SPTR table = NULL;
    uint32_t entry_size = 0;

    if (pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &regex->n_captures) != 0 ||
        pcre2_pattern_info(regex->code, PCRE2_INFO_NAMECOUNT, &regex->n_names) != 0)
        return REM_EIO;
    if (regex->n_names == 0)
        return 0;
    if (pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &table) != 0 ||
        pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_size) != 0)
        return REM_EIO;
    regex->names = rem_arena_alloc(arena, regex->n_names * sizeof(*regex->names));
    if (regex->names == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < regex->n_names; i++) {
        PCRE2_SPTR entry = table + (size_t)i * entry_size;

        regex->names[i].number = ((uint32_t)entry[0] << 8) | entry[1];
        regex->names[i].name = rem_str_from((const char *)entry + 2);
    }
    return 0;
}

int rem_regex_new(struct rem_arena *arena, struct rem_str pattern, uint32_t flags,
                  struct rem_regex **out, struct rem_err *err)
{
    struct rem_regex *regex = rem_arena_zalloc(arena, sizeof(*regex));
    int rc;

    if (regex == NULL || rem_arena_on_reset(arena, on_arena_reset, regex) < 0)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    regex->pattern = rem_arena_dup(arena, pattern);
    if (regex->pattern.p == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    rc = compile(regex, flags, err);
    if (rc < 0)
        return rc;
    rc = read_names(regex, arena);
    if (rc < 0)
        return rem_err_set(err, rc, "%s", rem_err_text(rc));
    *out = regex;
    return 0;
}

int rem_regex_match(const struct rem_regex *regex, struct rem_str subject, const size_t **ovector)
{
    PCRE2_SPTR text = (PCRE2_SPTR)(subject.p != NULL ? subject.p : "");
    int n = pcre2_match(regex->code, text, subject.n, 0, 0, regex->match, regex->limits);

    /* The machine code's stack is small; the interpreter's grows to the heap limit. */
    if (n == PCRE2_ERROR_JIT_STACKLIMIT)
        n = pcre2_match(regex->code, text, subject.n, 0, PCRE2_NO_JIT, regex->match, regex->limits);
    if (n > 0) {
        *ovector = pcre2_get_ovector_pointer(regex->match);
        return n;
    }
    switch (n) {
    case PCRE2_ERROR_NOMATCH:
        return 0;
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return REM_ETOOBIG;
    case PCRE2_ERROR_NOMEMORY:
        return REM_ENOMEM;
    default:
        return REM_EIO;
    }
}

uint32_t rem_regex_captures(const struct rem_regex *regex)
{
    return regex->n_captures;
}

struct rem_str rem_regex_pattern(const struct rem_regex *regex)
{
    return regex->pattern;
}

const struct rem_regex_name *rem_regex_names(const struct rem_regex *regex, uint32_t *n)
{
    *n = regex->n_names;
    return regex->names;
}
