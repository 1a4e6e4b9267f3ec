/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/siphash.h"

#include "proto/base/attr.h"

#include "tests/unit/suite.h"

/* Key 00 01 .. 0f, input 00 01 .. (n - 1). */
START_TEST(test_vectors)
{
    static const struct {
        size_t n;
        uint64_t hash;
    } cases[] = {
        {0, 0xabac0158050fc4dcULL},  {1, 0xc9f49bf37d57ca93ULL}, {7, 0xd3927d989bb11140ULL},
        {8, 0x369095118d299a8eULL},  {9, 0x25a48eb36c063de4ULL}, {15, 0xd320d86d2a519956ULL},
        {63, 0x9d199062b7bbb3a8ULL},
    };
    static const uint64_t seed[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    static const uint64_t other[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0909ULL};
    unsigned char bytes[64];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        ck_assert_uint_eq(rem_siphash(seed, bytes, cases[i].n), cases[i].hash);
        ck_assert_uint_ne(rem_siphash(other, bytes, cases[i].n), cases[i].hash);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("siphash");

    tcase_add_test(tests, test_vectors);
    return run_suite("siphash", tests);
}
