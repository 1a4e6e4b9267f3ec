/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/gzip_accept.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static const struct {
    const char *text;
    bool listed;
} cases[] = {
    {"gzip", true},
    {"GZip", true},
    {"deflate, gzip", true},
    {"deflate,gzip", true},
    {" gzip ", true},
    {"gzip;q=1", true},
    {"gzip;q=0.001", true},
    {"gzip;q=1.000", true},
    {"gzip ; Q=0.5", true},
    {"br;q=0, gzip;q=0.1", true},
    {"", false},
    {"x-gzip", false},
    {"gzipped", false},
    {"gzi", false},
    {"*", false},
    {"deflate", false},
    {"gzip;q=0", false},
    {"gzip;q=0.", false},
    {"gzip;q=0.000", false},
    {"gzip;q=", false},
    {"gzip;q", false},
    {"gzip;", false},
    {"gzip;q=2", false},
    {"gzip;q=0.0001", false},
    {"gzip;q=1x", false},
    {"gzip;q=.5", false},
    {"gzip;q=0.5.5", false},
    {"deflate;q=1, gzip;q=0", false},
};

START_TEST(listed)
{
    for (size_t i = 0; i < REM_COUNT(cases); i++)
        ck_assert_msg(rem_gzip_listed(rem_str_from(cases[i].text)) == cases[i].listed, "\"%s\"",
                      cases[i].text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("gzip_accept");

    tcase_add_test(tc, listed);
    return run_suite("gzip_accept", tc);
}
