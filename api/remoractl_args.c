/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_args.h"

#include "api/remoractl_commands.h"
#include "proto/base/addr.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { INTERVAL_MS = 1000 };

const struct rem_ctl_option_row rem_ctl_options[] = {
    {"-s", "--server", "ADDR", 0,
     "unix:/path or http://host:port; default: $REMORA_ADMIN, else " REM_CTL_DEFAULT_SERVER},
    {NULL, "--token-file", "FILE", 0, "a file with the token to show; default: $REMORA_TOKEN_FILE"},
    {NULL, "--json", NULL, 0, "print what the API answered"},
    {"-h", "--help", NULL, 0, "help, of a command with its examples"},
    {"-V", "--version", NULL, 0, "the version"},
    {"-f", "--file", "FILE", REM_CTL_FILE, "what to read; - is standard input"},
    {NULL, "--if-match", "N", REM_CTL_IF_MATCH, "change only if the revision is still N"},
    {NULL, "--dry-run", NULL, REM_CTL_DRY_RUN, "say what would change, change nothing"},
    {NULL, "--prune", NULL, REM_CTL_PRUNE, "remove run-time upstreams that FILE does not name"},
    {NULL, "--detail", NULL, REM_CTL_DETAIL, "series for each server"},
    {"-n", "--interval", "SECONDS", REM_CTL_INTERVAL, "between two looks; default: 1"},
    {NULL, "--count", "N", REM_CTL_COUNT, "end after N"},
    {NULL, "--since", "N", REM_CTL_SINCE, "begin behind event N"},
    {NULL, "--limit", "N", REM_CTL_LIMIT, "at most N"},
    {NULL, "--instance", NULL, REM_CTL_INSTANCE, "all of remora, not one server"},
    {NULL, "--timeout", "TIME", REM_CTL_TIMEOUT, "when to end at the latest, as in 30s"},
    {NULL, "--delay", "TIME", REM_CTL_DELAY, "how long to go on accepting, as in 5s"},
    {NULL, "--ttl", "SECONDS", REM_CTL_TTL, "how long the entries live"},
    {NULL, NULL, NULL, 0, NULL},
};

/* Options whose value is kept as it is. */
static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    {"--server", offsetof(struct rem_ctl_args, server)},
    {"--token-file", offsetof(struct rem_ctl_args, token_file)},
    {"--file", offsetof(struct rem_ctl_args, file)},
    {"--if-match", offsetof(struct rem_ctl_args, if_match)},
    {"--timeout", offsetof(struct rem_ctl_args, timeout)},
    {"--delay", offsetof(struct rem_ctl_args, delay)},
};

/* Those whose value is a number from `least` on. */
static const struct {
    const char *name;
    size_t offset;
    uint64_t least;
} numbers[] = {
    {"--count", offsetof(struct rem_ctl_args, count), 1},
    {"--since", offsetof(struct rem_ctl_args, since), 0},
    {"--limit", offsetof(struct rem_ctl_args, limit), 1},
};

static const struct rem_ctl_option_row *find_option(const char *word, size_t n)
{
    for (const struct rem_ctl_option_row *option = rem_ctl_options; option->long_name != NULL;
         option++)
        if ((option->short_name != NULL && n == 2 && memcmp(word, option->short_name, 2) == 0) ||
            (strlen(option->long_name) == n && memcmp(word, option->long_name, n) == 0))
            return option;
    return NULL;
}

/* "1", "0.5": seconds. */
static bool parse_seconds(const char *text, uint64_t *out_ms)
{
    struct rem_str s = rem_str_from(text), fraction = {NULL, 0};
    const char *dot = rem_str_chr(s, '.');
    uint64_t seconds, ms = 0;

    if (dot != NULL) {
        fraction = rem_str_make(dot + 1, s.n - (size_t)(dot - s.p) - 1);
        s.n = (size_t)(dot - s.p);
        if (fraction.n == 0 || fraction.n > 3 || rem_str_to_u64(fraction, 999, &ms) != 0)
            return false;
        for (size_t i = fraction.n; i < 3; i++)
            ms *= 10;
    }
    if (rem_str_to_u64(s, INT32_MAX / 1000, &seconds) != 0)
        return false;
    *out_ms = seconds * 1000 + ms;
    return *out_ms != 0;
}

static int set_value(struct rem_ctl_args *args, const struct rem_ctl_option_row *option,
                     const char *value, struct rem_err *err)
{
    const char *name = option->long_name;
    uint64_t revision;

    if (strcmp(name, "--if-match") == 0 &&
        rem_str_to_u64(rem_str_from(value), UINT64_MAX, &revision) != 0)
        return rem_err_set(err, REM_EINVAL, "invalid revision \"%s\"", value);
    for (size_t i = 0; i < REM_COUNT(texts); i++) {
        if (strcmp(name, texts[i].name) != 0)
            continue;
        *(const char **)(void *)((char *)args + texts[i].offset) = value;
        return 0;
    }
    for (size_t i = 0; i < REM_COUNT(numbers); i++) {
        uint64_t *to = (uint64_t *)(void *)((char *)args + numbers[i].offset);
        if (strcmp(name, numbers[i].name) != 0)
            continue;
        if (rem_str_to_u64(rem_str_from(value), INT64_MAX, to) != 0 || *to < numbers[i].least)
            return rem_err_set(err, REM_EINVAL, "invalid number \"%s\"", value);
        return 0;
    }
    if (!parse_seconds(value, option->option == REM_CTL_TTL ? &args->ttl_ms : &args->interval_ms))
        return rem_err_set(err, REM_EINVAL, "invalid number of seconds \"%s\"", value);
    return 0;
}

static int set_option(struct rem_ctl_args *args, const struct rem_ctl_option_row *option,
                      const char *value, struct rem_err *err)
{
    args->given |= option->option;
    if (option->value != NULL)
        return set_value(args, option, value, err);
    if (strcmp(option->long_name, "--json") == 0)
        args->json = true;
    else if (strcmp(option->long_name, "--help") == 0)
        args->help = true;
    else if (strcmp(option->long_name, "--version") == 0)
        args->version = true;
    return 0;
}

/* Takes the option at argv[*at] (and its value). */
static int take_option(int argc, char **argv, int *at, struct rem_ctl_args *args,
                       struct rem_err *err)
{
    const char *word = argv[*at];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const struct rem_ctl_option_row *option =
        find_option(word, equals != NULL ? (size_t)(equals - word) : strlen(word));
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (option == NULL || (value != NULL && option->value == NULL))
        return rem_err_set(err, REM_EINVAL, "unknown option \"%s\"", word);
    if (option->value != NULL && value == NULL) {
        if (*at + 1 == argc)
            return rem_err_set(err, REM_EINVAL, "option \"%s\" needs a value", word);
        value = argv[++*at];
    }
    return set_option(args, option, value, err);
}

/* Do the options go with the command? */
static int check_options(const struct rem_ctl_args *args, struct rem_err *err)
{
    const struct rem_ctl_command *command = args->command;

    for (const struct rem_ctl_option_row *option = rem_ctl_options; option->long_name != NULL;
         option++) {
        if (args->given & option->option & ~command->options)
            return rem_err_set(err, REM_EINVAL, "option \"%s\" does not go with \"%s\"",
                               option->long_name, command->name);
        if (option->option & command->needs & ~args->given)
            return rem_err_set(err, REM_EINVAL, "usage: remoractl %s", command->usage);
    }
    return 0;
}

static int check_command(struct rem_ctl_args *args, struct rem_err *err)
{
    const struct rem_ctl_command *command;

    if (args->word_count == 0)
        return args->help || args->version
                   ? 0
                   : rem_err_set(err, REM_EINVAL, "no command; see remoractl --help");
    command = rem_ctl_command_find(args->words[0]);
    if (command == NULL)
        return rem_err_set(err, REM_EINVAL, "unknown command \"%s\"; see remoractl --help",
                           args->words[0]);
    args->command = command;
    args->words++;
    args->word_count--;
    if (args->help || args->version)
        return 0;
    if (args->word_count < command->min_words ||
        (command->max_words >= 0 && args->word_count > command->max_words))
        return rem_err_set(err, REM_EINVAL, "usage: remoractl %s", command->usage);
    return check_options(args, err);
}

int rem_ctl_args_parse(int argc, char **argv, const char *server, const char *token_file,
                       struct rem_ctl_args *out, struct rem_err *err)
{
    struct rem_ctl_args args = {
        .server = server, .token_file = token_file, .interval_ms = INTERVAL_MS};
    bool only_words = false;

    if (args.server == NULL || args.server[0] == '\0')
        args.server = REM_CTL_DEFAULT_SERVER;
    if (args.token_file != NULL && args.token_file[0] == '\0')
        args.token_file = NULL;
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

/* What a server is given, and may be given back. */
static bool is_given(const char *key)
{
    for (size_t i = 0; i < REM_COUNT(settings); i++)
        if (strcmp(settings[i].name, key) == 0)
            return true;
    return strcmp(key, "server") == 0 || strcmp(key, "id") == 0;
}

/* Members that only ever are shown; what is unknown is left to be refused. */
static bool is_shown(const char *key)
{
    static const char *const names[] = {
        "state",     "active",   "requests",      "responses",   "fails",       "unavail",
        "parent",    "host",     "codes",         "health",      "header_time", "response_time",
        "sent",      "received", "selected",      "downtime",    "downstart",   "ejected",
        "ejections", "counters", "health_checks", "response_ms", "checks",      "outlier"};

    for (size_t i = 0; i < REM_COUNT(names); i++)
        if (strcmp(names[i], key) == 0)
            return true;
    return false;
}

void rem_ctl_args_strip(json_t *servers)
{
    json_t *server, *value;
    const char *key;
    void *next;
    size_t i;

    json_array_foreach(servers, i, server)
    {
        if (json_is_string(server)) {
            (void)json_array_set_new(servers, i, json_pack("{s:O}", "server", server));
            continue;
        }
        json_object_foreach_safe(server, next, key, value)
        {
            if (!is_given(key) && is_shown(key))
                (void)json_object_del(server, key);
        }
    }
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
        rem_ctl_args_strip(list);
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
