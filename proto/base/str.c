/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/str.h"

#include "proto/base/err.h"

bool rem_str_eq_nocase(struct rem_str a, struct rem_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (rem_lower(a.p[i]) != rem_lower(b.p[i]))
            return false;
    return true;
}

int rem_str_cmp(struct rem_str a, struct rem_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    if (order != 0)
        return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

struct rem_str rem_str_trim(struct rem_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = rem_str_skip(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

int rem_str_to_u64(struct rem_str s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (s.n == 0)
        return REM_EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        if (!rem_is_digit(s.p[i]))
            return REM_EINVAL;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return REM_EINVAL;
        value = value * 10 + digit;
    }
    if (value > max)
        return REM_EINVAL;
    *out = value;
    return REM_OK;
}

int rem_hex_value(char c)
{
    if (rem_is_digit(c))
        return c - '0';
    c = rem_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)(hash ^ word) * 0x9e3779b97f4a7c15ULL;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t rem_hash(const void *p, size_t n)
{
    const char *at = p;
    uint64_t hash = 0x243f6a8885a308d3ULL ^ n;
    uint64_t word;

    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&word, at, 8);
        hash = mix(hash, word);
    }
    word = 0;
    if (n)
        memcpy(&word, at, n);
    return mix(mix(hash, word), 0x13198a2e03707344ULL);
}

uint64_t rem_hash_nocase(const char *p, size_t n)
{
    uint64_t hash = 0x243f6a8885a308d3ULL ^ n;

    while (n) {
        char chunk[8] = {0};
        size_t step = n < 8 ? n : 8;
        uint64_t word;

        for (size_t i = 0; i < step; i++)
            chunk[i] = rem_lower(p[i]);
        memcpy(&word, chunk, 8);
        hash = mix(hash, word);
        p += step;
        n -= step;
    }
    return mix(hash, 0x13198a2e03707344ULL);
}
