/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/auth_basic_password.h"

#include "proto/base/attr.h"

#include "tests/unit/suite.h"

#include <crypt.h>

/* Made with `openssl passwd -apr1`, `-5`, `-6` and `openssl dgst -sha1`. */
static const struct {
    const char *password, *stored;
} good[] = {
    {"password", "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb."},
    {"password", "$apr1$saltsalt$yAAkm4libquA.ZWLHbSBq/"},
    {"a", "$apr1$salt$bXyKpShCa.c/9qWoinNZb0"},
    {"a", "$apr1$saltsalt$OEnK0QmmvoDzFw9W2yFYT/"},
    {"0123456789abcdef", "$apr1$salt$CpZlDoa2rEnrKkHpXoKwT1"},
    {"0123456789abcdef", "$apr1$saltsalt$noZiBycUL1t9WTQEO7/nr1"},
    {"a password that is longer than sixteen bytes, and than thirty-two",
     "$apr1$salt$DiJ1rwvOJXfzA66H1sKlG/"},
    {"a password that is longer than sixteen bytes, and than thirty-two",
     "$apr1$saltsalt$TPDwUHvTcogukawnAZFjB1"},
    {"password", "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb."},
    {"password", "$1$salt$qJH7.N4xYta3aEG/dfqo/0"},
    {"password", "$5$salt$Gcm6FsVtF/Qa77ZKD.iwsJlCVPY0XSMgLJL0Hnww/c1"},
    {"password",
     "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy."
     "g."},
    {"password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="},
    {"password", "{SSHA}Ixeqctr6CgfwWvR7qi44j5Xc9vMxMjM0NTY3OA=="},
    {"password", "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="},
    {"password", "{PLAIN}password"},
    {"", "{PLAIN}"},
    {"p:w", "{PLAIN}p:w"},
};

START_TEST(test_good)
{
    for (size_t i = 0; i < REM_COUNT(good); i++) {
        struct rem_str stored = rem_str_from(good[i].stored);

        ck_assert_msg(rem_password_matches(rem_str_from(good[i].password), stored), "%s",
                      good[i].stored);
        ck_assert_msg(!rem_password_matches(REM_STR("wrong"), stored), "%s", good[i].stored);
        ck_assert_msg(!rem_password_matches(REM_STR("password "), stored), "%s", good[i].stored);
        stored.n--;
        if (stored.n > 7 && stored.p[stored.n] != '=') /* padding may be missing */
            ck_assert_msg(!rem_password_matches(rem_str_from(good[i].password), stored), "cut %s",
                          good[i].stored);
    }
}
END_TEST

/* Nobody's password, whatever is tried. */
START_TEST(test_malformed)
{
    static const char *const stored[] = {
        "",
        "*",
        "*0",
        "!",
        "x",
        "$",
        "$1$",
        "$apr1$",
        "$apr1$salt",
        "$apr1$$",
        "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb",
        "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb..",
        "{SHA}",
        "{SHA}Zm9vCg==",
        "{SHA}_____Mm5Pz8GgiULbPgzG37mj9g=",
        "{SSHA}",
        "{SSHA}Zm9vCg==",
        "{SSHA}_____wQadOA1e+/f+T+H3eCQQhRzYWx0",
        "{PLAIN",
        "{MD5}x",
        "$9$abc$def",
    };
    static const char *const tried[] = {"", "1", "password", "*", "*0", "x", "$1$"};

    for (size_t i = 0; i < REM_COUNT(stored); i++) {
        for (size_t k = 0; k < REM_COUNT(tried); k++)
            ck_assert_msg(!rem_password_matches(rem_str_from(tried[k]), rem_str_from(stored[i])),
                          "%s with %s", stored[i], tried[k]);
    }
}
END_TEST

START_TEST(test_bytes_that_end_strings)
{
    ck_assert(!rem_password_matches(REM_STR("password\0x"), REM_STR("{PLAIN}password")));
    ck_assert(!rem_password_matches(REM_STR("password\0"), rem_str_from(good[0].stored)));
}
END_TEST

START_TEST(test_too_long)
{
    static char text[2 * REM_PASSWORD_MAX];
    char stored[2 * REM_PASSWORD_MAX] = "{SHA}";
    struct rem_str password;

    memset(text, 'a', sizeof(text));
    password = rem_str_make(text, sizeof(text));
    ck_assert(!rem_password_matches(password, rem_str_from(good[0].stored)));
    memset(stored + 5, 'A', sizeof(stored) - 6);
    ck_assert(!rem_password_matches(REM_STR("x"), rem_str_from(stored)));
    memcpy(stored, "$6$xx", 5);
    ck_assert(!rem_password_matches(REM_STR("x"), rem_str_from(stored)));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("auth_basic_password");

    tcase_add_test(tests, test_good);
    tcase_add_test(tests, test_malformed);
    tcase_add_test(tests, test_bytes_that_end_strings);
    tcase_add_test(tests, test_too_long);
    return run_suite("auth_basic_password", tests);
}
