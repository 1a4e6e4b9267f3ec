/* SPDX-License-Identifier: Apache-2.0 */
/* text_fuzz.c - small readers of what strangers write, and what is made of it.
 *
 * Input:      a letter that says which, and its text:
 *             r  a size in eight bytes, a Range field: parts lie within, and cost no more than the
 *                whole and some slack
 *             g  Accept-Encoding: reading ends
 *             s  up to four patterns and a body, LF between: replaced as a search from every place
 *                would, however the body is cut
 *             v  a pattern, a subject and a text with captures, LF between: the text is what
 * putting it together by hand gives, and as a log line in JSON it is JSON a  addresses and ranges
 * of them: what is printed reads as the same b  base64  */
#include "proto/base/base64.h"
#include "proto/base/cidr.h"
#include "proto/base/sbuf.h"
#include "proxy/conf/capture.h"
#include "proxy/conf/load.h"
#include "proxy/conf/value.h"
#include "proxy/http/mod/byte_ranges.h"
#include "proxy/http/mod/gzip_accept.h"
#include "proxy/http/mod/log_format.h"
#include "proxy/http/mod/sub_match.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rem_str cut(struct rem_str *rest)
{
    const char *at = rem_str_chr(*rest, '\n');
    struct rem_str part = at != NULL ? rem_str_make(rest->p, (size_t)(at - rest->p)) : *rest;

    *rest = rem_str_skip(*rest, part.n + (at != NULL));
    return part;
}

/* ---- r ---- */

static void fuzz_ranges(struct rem_str text, struct rem_arena *arena)
{
    struct rem_byte_ranges ranges;
    uint64_t sum = 0, raw;
    int64_t size;

    if (text.n < sizeof(raw))
        return;
    memcpy(&raw, text.p, sizeof(raw));
    size = (int64_t)(raw & INT64_MAX);
    if (rem_byte_ranges_parse(arena, rem_str_skip(text, sizeof(raw)), size, UINT32_MAX, &ranges) !=
        206)
        return;
    REM_CHECK(ranges.n != 0);
    for (uint32_t i = 0; i < ranges.n; i++) {
        REM_CHECK(ranges.v[i].first >= 0 && ranges.v[i].first < ranges.v[i].end);
        REM_CHECK(ranges.v[i].end <= size);
        sum += (uint64_t)(ranges.v[i].end - ranges.v[i].first);
        REM_CHECK(sum <= (uint64_t)size);
    }
    REM_CHECK(ranges.n == 1 || sum + (uint64_t)ranges.n * REM_BYTE_RANGES_PART <=
                                   (uint64_t)size + REM_BYTE_RANGES_SLACK);
}

/* ---- s ---- */

enum { PATTERNS = 4 };

static void replace(const struct rem_sub_set *set, struct rem_arena *arena, struct rem_str body,
                    size_t step, struct rem_sbuf *out)
{
    struct rem_sub_scan scan;

    REM_CHECK(rem_sub_scan_init(&scan, arena, set, false) == REM_OK);
    for (;;) {
        struct rem_str input = rem_str_make(body.p, body.n < step ? body.n : step), text;
        bool final = input.n == body.n;
        enum rem_sub_event event;
        uint32_t pattern;

        body = rem_str_skip(body, input.n);
        while ((event = rem_sub_scan_next(&scan, &input, final, &text, &pattern)) != REM_SUB_MORE) {
            if (event == REM_SUB_TEXT)
                rem_sbuf_add(out, text);
            else
                rem_sbuf_addf(out, "<%u>", pattern);
        }
        if (final)
            return;
    }
}

/* The pattern that the text begins with, of several the longest; PATTERNS: none. */
static uint32_t find(const struct rem_str *patterns, struct rem_str text)
{
    uint32_t best = PATTERNS;

    for (uint32_t i = 0; i < PATTERNS; i++)
        if (patterns[i].n != 0 && patterns[i].n <= text.n &&
            rem_str_eq_nocase(patterns[i], rem_str_make(text.p, patterns[i].n)) &&
            (best == PATTERNS || patterns[i].n > patterns[best].n))
            best = i;
    return best;
}

static void fuzz_sub(struct rem_str text, struct rem_arena *arena)
{
    struct rem_str patterns[PATTERNS];
    struct rem_sub_set *set;
    struct rem_sbuf whole, pieces, plain;

    for (uint32_t i = 0; i < PATTERNS; i++)
        patterns[i] = cut(&text);
    REM_CHECK(rem_sub_set_new(arena, patterns, PATTERNS, &set) == REM_OK);
    rem_sbuf_init(&whole);
    rem_sbuf_init(&pieces);
    rem_sbuf_init(&plain);
    replace(set, arena, text, SIZE_MAX, &whole);
    replace(set, arena, text, 3, &pieces);
    REM_CHECK(rem_str_eq(rem_sbuf_str(&whole), rem_sbuf_str(&pieces)));
    while (text.n != 0) {
        uint32_t found = find(patterns, text);

        if (found < PATTERNS)
            rem_sbuf_addf(&plain, "<%u>", found);
        else
            rem_sbuf_addc(&plain, text.p[0]);
        text = rem_str_skip(text, found < PATTERNS ? patterns[found].n : 1);
    }
    REM_CHECK(rem_str_eq(rem_sbuf_str(&whole), rem_sbuf_str(&plain)));
    rem_sbuf_fini(&whole);
    rem_sbuf_fini(&pieces);
    rem_sbuf_fini(&plain);
}

/* ---- v ---- */

static void check_log(struct rem_value value, struct rem_eval *e)
{
    struct rem_log_format format = {.escape = REM_LOG_ESCAPE_JSON, .value = value};
    char room[64];
    struct rem_sbuf text;
    struct rem_str line;

    REM_CHECK(rem_log_format_line(&format, e, room, sizeof(room), &line) == REM_OK);
    REM_CHECK(line.n != 0 && line.p[line.n - 1] == '\n');
    for (size_t i = 0; i + 1 < line.n; i++)
        REM_CHECK((unsigned char)line.p[i] >= 0x20);
    rem_sbuf_init(&text);
    rem_sbuf_addf(&text, "[\"");
    for (size_t i = 0; i + 1 < line.n; i++) /* bytes that are no UTF-8 stay what they are */
        rem_sbuf_addc(&text, line.p[i] & 0x80 ? '?' : line.p[i]);
    rem_sbuf_addf(&text, "\"]");
    json_t *json = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
    REM_CHECK(json != NULL);
    json_decref(json);
    rem_sbuf_fini(&text);
}

/* $0 and its like stand alone in the text, between captures there is nothing that JSON minds. */
static void check_value(struct rem_str text, struct rem_str subject, const struct rem_regex *regex,
                        struct rem_eval *e, const struct rem_value *value)
{
    const size_t *ovector;
    int n = rem_regex_match(regex, subject, &ovector);
    struct rem_sbuf plain;
    struct rem_str out;

    REM_CHECK(n > 0);
    rem_sbuf_init(&plain);
    for (size_t i = 0; i < text.n; i++) {
        unsigned number;

        if (text.p[i] != '$') {
            rem_sbuf_addc(&plain, text.p[i]);
            continue;
        }
        number = (unsigned)(text.p[++i] - '0');
        if (number < (unsigned)n && rem_regex_captures(regex) != 0 &&
            ovector[2 * number + 1] != REM_REGEX_NONE &&
            ovector[2 * number] < ovector[2 * number + 1])
            rem_sbuf_add(&plain, rem_str_make(subject.p + ovector[2 * number],
                                              ovector[2 * number + 1] - ovector[2 * number]));
    }
    REM_CHECK(rem_value_eval(value, e, &out) == REM_OK);
    REM_CHECK(rem_str_eq(out, rem_sbuf_str(&plain)));
    rem_sbuf_fini(&plain);
    if (memchr(text.p, '"', text.n) == NULL && memchr(text.p, '\\', text.n) == NULL)
        check_log(*value, e);
}

/* Only captures, one digit each, and what is printed. */
static bool is_simple(struct rem_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
        if (text.p[i] != '$')
            continue;
        if (++i == text.n || text.p[i] < '1' || text.p[i] > '9')
            return false;
    }
    return text.n != 0;
}

static void fuzz_value(struct rem_str text, struct rem_arena *arena)
{
    struct rem_str pattern = rem_arena_dup(arena, cut(&text)), subject = cut(&text);
    struct rem_conf_cycle cycle = {.magic = REM_CONF_CYCLE_MAGIC};
    struct rem_conf cf = {.cycle = &cycle, .arena = arena, .vars = rem_vars_new(arena)};
    struct rem_capture capture;
    struct rem_value value;
    struct rem_eval e = {.arena = arena, .vars = cf.vars};

    text = rem_arena_dup(arena, text);
    if (!is_simple(text) || rem_capture_compile(&cf, pattern, 0, &capture) != REM_OK ||
        rem_value_compile(&cf, text, &value) != REM_OK || rem_vars_resolve(cf.vars, &cf) != REM_OK)
        return;
    e.cache = rem_arena_zalloc(arena, (rem_vars_count(cf.vars) + 1) * sizeof(*e.cache));
    if (rem_capture_match(&capture, &e, subject) == 1)
        check_value(text, subject, capture.regex, &e, &value);
}

/* ---- a, b ---- */

static void fuzz_addr(struct rem_str text)
{
    struct rem_addr addr, again;
    struct rem_cidr cidr;
    char printed[REM_ADDR_TEXT];
    size_t n;

    if (rem_cidr_parse(text, &cidr, NULL) == REM_OK)
        REM_CHECK(cidr.bits <= 128);
    if (rem_addr_parse(text, 80, &addr) != REM_OK)
        return;
    n = rem_addr_text(&addr, printed, sizeof(printed));
    REM_CHECK(rem_addr_parse(rem_str_make(printed, n), 80, &again) == REM_OK);
    REM_CHECK(rem_addr_eq(&addr, &again));
    rem_cidr_from_addr(&addr, &cidr);
    REM_CHECK(rem_cidr_has(&cidr, &addr));
}

static void fuzz_base64(struct rem_str text)
{
    size_t n = 0;
    char *out = malloc(text.n * 3 / 4 + 1);

    REM_CHECK(out != NULL);
    if (rem_base64_decode(text, out, &n))
        REM_CHECK(n <= text.n * 3 / 4);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_str text = rem_str_make((const char *)data + 1, size - 1);
    struct rem_arena arena;

    if (size == 0)
        return 0;
    rem_arena_init(&arena, NULL);
    switch (data[0]) {
    case 'r':
        fuzz_ranges(text, &arena);
        break;
    case 'g':
        (void)rem_gzip_listed(text);
        break;
    case 's':
        fuzz_sub(text, &arena);
        break;
    case 'v':
        fuzz_value(text, &arena);
        break;
    case 'a':
        fuzz_addr(text);
        break;
    case 'b':
        fuzz_base64(text);
        break;
    default:
        break;
    }
    rem_arena_reset(&arena);
    return 0;
}
