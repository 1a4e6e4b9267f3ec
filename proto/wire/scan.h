/* SPDX-License-Identifier: Apache-2.0 */
/* scan.h - how far a run of allowed bytes reaches, sixteen bytes at a time where the CPU can.
 *
 * Each rem_scan_x has a rem_scan_x_portable that gives the same results one byte at a time; a
 * test compares them.  None reads past p + n.  */
#ifndef REM_WIRE_SCAN_H
#define REM_WIRE_SCAN_H

#include "proto/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* What a byte may be part of. */
enum rem_scan_class {
    REM_SCAN_TOKEN = 1 << 0,  /* RFC 9110 section 5.6.2 */
    REM_SCAN_NAME = 1 << 1,   /* a field name nobody argues about: letters, digits, "-" */
    REM_SCAN_VALUE = 1 << 2,  /* field values: HTAB, SP, visible, 0x80 and above */
    REM_SCAN_TARGET = 1 << 3, /* request targets: visible, 0x80 and above */
    REM_SCAN_METHOD = 1 << 4, /* upper-case letters, digits, "-", "_" */
    REM_SCAN_HOST = 1 << 5,   /* reg-name of RFC 3986, without "%" and "," */
};

extern const uint8_t rem_scan_classes[256];

static inline bool rem_scan_is(char c, unsigned classes)
{
    return (rem_scan_classes[(unsigned char)c] & classes) != 0;
}

static inline size_t rem_scan_run(const char *p, size_t at, size_t n, unsigned classes)
{
    while (at < n && rem_scan_is(p[at], classes))
        at++;
    return at;
}

size_t rem_scan_name_portable(const char *p, size_t n);
size_t rem_scan_value_portable(const char *p, size_t n);
size_t rem_scan_target_portable(const char *p, size_t n);

#ifdef __SSE2__

static inline __m128i rem_scan_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* 0xff for each byte of `x` that is, unsigned, within [low, low + span]. */
static inline __m128i rem_scan_within(__m128i x, char low, char span)
{
    __m128i above = _mm_subs_epu8(_mm_sub_epi8(x, _mm_set1_epi8(low)), _mm_set1_epi8(span));

    return _mm_cmpeq_epi8(above, _mm_setzero_si128());
}

/* These return a bit for each byte, lowest first, that is not of the class. */
static inline unsigned rem_scan_not_name(__m128i x)
{
    __m128i letters = rem_scan_within(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 25);
    __m128i digits = rem_scan_within(x, '0', 9);
    __m128i dashes = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
    __m128i good = _mm_or_si128(letters, _mm_or_si128(digits, dashes));

    return (unsigned)_mm_movemask_epi8(good) ^ 0xffffU;
}

static inline unsigned rem_scan_not_value(__m128i x)
{
    __m128i control = rem_scan_within(x, 0, 0x1f);
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

static inline unsigned rem_scan_not_target(__m128i x)
{
    __m128i control = rem_scan_within(x, 0, 0x20);
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, del));
}

#define REM_SCAN_BY_16(not_class, class)                                                           \
    size_t at = 0;                                                                                 \
    for (; n - at >= 16; at += 16) {                                                               \
        unsigned bad = not_class(rem_scan_load(p + at));                                           \
        if (bad != 0)                                                                              \
            return at + (size_t)__builtin_ctz(bad);                                                \
    }                                                                                              \
    return rem_scan_run(p, at, n, class)

/* How many of the `n` bytes at `p` are, from the first on, of the class. */
static inline size_t rem_scan_name(const char *p, size_t n)
{
    REM_SCAN_BY_16(rem_scan_not_name, REM_SCAN_NAME);
}

static inline size_t rem_scan_value(const char *p, size_t n)
{
    REM_SCAN_BY_16(rem_scan_not_value, REM_SCAN_VALUE);
}

static inline size_t rem_scan_target(const char *p, size_t n)
{
    REM_SCAN_BY_16(rem_scan_not_target, REM_SCAN_TARGET);
}

#undef REM_SCAN_BY_16

#else

static inline size_t rem_scan_name(const char *p, size_t n)
{
    return rem_scan_name_portable(p, n);
}

static inline size_t rem_scan_value(const char *p, size_t n)
{
    return rem_scan_value_portable(p, n);
}

static inline size_t rem_scan_target(const char *p, size_t n)
{
    return rem_scan_target_portable(p, n);
}

#endif

#endif
