/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_commands.h - the commands of remoractl.
 *
 * Runs in:    remoractl.  */
#ifndef REM_API_REMORACTL_COMMANDS_H
#define REM_API_REMORACTL_COMMANDS_H

#include "api/remoractl_args.h"

struct rem_ctl_command {
    const char *name;
    int min_words;
    int max_words;                               /* -1: any number */
    int (*run)(const struct rem_ctl_args *args); /* returns enum rem_ctl_exit */
    const char *usage;
};

/* NULL: there is no such command. */
const struct rem_ctl_command *rem_ctl_command_find(const char *name);

#endif
