/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/split_clients.h"

#include "tests/unit/proxy/conf/helper.h"

/* The check that the public test suite of hash functions makes: the hashes of 256 keys of growing
 * length, each with a seed of its own, hashed once more. */
START_TEST(is_murmur2)
{
    unsigned char key[256], hashes[256 * 4];
    uint32_t hash;

    for (unsigned i = 0; i < 256; i++) {
        key[i] = (unsigned char)i;
        hash = rem_murmur2(rem_str_make((const char *)key, i), 256 - i);
        for (unsigned b = 0; b < 4; b++)
            hashes[4 * i + b] = (unsigned char)(hash >> (8 * b));
    }
    hash = rem_murmur2(rem_str_make((const char *)hashes, sizeof(hashes)), 0);
    ck_assert_uint_eq(hash, 0x27864c1e);
}
END_TEST

START_TEST(empty)
{
    ck_assert_uint_eq(rem_murmur2(REM_STR(""), 0), 0);
    ck_assert_uint_eq(rem_murmur2((struct rem_str){NULL, 0}, 0), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("split_clients");

    tcase_add_test(tc, is_murmur2);
    tcase_add_test(tc, empty);
    return run_tests(tc);
}
