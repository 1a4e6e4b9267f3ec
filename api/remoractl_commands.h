/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_commands.h - the commands of remoractl.
 *
 * Runs in:    remoractl.
 * Files:      remoractl_commands.c (the table), remoractl_servers.c, remoractl_upstreams.c,
 *             remoractl_status.c, remoractl_apply.c, remoractl_history.c, remoractl_watch.c,
 *             remoractl_tables.c (key-value zones, splits), remoractl_help.c, and
 *             remoractl_completion.c.  */
#ifndef REM_API_REMORACTL_COMMANDS_H
#define REM_API_REMORACTL_COMMANDS_H

#include "api/remoractl_args.h"

#define REM_CTL_DEFAULT_SERVER "unix:/run/remora/admin.sock"

struct rem_ctl_command {
    const char *name;
    int min_words;
    int max_words;                               /* -1: any number */
    int (*run)(const struct rem_ctl_args *args); /* returns enum rem_ctl_exit */
    const char *usage;
    uint32_t options;     /* enum rem_ctl_option that it takes */
    uint32_t needs;       /* those that it cannot do without */
    const char *words;    /* for completion, a letter per word, the last of them for all that
                             follow: u upstream, s server of it, = setting, z zone, p split,
                             r revision, x state's words, b shells, c commands, - anything */
    const char *summary;  /* a line; NULL: the command is not shown */
    const char *details;  /* lines, or NULL */
    const char *examples; /* lines, without the prompt */
};

/* Ends with a NULL name. */
extern const struct rem_ctl_command rem_ctl_commands[];

/* NULL: there is no such command. */
const struct rem_ctl_command *rem_ctl_command_find(const char *name);

/* Help on all, or on one command. */
void rem_ctl_help(const struct rem_ctl_command *command);

/* ---- what they do, by file ---- */

/* remoractl_servers.c */
int rem_ctl_list(const struct rem_ctl_args *args);
int rem_ctl_show(const struct rem_ctl_args *args);
int rem_ctl_add(const struct rem_ctl_args *args);
int rem_ctl_set(const struct rem_ctl_args *args);
int rem_ctl_drain(const struct rem_ctl_args *args);
int rem_ctl_down(const struct rem_ctl_args *args);
int rem_ctl_up(const struct rem_ctl_args *args);
int rem_ctl_remove(const struct rem_ctl_args *args);
int rem_ctl_replace(const struct rem_ctl_args *args);

/* remoractl_upstreams.c */
int rem_ctl_create(const struct rem_ctl_args *args);
int rem_ctl_update(const struct rem_ctl_args *args);
int rem_ctl_delete(const struct rem_ctl_args *args);

/* remoractl_status.c */
int rem_ctl_status(const struct rem_ctl_args *args);
int rem_ctl_revision(const struct rem_ctl_args *args);
int rem_ctl_metrics(const struct rem_ctl_args *args);
int rem_ctl_state(const struct rem_ctl_args *args);
int rem_ctl_ready(const struct rem_ctl_args *args);

/* remoractl_apply.c */
int rem_ctl_apply(const struct rem_ctl_args *args);
int rem_ctl_diff(const struct rem_ctl_args *args);

/* remoractl_history.c */
int rem_ctl_history(const struct rem_ctl_args *args);
int rem_ctl_rollback(const struct rem_ctl_args *args);
int rem_ctl_events(const struct rem_ctl_args *args);

/* remoractl_watch.c */
int rem_ctl_watch(const struct rem_ctl_args *args);

/* remoractl_tables.c */
int rem_ctl_keyvals(const struct rem_ctl_args *args);
int rem_ctl_keyval_set(const struct rem_ctl_args *args);
int rem_ctl_keyval_delete(const struct rem_ctl_args *args);
int rem_ctl_splits(const struct rem_ctl_args *args);
int rem_ctl_split_set(const struct rem_ctl_args *args);

/* remoractl_completion.c */
int rem_ctl_completion(const struct rem_ctl_args *args);
int rem_ctl_complete(const struct rem_ctl_args *args);

/* remoractl_help.c */
int rem_ctl_help_run(const struct rem_ctl_args *args);

#endif
