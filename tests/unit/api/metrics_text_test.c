/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics_text.h"

#include "tests/unit/suite.h"

#include <stdio.h>

static const struct rem_metric_family counter = {"x_bytes_total", REM_METRIC_COUNTER, "Some help."};
static const struct rem_metric_family gauge = {"y", REM_METRIC_GAUGE, "More."};
static const struct rem_metric_family info = {"z_info", REM_METRIC_INFO, "What."};
static const struct rem_metric_family times = {"t_seconds", REM_METRIC_HISTOGRAM, "How long."};

static void put_all(struct rem_metrics *metrics, struct rem_str labels)
{
    const struct rem_histogram sum = {.buckets = {1, 0, 2, [12] = 4}, .count = 7, .sum_ms = 12345};

    rem_metric_begin(metrics, &counter);
    rem_metric_count(metrics, REM_STR(""), REM_STR(""), UINT64_MAX);
    rem_metric_count(metrics, labels, REM_STR(""), 7);
    rem_metric_count(metrics, labels, REM_STR("code=\"2xx\""), 0);
    rem_metric_count(metrics, REM_STR(""), REM_STR("code=\"2xx\""), 10);
    rem_metric_begin(metrics, &gauge);
    rem_metric_gauge(metrics, REM_STR(""), REM_STR(""), INT64_MIN);
    rem_metric_ms(metrics, REM_STR(""), 61007);
    rem_metric_begin(metrics, &info);
    rem_metric_count(metrics, REM_STR(""), REM_STR("a=\"b\""), 1);
    rem_metric_begin(metrics, &times);
    rem_metric_histogram(metrics, REM_STR("k=\"v\""), &sum);
    rem_metrics_end(metrics);
}

#define SAMPLES_X                                                                                  \
    "x_bytes_total 18446744073709551615\n"                                                         \
    "x_bytes_total{a=\"back\\\\slash\",b=\"q\\\"n\\nz\xc3\xa4\"} 7\n"                              \
    "x_bytes_total{a=\"back\\\\slash\",b=\"q\\\"n\\nz\xc3\xa4\",code=\"2xx\"} 0\n"                 \
    "x_bytes_total{code=\"2xx\"} 10\n"
#define SAMPLES_Y "y -9223372036854775808\ny 61.007\n"
#define SAMPLES_T                                                                                  \
    "t_seconds_bucket{k=\"v\",le=\"0.001\"} 1\n"                                                   \
    "t_seconds_bucket{k=\"v\",le=\"0.002\"} 1\n"                                                   \
    "t_seconds_bucket{k=\"v\",le=\"0.005\"} 3\n"                                                   \
    "t_seconds_bucket{k=\"v\",le=\"0.01\"} 3\n"                                                    \
    "t_seconds_bucket{k=\"v\",le=\"0.025\"} 3\n"                                                   \
    "t_seconds_bucket{k=\"v\",le=\"0.05\"} 3\n"                                                    \
    "t_seconds_bucket{k=\"v\",le=\"0.1\"} 3\n"                                                     \
    "t_seconds_bucket{k=\"v\",le=\"0.25\"} 3\n"                                                    \
    "t_seconds_bucket{k=\"v\",le=\"0.5\"} 3\n"                                                     \
    "t_seconds_bucket{k=\"v\",le=\"1.0\"} 3\n"                                                     \
    "t_seconds_bucket{k=\"v\",le=\"2.5\"} 3\n"                                                     \
    "t_seconds_bucket{k=\"v\",le=\"10.0\"} 3\n"                                                    \
    "t_seconds_bucket{k=\"v\",le=\"+Inf\"} 7\n"                                                    \
    "t_seconds_sum{k=\"v\"} 12.345\n"                                                              \
    "t_seconds_count{k=\"v\"} 7\n"

static const struct {
    bool openmetrics;
    const char *text;
} formats[] = {
    {false, "# HELP x_bytes_total Some help.\n# TYPE x_bytes_total counter\n" SAMPLES_X
            "# HELP y More.\n# TYPE y gauge\n" SAMPLES_Y
            "# HELP z_info What.\n# TYPE z_info gauge\nz_info{a=\"b\"} 1\n"
            "# HELP t_seconds How long.\n# TYPE t_seconds histogram\n" SAMPLES_T},
    {true,
     "# HELP x_bytes Some help.\n# TYPE x_bytes counter\n# UNIT x_bytes bytes\n" SAMPLES_X
     "# HELP y More.\n# TYPE y gauge\n" SAMPLES_Y
     "# HELP z What.\n# TYPE z info\nz_info{a=\"b\"} 1\n"
     "# HELP t_seconds How long.\n# TYPE t_seconds histogram\n# UNIT t_seconds seconds\n" SAMPLES_T
     "# EOF\n"},
};

START_TEST(test_formats)
{
    const struct rem_metric_label labels[] = {
        {"a", REM_STR("back\\slash")}, {"left_out", {NULL, 0}}, {"b", REM_STR("q\"n\nz\xc3\xa4")}};
    struct rem_sbuf out;
    struct rem_metrics metrics = {.out = &out, .openmetrics = formats[_i].openmetrics};
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    rem_sbuf_init(&out);
    put_all(&metrics, rem_metric_labels(&arena, labels, REM_COUNT(labels)));
    rem_sbuf_addc(&out, '\0');
    ck_assert(!out.failed);
    ck_assert_str_eq(out.p, formats[_i].text);
    ck_assert_uint_eq(metrics.series, 4 + 2 + 1 + 15);
    rem_sbuf_fini(&out);
    rem_arena_reset(&arena);
}
END_TEST

static const struct {
    const char *value, *text;
} values[] = {
    {"plain", "plain"},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80."},
    {"\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf", "\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf"},
    {"a\xff\xfez", "a??z"},
    {"\x80", "?"},                /* nothing before it */
    {"a\xc3", "a?"},              /* cut */
    {"\xe2\x82", "??"},           /* cut */
    {"\xc3z", "?z"},              /* nothing that goes on */
    {"\xc0\xaf", "??"},           /* longer than it needs to be */
    {"\xe0\x9f\xbf", "???"},      /* likewise */
    {"\xf0\x8f\xbf\xbf", "????"}, /* likewise */
    {"\xed\xa0\x80", "???"},      /* half of a pair */
    {"\xf4\x90\x80\x80", "????"}, /* beyond the last one */
    {"\xf5\x80\x80\x80", "????"},
};

START_TEST(test_bytes)
{
    const struct rem_metric_label label = {"l", rem_str_from(values[_i].value)};
    char expected[64];
    struct rem_arena arena;
    struct rem_str text;

    rem_arena_init(&arena, NULL);
    text = rem_metric_labels(&arena, &label, 1);
    snprintf(expected, sizeof(expected), "l=\"%s\"", values[_i].text);
    ck_assert_uint_eq(text.n, strlen(expected));
    ck_assert_mem_eq(text.p, expected, text.n);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(test_no_labels)
{
    struct rem_arena arena;
    struct rem_str text;

    rem_arena_init(&arena, NULL);
    text = rem_metric_labels(&arena, NULL, 0);
    ck_assert_ptr_nonnull(text.p);
    ck_assert_uint_eq(text.n, 0);
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_formats, 0, REM_COUNT(formats));
    tcase_add_loop_test(tc, test_bytes, 0, REM_COUNT(values));
    tcase_add_test(tc, test_no_labels);
    return run_suite("metrics_text", tc);
}
