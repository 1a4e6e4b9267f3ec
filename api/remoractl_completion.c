/* SPDX-License-Identifier: Apache-2.0 */
/* Completion: a script for the shell that asks remoractl itself what may stand in the line, so that
 * there is one table of commands and options, and names are those of the running instance. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the scripts ---- */

/* bash cuts words at ":" and "=", so that the line itself is looked at, and what stands before the
 * last of these is taken off the answers again. */
static const char bash_script[] =
    "# Completion of remoractl for bash:  source <(remoractl completion bash)\n"
    "_remoractl() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur='' cut found\n"
    "    local -a words\n"
    "    read -ra words <<< \"$line\"\n"
    "    case $line in\n"
    "        *[[:blank:]]) ;;\n"
    "        *) cur=${words[-1]}; unset 'words[-1]' ;;\n"
    "    esac\n"
    "    found=$(\"${words[0]:-remoractl}\" complete -- \"${words[@]:1}\" \"$cur\" 2>/dev/null)\n"
    "    if [ \"$found\" = :file ]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    cut=${cur%\"${cur##*[:=]}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        [ -n \"$line\" ] && COMPREPLY+=(\"${line#\"$cut\"}\")\n"
    "    done <<< \"$found\"\n"
    "    case ${COMPREPLY[0]-} in *=) compopt -o nospace 2>/dev/null ;; esac\n"
    "}\n"
    "complete -F _remoractl remoractl\n";

static const char zsh_script[] =
    "#compdef remoractl\n"
    "# Completion of remoractl for zsh:  remoractl completion zsh > DIR_OF_FPATH/_remoractl\n"
    "_remoractl() {\n"
    "    local -a found more\n"
    "    found=(\"${(@f)$(\"${words[1]}\" complete -- \"${(@)words[2,CURRENT-1]}\" \"$PREFIX\" "
    "2>/dev/null)}\")\n"
    "    if [[ \"$found\" == :file ]]; then\n"
    "        _files\n"
    "        return\n"
    "    fi\n"
    "    more=(${(M)found:#*=})\n"
    "    found=(${found:#*=})\n"
    "    compadd -S '' -a more\n"
    "    compadd -a found\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _remoractl ]; then _remoractl \"$@\"; else compdef _remoractl "
    "remoractl; fi\n";

int rem_ctl_completion(const struct rem_ctl_args *args)
{
    if (strcmp(args->words[0], "bash") == 0)
        (void)fputs(bash_script, stdout);
    else if (strcmp(args->words[0], "zsh") == 0)
        (void)fputs(zsh_script, stdout);
    else
        return rem_ctl_complain("no script for \"%s\": bash and zsh are known", args->words[0]);
    return REM_CTL_OK;
}

/* ---- what may stand in a line ---- */

/* A line that is not finished yet. */
struct line {
    struct rem_ctl_args reach; /* how to get to the instance */
    const struct rem_ctl_command *command;
    const char *upstream;                    /* the first word behind the command */
    const struct rem_ctl_option_row *option; /* the last word is one that needs a value */
    int words;                               /* behind the command */
    const char *cur;
};

static void offer(const struct line *line, const char *text)
{
    if (strncmp(text, line->cur, strlen(line->cur)) == 0)
        (void)puts(text);
}

static const struct rem_ctl_option_row *find_option(const char *word)
{
    for (const struct rem_ctl_option_row *option = rem_ctl_options; option->long_name != NULL;
         option++) {
        size_t n = strlen(option->long_name);
        if ((option->short_name != NULL && strcmp(word, option->short_name) == 0) ||
            (strncmp(word, option->long_name, n) == 0 && (word[n] == '\0' || word[n] == '=')))
            return option;
    }
    return NULL;
}

static void take_value(struct line *line, const struct rem_ctl_option_row *option,
                       const char *value)
{
    if (strcmp(option->long_name, "--server") == 0)
        line->reach.server = value;
    else if (strcmp(option->long_name, "--token-file") == 0)
        line->reach.token_file = value;
}

static void take_word(struct line *line, const char *word)
{
    const struct rem_ctl_option_row *option = line->option;
    const char *equals = strchr(word, '=');

    line->option = NULL;
    if (option != NULL) {
        take_value(line, option, word);
    } else if (word[0] == '-' && word[1] != '\0') {
        option = find_option(word);
        if (option != NULL && option->value != NULL && equals != NULL)
            take_value(line, option, equals + 1);
        else if (option != NULL && option->value != NULL)
            line->option = option;
    } else if (line->command == NULL) {
        line->command = rem_ctl_command_find(word);
    } else if (line->words++ == 0) {
        line->upstream = word;
    }
}

static void offer_commands(const struct line *line)
{
    for (const struct rem_ctl_command *command = rem_ctl_commands; command->name != NULL; command++)
        if (command->summary != NULL)
            offer(line, command->name);
}

static void offer_options(const struct line *line)
{
    for (const struct rem_ctl_option_row *option = rem_ctl_options; option->long_name != NULL;
         option++)
        if (option->option == 0 ||
            (line->command != NULL && option->option & line->command->options))
            offer(line, option->long_name);
}

/* A member of each element of a list that the API answers with. */
static void offer_names(const struct line *line, const char *pattern, const char *list,
                        const char *member)
{
    char *path = rem_ctl_path(&line->reach, pattern, line->upstream);
    json_t *answer = NULL, *values;

    if (path == NULL || rem_ctl_ask_json(&line->reach, "GET", path, NULL, &answer) != REM_CTL_OK) {
        free(path);
        return;
    }
    free(path);
    values = json_object_get(answer, list);
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *value = json_object_get(json_array_get(values, i), member);
        char text[32];
        if (json_is_integer(value))
            (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        offer(line,
              json_is_integer(value) ? text : rem_ctl_text(json_array_get(values, i), member));
    }
    json_decref(answer);
}

static void offer_all(const struct line *line, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        offer(line, *texts);
}

/* What the word at the cursor is, by the command's letters. */
static char kind_of(const struct line *line)
{
    const char *kinds = line->command->words;
    size_t n = strlen(kinds);

    if (n == 0)
        return '\0';
    if ((size_t)line->words < n)
        return kinds[line->words];
    return line->command->max_words < 0 ? kinds[n - 1] : '\0';
}

static void offer_word(const struct line *line)
{
    static const char *const settings[] = {
        "weight=", "max_conns=", "max_fails=", "fail_timeout=", "slow_start=",
        "route=",  "backup",     "down",       "drain",         NULL};
    static const char *const shells[] = {"bash", "zsh", NULL};
    static const char *const states[] = {"explain", NULL};

    switch (kind_of(line)) {
    case 'u':
        offer_names(line, "/v1/http/upstreams", "upstreams", "name");
        break;
    case 's':
        offer_names(line, "/v1/http/upstreams/%s", "servers", "server");
        break;
    case 'z':
        offer_names(line, "/v1/http/keyvals", "keyvals", "name");
        break;
    case 'p':
        offer_names(line, "/v1/http/splits", "splits", "name");
        break;
    case 'r':
        offer_names(line, "/v1/history", "history", "revision");
        break;
    case '=':
        offer_all(line, settings);
        break;
    case 'x':
        offer_all(line, states);
        break;
    case 'b':
        offer_all(line, shells);
        break;
    case 'c':
        offer_commands(line);
        break;
    default:
        break;
    }
}

int rem_ctl_complete(const struct rem_ctl_args *args)
{
    struct line line = {.reach = *args, .upstream = ""};

    line.reach.given = 0;
    line.cur = args->words[args->word_count - 1];
    if (freopen("/dev/null", "w", stderr) == NULL) /* whoever types is not to be disturbed */
        return REM_CTL_FAILED;
    for (int i = 0; i < args->word_count - 1; i++)
        take_word(&line, args->words[i]);
    if (line.option != NULL) {
        if (strcmp(line.option->value, "FILE") == 0)
            (void)puts(":file");
    } else if (line.cur[0] == '-') {
        offer_options(&line);
    } else if (line.command == NULL) {
        offer_commands(&line);
    } else {
        offer_word(&line);
    }
    return REM_CTL_OK;
}
