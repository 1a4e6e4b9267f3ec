/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/set.h"

#include "tests/unit/proxy/conf/helper.h"

enum { UNTOUCHED = -77 };

#define BAD INT64_MIN

typedef int (*parse_fn)(struct rem_str s, int64_t *out);

static int parse_size(struct rem_str s, int64_t *out)
{
    size_t size = (size_t)*out;
    int rc = rem_conf_parse_size(s, &size);

    *out = (int64_t)size;
    return rc;
}

static const struct {
    parse_fn parse;
    const char *text;
    int64_t value; /* BAD: refused */
} cases[] = {
    {rem_conf_parse_num, "0", 0},
    {rem_conf_parse_num, "007", 7},
    {rem_conf_parse_num, "9223372036854775807", INT64_MAX},
    {rem_conf_parse_num, "9223372036854775808", BAD},
    {rem_conf_parse_num, "99999999999999999999999", BAD},
    {rem_conf_parse_num, "", BAD},
    {rem_conf_parse_num, "-1", BAD},
    {rem_conf_parse_num, "+1", BAD},
    {rem_conf_parse_num, "1k", BAD},
    {rem_conf_parse_num, " 1", BAD},

    {parse_size, "10", 10},
    {parse_size, "8k", 8192},
    {parse_size, "8K", 8192},
    {parse_size, "1m", 1 << 20},
    {parse_size, "1M", 1 << 20},
    {parse_size, "1g", BAD},
    {parse_size, "k", BAD},
    {parse_size, "", BAD},
    {parse_size, "1kk", BAD},
    {parse_size, "1 k", BAD},
    {parse_size, "-1", BAD},
    {parse_size, "0x10", BAD},
    {parse_size, "9223372036854775807", INT64_MAX},
    {parse_size, "9007199254740991k", (INT64_MAX / 1024) * 1024},
    {parse_size, "9007199254740992k", BAD},
    {parse_size, "18446744073709551615", BAD},

    {rem_conf_parse_off, "2g", (int64_t)2 << 30},
    {rem_conf_parse_off, "2G", (int64_t)2 << 30},
    {rem_conf_parse_off, "8589934591g", (int64_t)8589934591 << 30},
    {rem_conf_parse_off, "8589934592g", BAD},
    {rem_conf_parse_off, "1t", BAD},

    {rem_conf_parse_msec, "30", 30000},
    {rem_conf_parse_msec, "30s", 30000},
    {rem_conf_parse_msec, "500ms", 500},
    {rem_conf_parse_msec, "1h 30m", 5400000},
    {rem_conf_parse_msec, "1h30m", 5400000},
    {rem_conf_parse_msec, "1w1d1h1m1s1ms", 694861001},
    {rem_conf_parse_msec, "1h 1m 5", 3665000},
    {rem_conf_parse_msec, "1h  5ms  ", 3600005},
    {rem_conf_parse_msec, "5ms5", 5005},
    {rem_conf_parse_msec, "5 3", 8000},
    {rem_conf_parse_msec, "5  3", 8000},
    {rem_conf_parse_msec, "5s 3", 8000},
    {rem_conf_parse_msec, "5  ", 5000},
    {rem_conf_parse_msec, "1h 2 3", 3605000},
    {rem_conf_parse_msec, "5 3 ", BAD},
    {rem_conf_parse_msec, "5 3s", BAD},
    {rem_conf_parse_msec, "5s 3 2", BAD},
    {rem_conf_parse_msec, "5 1h", BAD},
    {rem_conf_parse_msec, "1m 1h", BAD},
    {rem_conf_parse_msec, "1s2s", BAD},
    {rem_conf_parse_msec, "1z", BAD},
    {rem_conf_parse_msec, "1 s", BAD},
    {rem_conf_parse_msec, "5m s", BAD},
    {rem_conf_parse_msec, "s", BAD},
    {rem_conf_parse_msec, "", BAD},
    {rem_conf_parse_msec, " ", BAD},
    {rem_conf_parse_msec, " 5s", BAD},
    {rem_conf_parse_msec, "1M", BAD},
    {rem_conf_parse_msec, "1y", BAD},
    {rem_conf_parse_msec, "1.5s", BAD},
    {rem_conf_parse_msec, "-1s", BAD},
    {rem_conf_parse_msec, "9223372036854775s", 9223372036854775000},
    {rem_conf_parse_msec, "9223372036854775s 807ms", INT64_MAX},
    {rem_conf_parse_msec, "9223372036854775s 808ms", BAD},
    {rem_conf_parse_msec, "9223372036854776s", BAD},
    {rem_conf_parse_msec, "9223372036854775807ms", INT64_MAX},
    {rem_conf_parse_msec, "9223372036854775807ms 1", BAD},

    {rem_conf_parse_sec, "1y 1M 1w 1d 1h 1m 1s", 34822861},
    {rem_conf_parse_sec, "1M", 2592000},
    {rem_conf_parse_sec, "1M 1y", BAD},
    {rem_conf_parse_sec, "1y1y", BAD},
    {rem_conf_parse_sec, "1ms", BAD},
    {rem_conf_parse_sec, "1Y", BAD},
    {rem_conf_parse_sec, "01h", 3600},
    {rem_conf_parse_sec, "9223372036854775807", INT64_MAX},
    {rem_conf_parse_sec, "9223372036854775808", BAD},
    {rem_conf_parse_sec, "9223372036854775806 2", BAD},
    {rem_conf_parse_sec, "292471208677y", 292471208677 * 31536000},
    {rem_conf_parse_sec, "292471208678y", BAD},
};

START_TEST(numbers)
{
    struct rem_str text = rem_str_from(cases[_i].text);
    int64_t value = UNTOUCHED;
    int rc = cases[_i].parse(text, &value);

    if (cases[_i].value == BAD) {
        ck_assert_msg(rc == REM_EINVAL, "\"%s\" gave %d, %lld", text.p, rc, (long long)value);
        ck_assert_int_eq(value, UNTOUCHED);
    } else {
        ck_assert_msg(rc == 0 && value == cases[_i].value, "\"%s\" gave %d, %lld", text.p, rc,
                      (long long)value);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("number");

    tcase_add_loop_test(tc, numbers, 0, REM_COUNT(cases));
    return run_tests(tc);
}
