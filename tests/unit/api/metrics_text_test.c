/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics_text.h"

#include <check.h>

START_TEST(test_text)
{
    struct rem_sbuf out;
    struct rem_metrics metrics = {.out = &out};
    const struct rem_metric_label labels[] = {
        {"a", REM_STR("back\\slash")}, {NULL, REM_STR("x")}, {"b", REM_STR("q\"n\nz\xc3\xa4")}};

    rem_sbuf_init(&out);
    rem_metric_family(&metrics, "x_total", "counter", "Some help.");
    rem_metric_count(&metrics, NULL, 0, UINT64_MAX);
    rem_metric_count(&metrics, labels, 3, 7);
    rem_metric_count(&metrics, labels + 1, 1, 8);
    rem_metric_family(&metrics, "y", "gauge", "More.");
    rem_metric_gauge(&metrics, labels, 1, -5);
    rem_metric_seconds(&metrics, 1.25);
    rem_sbuf_addc(&out, '\0');
    ck_assert(!out.failed);
    ck_assert_str_eq(out.p, "# HELP x_total Some help.\n"
                            "# TYPE x_total counter\n"
                            "x_total 18446744073709551615\n"
                            "x_total{a=\"back\\\\slash\",b=\"q\\\"n\\nz\xc3\xa4\"} 7\n"
                            "x_total 8\n"
                            "# HELP y More.\n"
                            "# TYPE y gauge\n"
                            "y{a=\"back\\\\slash\"} -5\n"
                            "y 1.250\n");
    rem_sbuf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics_text");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, test_text);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
