/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_args.h"

#include "api/remoractl_commands.h"
#include "proto/base/addr.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_SERVER "unix:/run/remora/admin.sock"

const char rem_ctl_help[] =
    "usage: remoractl [options] COMMAND [arguments]\n"
    "\n"
    "Commands:\n"
    "  list                              upstreams and how their servers do\n"
    "  show UPSTREAM                     its servers with states and counters\n"
    "  add UPSTREAM ADDRESS [SETTING...] add a server\n"
    "  set UPSTREAM SERVER SETTING...    change a server\n"
    "  drain UPSTREAM SERVER             no new requests, open ones end\n"
    "  down UPSTREAM SERVER              mark a server down\n"
    "  up UPSTREAM SERVER                undo drain and down\n"
    "  remove UPSTREAM SERVER            remove a server\n"
    "  replace UPSTREAM -f FILE          replace all servers in one step (- for stdin)\n"
    "  status                            version, workers, memory\n"
    "  revision                          the published revision and each worker's\n"
    "  metrics                           Prometheus text\n"
    "\n"
    "SERVER is an id or an address. A SETTING is weight=N, max_conns=N, max_fails=N,\n"
    "fail_timeout=TIME, slow_start=TIME, route=TEXT, backup, down or drain (also =on or =off).\n"
    "FILE holds a JSON array of servers, or one server and its settings per line.\n"
    "\n"
    "Options:\n"
    "  -s, --server ADDR   unix:/path or http://host:port (default: $REMORA_ADMIN, else\n"
    "                      " DEFAULT_SERVER ")\n"
    "  -f, --file FILE     for replace\n"
    "      --if-match N    change only if the revision is still N\n"
    "      --detail        for metrics: series for each server\n"
    "      --json          print the API's answer\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n"
    "\n"
    "Examples:\n"
    "  remoractl list\n"
    "  remoractl add backend 10.0.0.7:8080 weight=2\n"
    "  remoractl drain backend 10.0.0.5:8080\n"
    "  remoractl show backend --json | jq .servers > saved.json\n"
    "  printf '10.0.1.1:8080\\n10.0.1.2:8080 backup\\n' | remoractl replace backend -f -\n"
    "\n"
    "Exit status: 0 done, 1 refused by the API, 2 wrong usage or no connection.\n";

static const struct option {
    const char *short_name;
    const char *long_name;
    bool has_value;
} options[] = {
    {"-s", "--server", true},   {"-f", "--file", true},  {NULL, "--if-match", true},
    {NULL, "--detail", false},  {NULL, "--json", false}, {"-h", "--help", false},
    {"-V", "--version", false},
};

static const struct option *find_option(const char *word, size_t n)
{
    for (size_t i = 0; i < REM_COUNT(options); i++) {
        const struct option *option = &options[i];
        if ((option->short_name != NULL && n == 2 && memcmp(word, option->short_name, 2) == 0) ||
            (strlen(option->long_name) == n && memcmp(word, option->long_name, n) == 0))
            return option;
    }
    return NULL;
}

static int set_option(struct rem_ctl_args *args, const struct option *option, const char *value,
                      struct rem_err *err)
{
    const char *name = option->long_name;
    uint64_t revision;

    if (strcmp(name, "--server") == 0)
        args->server = value;
    else if (strcmp(name, "--file") == 0)
        args->file = value;
    else if (strcmp(name, "--detail") == 0)
        args->detail = true;
    else if (strcmp(name, "--json") == 0)
        args->json = true;
    else if (strcmp(name, "--help") == 0)
        args->help = true;
    else if (strcmp(name, "--version") == 0)
        args->version = true;
    else if (rem_str_to_u64(rem_str_from(value), UINT64_MAX, &revision) != 0)
        return rem_err_set(err, REM_EINVAL, "invalid revision \"%s\"", value);
    else
        args->if_match = value;
    return 0;
}

/* Takes the option at argv[*at] (and its value). */
static int take_option(int argc, char **argv, int *at, struct rem_ctl_args *args,
                       struct rem_err *err)
{
    const char *word = argv[*at];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const struct option *option =
        find_option(word, equals != NULL ? (size_t)(equals - word) : strlen(word));
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (option == NULL || (value != NULL && !option->has_value))
        return rem_err_set(err, REM_EINVAL, "unknown option \"%s\"", word);
    if (option->has_value && value == NULL) {
        if (*at + 1 == argc)
            return rem_err_set(err, REM_EINVAL, "option \"%s\" needs a value", word);
        value = argv[++*at];
    }
    return set_option(args, option, value, err);
}

static int check_command(struct rem_ctl_args *args, struct rem_err *err)
{
    const struct rem_ctl_command *command;

    if (args->help || args->version)
        return 0;
    if (args->word_count == 0)
        return rem_err_set(err, REM_EINVAL, "no command; see remoractl --help");
    command = rem_ctl_command_find(args->words[0]);
    if (command == NULL)
        return rem_err_set(err, REM_EINVAL, "unknown command \"%s\"", args->words[0]);
    args->command = command;
    args->words++;
    args->word_count--;
    if (args->word_count < command->min_words ||
        (command->max_words >= 0 && args->word_count > command->max_words))
        return rem_err_set(err, REM_EINVAL, "usage: remoractl %s", command->usage);
    if ((strcmp(command->name, "replace") == 0) != (args->file != NULL))
        return rem_err_set(err, REM_EINVAL, "-f FILE goes with replace, and replace with -f FILE");
    return 0;
}

int rem_ctl_args_parse(int argc, char **argv, const char *environment, struct rem_ctl_args *out,
                       struct rem_err *err)
{
    struct rem_ctl_args args = {.server = environment};
    bool only_words = false;

    if (args.server == NULL || args.server[0] == '\0')
        args.server = DEFAULT_SERVER;
    /* Words move to the front of argv[1..], over options that have been read. */
    args.words = argv + 1;
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            int rc = take_option(argc, argv, &i, &args, err);
            if (rc != 0)
                return rc;
        } else {
            args.words[args.word_count++] = argv[i];
        }
    }
    if (check_command(&args, err) != 0)
        return REM_EINVAL;
    *out = args;
    return 0;
}

/* ---- settings ---- */

static const struct setting {
    const char *name;
    enum { SETTING_NUMBER = 0, SETTING_TEXT, SETTING_FLAG } kind;
} settings[] = {
    {"weight", SETTING_NUMBER},     {"max_conns", SETTING_NUMBER}, {"max_fails", SETTING_NUMBER},
    {"fail_timeout", SETTING_TEXT}, {"slow_start", SETTING_TEXT},  {"route", SETTING_TEXT},
    {"backup", SETTING_FLAG},       {"down", SETTING_FLAG},        {"drain", SETTING_FLAG},
};

static json_t *flag_value(struct rem_str value)
{
    if (value.p == NULL || rem_str_is(value, "on") || rem_str_is(value, "true"))
        return json_true();
    if (rem_str_is(value, "off") || rem_str_is(value, "false"))
        return json_false();
    return NULL;
}

static json_t *setting_value(const struct setting *setting, struct rem_str value)
{
    uint64_t number;

    if (setting->kind == SETTING_FLAG)
        return flag_value(value);
    if (value.p == NULL)
        return NULL;
    if (setting->kind == SETTING_TEXT)
        return json_stringn(value.p, value.n);
    return rem_str_to_u64(value, INT32_MAX, &number) == 0 ? json_integer((json_int_t)number) : NULL;
}

int rem_ctl_args_setting(const char *word, json_t *server, struct rem_err *err)
{
    const char *equals = strchr(word, '=');
    size_t n = equals != NULL ? (size_t)(equals - word) : strlen(word);
    struct rem_str value = rem_str_from(equals != NULL ? equals + 1 : NULL);

    for (size_t i = 0; i < REM_COUNT(settings); i++) {
        json_t *json;
        if (!rem_str_is(rem_str_make(word, n), settings[i].name))
            continue;
        json = setting_value(&settings[i], value);
        if (json == NULL)
            return rem_err_set(err, REM_EINVAL, "invalid setting \"%s\"", word);
        if (json_object_set_new(server, settings[i].name, json) != 0)
            return rem_err_set(err, REM_ENOMEM, "out of memory");
        return 0;
    }
    return rem_err_set(err, REM_EINVAL, "unknown setting \"%s\"", word);
}

int rem_ctl_args_target(const char *word, json_t *operation, struct rem_err *err)
{
    struct rem_addr_parts parts;
    uint64_t id;
    char text[REM_ADDR_TEXT + 8];
    json_t *value;

    if (rem_str_to_u64(rem_str_from(word), INT64_MAX, &id) == 0) {
        value = json_integer((json_int_t)id);
    } else {
        bool bare = rem_addr_split(rem_str_from(word), &parts) == 0 && !parts.has_port &&
                    parts.kind != REM_ADDR_UNIX;
        if (snprintf(text, sizeof(text), "%s%s", word, bare ? ":80" : "") >= (int)sizeof(text))
            return rem_err_set(err, REM_EINVAL, "invalid server \"%s\"", word);
        value = json_string(text);
        if (value == NULL)
            return rem_err_set(err, REM_EINVAL, "invalid server \"%s\"", word);
    }
    if (json_object_set_new(operation, json_is_integer(value) ? "id" : "address", value) != 0)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    return 0;
}

/* ---- sets ---- */

/* One line: an address and settings, apart by blanks.  Changes the line. */
static int take_line(char *line, json_t *list, struct rem_err *err)
{
    static const char blanks[] = " \t\r";
    char *rest = NULL, *word;
    json_t *server;

    line[strcspn(line, "#")] = '\0';
    word = strtok_r(line, blanks, &rest);
    if (word == NULL)
        return 0;
    server = json_pack("{s:s}", "server", word);
    if (server == NULL)
        return rem_err_set(err, REM_EINVAL, "invalid server \"%s\"", word);
    while ((word = strtok_r(NULL, blanks, &rest)) != NULL) {
        int rc = rem_ctl_args_setting(word, server, err);
        if (rc != 0) {
            json_decref(server);
            return rc;
        }
    }
    return json_array_append_new(list, server) == 0 ? 0
                                                    : rem_err_set(err, REM_ENOMEM, "out of memory");
}

static int take_lines(const char *text, size_t n, json_t *list, struct rem_err *err)
{
    char *copy = strndup(text, n), *rest = NULL;
    int rc = copy != NULL ? 0 : rem_err_set(err, REM_ENOMEM, "out of memory");

    if (rc == 0 && strlen(copy) != n)
        rc = rem_err_set(err, REM_EINVAL, "the file holds a NUL byte");
    for (char *line = rc == 0 ? strtok_r(copy, "\n", &rest) : NULL; rc == 0 && line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        rc = take_line(line, list, err);
    free(copy);
    return rc;
}

/* Members that `show --json` adds to servers; the API takes none of them back. */
static void strip_status(json_t *list)
{
    static const char *const names[] = {"state",     "active", "requests",
                                        "responses", "fails",  "unavail"};
    json_t *server;
    size_t i;

    json_array_foreach(list, i, server) for (size_t k = 0; k < REM_COUNT(names); k++)(void)
        json_object_del(server, names[k]);
}

int rem_ctl_args_servers(const char *text, size_t n, json_t **out, struct rem_err *err)
{
    size_t blank = strspn(n != 0 ? text : "", " \t\r\n");
    json_error_t error;
    json_t *list, *inner;
    int rc;

    if (blank < n && (text[blank] == '[' || text[blank] == '{')) {
        list = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
        if (list == NULL)
            return rem_err_set(err, REM_EINVAL, "line %d: %s", error.line, error.text);
        inner = json_object_get(list, "servers");
        if (json_is_array(inner)) {
            json_incref(inner);
            json_decref(list);
            list = inner;
        }
        strip_status(list);
        *out = list;
        return 0;
    }
    list = json_array();
    if (list == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    rc = take_lines(text, n, list, err);
    if (rc != 0) {
        json_decref(list);
        return rc;
    }
    *out = list;
    return 0;
}
