/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* "  $ line" for each line. */
static void print_examples(const char *text)
{
    (void)puts("\nExamples:");
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        (void)printf("  $ %.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

/* Those that go with `mask`, or with every command (0). */
static void print_options(uint32_t mask)
{
    for (const struct rem_ctl_option_row *option = rem_ctl_options; option->long_name != NULL;
         option++) {
        char words[64];
        if (mask == 0 ? option->option != 0 : (option->option & mask) == 0)
            continue;
        (void)snprintf(words, sizeof(words), "%s%s%s%s%s",
                       option->short_name != NULL ? option->short_name : "  ",
                       option->short_name != NULL ? ", " : "  ", option->long_name,
                       option->value != NULL ? " " : "",
                       option->value != NULL ? option->value : "");
        (void)printf("  %-24s %s\n", words, option->text);
    }
}

static void help_on(const struct rem_ctl_command *command)
{
    const char *text =
        command->summary != NULL ? command->summary : "what may stand behind the words";

    (void)printf("usage: remoractl %s\n\n%c%s.\n", command->usage, toupper((unsigned char)text[0]),
                 text + 1);
    if (command->details != NULL)
        (void)printf("%s", command->details);
    if (command->options != 0) {
        (void)puts("\nOptions:");
        print_options(command->options);
    }
    print_examples(command->examples);
}

static void help_on_all(void)
{
    (void)puts("usage: remoractl [options] COMMAND [arguments]\n\nCommands:");
    for (const struct rem_ctl_command *command = rem_ctl_commands; command->name != NULL; command++)
        if (command->summary != NULL)
            (void)printf("  %-14s %s\n", command->name, command->summary);
    (void)puts("\nOptions, anywhere in the line:");
    print_options(0);
    print_examples("remoractl list\n"
                   "remoractl drain shop 10.0.0.5:8080\n"
                   "remoractl diff -f all.json\n"
                   "remoractl apply --help\n");
    (void)puts("\nExit status: 0 done, 1 refused by the API, 2 wrong usage or no connection,\n"
               "3 (diff) something would change.");
}

void rem_ctl_help(const struct rem_ctl_command *command)
{
    if (command != NULL)
        help_on(command);
    else
        help_on_all();
}

int rem_ctl_help_run(const struct rem_ctl_args *args)
{
    const struct rem_ctl_command *command = NULL;

    if (args->word_count == 1) {
        command = rem_ctl_command_find(args->words[0]);
        if (command == NULL)
            return rem_ctl_complain("unknown command \"%s\"; see remoractl --help", args->words[0]);
    }
    rem_ctl_help(command);
    return REM_CTL_OK;
}
