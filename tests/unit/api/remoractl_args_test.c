/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_args.c" /* not in a library */

#include "tests/unit/suite.h"

#include <stdlib.h>

/* The commands themselves need a server; here their shapes are enough. */
static const struct rem_ctl_command commands[] = {
    {.name = "list", .usage = "list"},
    {.name = "set", .min_words = 3, .max_words = -1, .usage = "set ..."},
    {.name = "replace",
     .min_words = 1,
     .max_words = 1,
     .usage = "replace ...",
     .options = REM_CTL_FILE | REM_CTL_IF_MATCH,
     .needs = REM_CTL_FILE},
    {.name = "watch",
     .max_words = 1,
     .usage = "watch",
     .options = REM_CTL_INTERVAL | REM_CTL_COUNT | REM_CTL_SINCE},
};

const struct rem_ctl_command *rem_ctl_command_find(const char *name)
{
    for (size_t i = 0; i < REM_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

#define DEFAULT_SERVER REM_CTL_DEFAULT_SERVER

/* Takes words apart at blanks. */
static int parse(const char *line, const char *environment, struct rem_ctl_args *args,
                 struct rem_err *err)
{
    static char copy[256];
    static char *argv[32];
    int argc = 1;

    strcpy(copy, line);
    argv[0] = "remoractl";
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return rem_ctl_args_parse(argc, argv, environment, environment, args, err);
}

static const struct {
    const char *line;
    const char *command; /* NULL: refused */
    int words;
    const char *server;
    const char *file;
    const char *if_match;
    bool json;
} lines[] = {
    {"list", "list", 0, DEFAULT_SERVER, NULL, NULL, false},
    {"--json list", "list", 0, DEFAULT_SERVER, NULL, NULL, true},
    {"list --json", "list", 0, DEFAULT_SERVER, NULL, NULL, true},
    {"-s unix:/x list", "list", 0, "unix:/x", NULL, NULL, false},
    {"list --server=unix:/x", "list", 0, "unix:/x", NULL, NULL, false},
    {"list --server unix:/x", "list", 0, "unix:/x", NULL, NULL, false},
    {"set u 1 weight=2 down", "set", 4, DEFAULT_SERVER, NULL, NULL, false},
    {"set u --json 1 weight=2", "set", 3, DEFAULT_SERVER, NULL, NULL, true},
    {"set u -- -x weight=2", "set", 3, DEFAULT_SERVER, NULL, NULL, false},
    {"replace u -f -", "replace", 1, DEFAULT_SERVER, "-", NULL, false},
    {"replace --if-match=12 u --file x", "replace", 1, DEFAULT_SERVER, "x", "12", false},
    {"", NULL, 0, NULL, NULL, NULL, false},
    {"bogus", NULL, 0, NULL, NULL, NULL, false},
    {"list x", NULL, 0, NULL, NULL, NULL, false},
    {"set u 1", NULL, 0, NULL, NULL, NULL, false},
    {"replace u", NULL, 0, NULL, NULL, NULL, false},
    {"list -f x", NULL, 0, NULL, NULL, NULL, false},
    {"list -s", NULL, 0, NULL, NULL, NULL, false},
    {"list -x", NULL, 0, NULL, NULL, NULL, false},
    {"list --jso", NULL, 0, NULL, NULL, NULL, false},
    {"list --json=1", NULL, 0, NULL, NULL, NULL, false},
    {"list --if-match 1", NULL, 0, NULL, NULL, NULL, false},
    {"replace u -f", NULL, 0, NULL, NULL, NULL, false},
    {"watch -n 0.5 --count=3", "watch", 0, DEFAULT_SERVER, NULL, NULL, false},
    {"watch --since 0 u", "watch", 1, DEFAULT_SERVER, NULL, NULL, false},
    {"watch --count 0", NULL, 0, NULL, NULL, NULL, false},
    {"watch --count x", NULL, 0, NULL, NULL, NULL, false},
    {"watch -n 0", NULL, 0, NULL, NULL, NULL, false},
    {"watch -n 1.", NULL, 0, NULL, NULL, NULL, false},
    {"watch -n 1.2345", NULL, 0, NULL, NULL, NULL, false},
    {"watch -n -1", NULL, 0, NULL, NULL, NULL, false},
    {"list --if-match 1x", NULL, 0, NULL, NULL, NULL, false},
    {"list --if-match -1", NULL, 0, NULL, NULL, NULL, false},
};

START_TEST(test_lines)
{
    struct rem_ctl_args args = {0};
    struct rem_err err = {0};
    int rc = parse(lines[_i].line, NULL, &args, &err);

    ck_assert_msg((rc == 0) == (lines[_i].command != NULL), "%s: %s", lines[_i].line, err.text);
    if (rc != 0) {
        ck_assert_str_ne(err.text, "");
        return;
    }
    ck_assert_str_eq(args.command->name, lines[_i].command);
    ck_assert_int_eq(args.word_count, lines[_i].words);
    ck_assert_str_eq(args.server, lines[_i].server);
    ck_assert_pstr_eq(args.file, lines[_i].file);
    ck_assert_pstr_eq(args.if_match, lines[_i].if_match);
    ck_assert_int_eq(args.json, lines[_i].json);
}
END_TEST

START_TEST(test_server_choice)
{
    struct rem_ctl_args args = {0};

    ck_assert_int_eq(parse("list", "unix:/env", &args, NULL), 0);
    ck_assert_str_eq(args.server, "unix:/env");
    ck_assert_str_eq(args.token_file, "unix:/env");
    ck_assert_int_eq(parse("list --token-file /t", "unix:/env", &args, NULL), 0);
    ck_assert_str_eq(args.token_file, "/t");
    ck_assert_int_eq(parse("list -s unix:/x", "unix:/env", &args, NULL), 0);
    ck_assert_str_eq(args.server, "unix:/x");
    ck_assert_int_eq(parse("list", "", &args, NULL), 0);
    ck_assert_str_eq(args.server, DEFAULT_SERVER);
    ck_assert_ptr_null(args.token_file);
    ck_assert_int_eq(parse("watch", "", &args, NULL), 0);
    ck_assert_uint_eq(args.interval_ms, 1000);
    ck_assert_int_eq(parse("watch -n 2.05", "", &args, NULL), 0);
    ck_assert_uint_eq(args.interval_ms, 2050);
    ck_assert_int_eq(parse("set --help", "", &args, NULL), 0); /* no words are asked for */
    ck_assert(args.help && strcmp(args.command->name, "set") == 0);
    ck_assert_int_eq(parse("--help", NULL, &args, NULL), 0);
    ck_assert(args.help);
}
END_TEST

static const struct {
    const char *word;
    const char *json; /* NULL: refused */
} words[] = {
    {"weight=5", "{\"weight\":5}"},
    {"max_conns=0", "{\"max_conns\":0}"},
    {"fail_timeout=1m", "{\"fail_timeout\":\"1m\"}"},
    {"route=", "{\"route\":\"\"}"},
    {"route=a=b", "{\"route\":\"a=b\"}"},
    {"down", "{\"down\":true}"},
    {"down=on", "{\"down\":true}"},
    {"backup=false", "{\"backup\":false}"},
    {"weight", NULL},
    {"weight=", NULL},
    {"weight=-1", NULL},
    {"weight=5x", NULL},
    {"weight=2147483648", NULL},
    {"route", NULL},
    {"down=", NULL},
    {"down=maybe", NULL},
    {"colour=red", NULL},
    {"=", NULL},
    {"", NULL},
};

START_TEST(test_settings)
{
    json_t *server = json_object();
    struct rem_err err = {0};
    int rc = rem_ctl_args_setting(words[_i].word, server, &err);
    char *text = json_dumps(server, JSON_COMPACT);

    ck_assert_msg((rc == 0) == (words[_i].json != NULL), "%s", words[_i].word);
    ck_assert_str_eq(text, words[_i].json != NULL ? words[_i].json : "{}");
    free(text);
    json_decref(server);
}
END_TEST

static const struct {
    const char *word;
    const char *json;
} targets[] = {
    {"0", "{\"id\":0}"},
    {"17", "{\"id\":17}"},
    {"127.0.0.1", "{\"address\":\"127.0.0.1:80\"}"},
    {"127.0.0.1:81", "{\"address\":\"127.0.0.1:81\"}"},
    {"[::1]", "{\"address\":\"[::1]:80\"}"},
    {"unix:/x", "{\"address\":\"unix:/x\"}"},
    {"99999999999999999999", "{\"address\":\"99999999999999999999:80\"}"},
    {"1.2.3.4:x", "{\"address\":\"1.2.3.4:x\"}"},
};

START_TEST(test_targets)
{
    json_t *operation = json_object();
    struct rem_err err = {0};
    char *text;

    ck_assert_int_eq(rem_ctl_args_target(targets[_i].word, operation, &err), 0);
    text = json_dumps(operation, JSON_COMPACT);
    ck_assert_str_eq(text, targets[_i].json);
    free(text);
    json_decref(operation);
}
END_TEST

static const struct {
    const char *text;
    const char *json; /* NULL: refused */
} files[] = {
    {"", "[]"},
    {"\n# nothing\n  \n", "[]"},
    {"a:1\nb:2 weight=3\tdown # c\r\n", "[{\"server\":\"a:1\"},"
                                        "{\"server\":\"b:2\",\"weight\":3,\"down\":true}]"},
    {"a:1", "[{\"server\":\"a:1\"}]"},
    {" [{\"server\":\"a\"}]", "[{\"server\":\"a\"}]"},
    {"{\"servers\":[{\"server\":\"a\",\"state\":\"up\",\"active\":3}],\"zone\":1}",
     "[{\"server\":\"a\"}]"},
    {"[", NULL},
    {"{\"a\":1,\"a\":2}", NULL},
    {"a:1 frob=2", NULL},
    {"\xff:1", NULL},
};

START_TEST(test_files)
{
    struct rem_err err = {0};
    json_t *list = NULL;
    int rc = rem_ctl_args_servers(files[_i].text, strlen(files[_i].text), &list, &err);
    char *text;

    ck_assert_msg((rc == 0) == (files[_i].json != NULL), "%s: %s", files[_i].text, err.text);
    if (rc != 0)
        return;
    text = json_dumps(list, JSON_COMPACT);
    ck_assert_str_eq(text, files[_i].json);
    free(text);
    json_decref(list);
}
END_TEST

START_TEST(test_file_with_nul)
{
    struct rem_err err = {0};
    json_t *list = NULL;

    ck_assert_int_ne(rem_ctl_args_servers("a:1\0b:2", 7, &list, &err), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_lines, 0, REM_COUNT(lines));
    tcase_add_test(tc, test_server_choice);
    tcase_add_loop_test(tc, test_settings, 0, REM_COUNT(words));
    tcase_add_loop_test(tc, test_targets, 0, REM_COUNT(targets));
    tcase_add_loop_test(tc, test_files, 0, REM_COUNT(files));
    tcase_add_test(tc, test_file_with_nul);
    return run_suite("remoractl_args", tc);
}
