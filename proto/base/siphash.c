/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/siphash.h"

#include <endian.h>
#include <string.h>

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void mix(struct sip *s)
{
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

static inline void take(struct sip *s, uint64_t word)
{
    s->d ^= word;
    mix(s);
    s->a ^= word;
}

uint64_t rem_siphash(const uint64_t seed[2], const void *p, size_t n)
{
    struct sip s = {
        .a = seed[0] ^ 0x736f6d6570736575ULL, /* the constants are the algorithm's */
        .b = seed[1] ^ 0x646f72616e646f6dULL,
        .c = seed[0] ^ 0x6c7967656e657261ULL,
        .d = seed[1] ^ 0x7465646279746573ULL,
    };
    const unsigned char *at = p;
    uint64_t word, last = (uint64_t)n << 56;

    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&word, at, 8);
        take(&s, le64toh(word));
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)at[i] << (8 * i);
    take(&s, last);
    s.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        mix(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}
