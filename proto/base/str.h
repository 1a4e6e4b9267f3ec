/* SPDX-License-Identifier: Apache-2.0 */
/* str.h - a borrowed run of bytes, and what one commonly asks of it.
 *
 * A struct rem_str never owns its bytes and need not end in NUL.
 * Not here:   building text (see sbuf.h).  */
#ifndef REM_BASE_STR_H
#define REM_BASE_STR_H

#include "proto/base/attr.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct rem_str {
    const char *p;
    size_t n;
};

/* From a string literal. */
#define REM_STR(literal) ((struct rem_str){(literal), sizeof(literal) - 1})

/* For printf's "%.*s". */
#define REM_STR_ARG(s) (int)(s).n, (s).p

static inline struct rem_str rem_str_from(const char *text)
{
    return (struct rem_str){text, text != NULL ? strlen(text) : 0};
}

static inline struct rem_str rem_str_make(const char *p, size_t n)
{
    return (struct rem_str){p, n};
}

static inline bool rem_str_eq(struct rem_str a, struct rem_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool rem_str_is(struct rem_str a, const char *text)
{
    return rem_str_eq(a, rem_str_from(text));
}

static inline bool rem_str_has_prefix(struct rem_str s, struct rem_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline struct rem_str rem_str_skip(struct rem_str s, size_t n)
{
    return (struct rem_str){n != 0 ? s.p + n : s.p, s.n - n};
}

/* Whether `s` begins with `prefix`; if so, *rest is what follows. */
static inline bool rem_str_take_prefix(struct rem_str s, const char *prefix, struct rem_str *rest)
{
    struct rem_str name = rem_str_from(prefix);

    if (!rem_str_has_prefix(s, name))
        return false;
    *rest = rem_str_skip(s, name.n);
    return true;
}

/* ASCII only, no locale. */
static inline char rem_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool rem_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Compares ASCII letters without regard to case. */
bool rem_str_eq_nocase(struct rem_str a, struct rem_str b);

/* <0, 0, >0 as memcmp, shorter first. */
int rem_str_cmp(struct rem_str a, struct rem_str b);

/* The first occurrence of `c`, or NULL. */
static inline const char *rem_str_chr(struct rem_str s, char c)
{
    return s.n ? memchr(s.p, c, s.n) : NULL;
}

/* Without leading and trailing SP and HTAB (OWS of RFC 9110, section 5.6.3). */
struct rem_str rem_str_trim(struct rem_str s);

/* Decimal digits only, whole string, no sign.  Errors: REM_EINVAL (empty, other bytes, above
 * `max`); *out unchanged then. */
int rem_str_to_u64(struct rem_str s, uint64_t max, uint64_t *out) REM_MUST_CHECK;

/* The hexadecimal value of a digit, or -1. */
int rem_hex_value(char c);

/* A fast 64-bit hash of bytes, the same in every process; the second form ignores ASCII case.
 * Not for untrusted keys in unbounded tables. */
uint64_t rem_hash(const void *p, size_t n);
uint64_t rem_hash_nocase(const char *p, size_t n);

#endif
