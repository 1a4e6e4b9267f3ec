/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_args.h - what remoractl was asked to do.
 *
 * Runs in:    remoractl.
 * Not here:   doing it (see remoractl_commands.h).  */
#ifndef REM_API_REMORACTL_ARGS_H
#define REM_API_REMORACTL_ARGS_H

#include "proto/base/err.h"

#include <jansson.h>
#include <stdbool.h>

enum rem_ctl_exit {
    REM_CTL_OK = 0,
    REM_CTL_REFUSED = 1, /* the API said no */
    REM_CTL_FAILED = 2,  /* usage, connection */
};

struct rem_ctl_command;

struct rem_ctl_args {
    const char *server;   /* -s, $REMORA_ADMIN or the default */
    const char *file;     /* -f: replace */
    const char *if_match; /* --if-match: digits; NULL: none */
    bool json;
    bool detail; /* metrics: per server */
    bool help;
    bool version;
    const struct rem_ctl_command *command;
    char **words; /* behind the command */
    int word_count;
};

/* Reads the command line; options may stand anywhere.  `environment` is $REMORA_ADMIN or NULL.
 * Errors: REM_EINVAL with *err. */
int rem_ctl_args_parse(int argc, char **argv, const char *environment, struct rem_ctl_args *out,
                       struct rem_err *err) REM_MUST_CHECK;

/* "weight=5", "down", "backup=off"... as a member of `server`.
 * Errors: REM_EINVAL with *err. */
int rem_ctl_args_setting(const char *word, json_t *server, struct rem_err *err) REM_MUST_CHECK;

/* What names a server in an operation: "id" for digits, else "address" with its port. */
int rem_ctl_args_target(const char *word, json_t *operation, struct rem_err *err) REM_MUST_CHECK;

/* A set of servers as text: a JSON array (or what `show --json` printed), or one server per line
 * with its settings; "#" begins a comment.  Owns: *out is the caller's. */
int rem_ctl_args_servers(const char *text, size_t n, json_t **out,
                         struct rem_err *err) REM_MUST_CHECK;

extern const char rem_ctl_help[];

#endif
