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
#include <stdint.h>

enum rem_ctl_exit {
    REM_CTL_OK = 0,
    REM_CTL_REFUSED = 1, /* the API said no */
    REM_CTL_FAILED = 2,  /* usage, connection */
    REM_CTL_DIFFERS = 3, /* diff: not the same */
};

/* Options that a command may take, by bit. */
enum rem_ctl_option {
    REM_CTL_FILE = 1 << 0,
    REM_CTL_IF_MATCH = 1 << 1,
    REM_CTL_DETAIL = 1 << 2,
    REM_CTL_DRY_RUN = 1 << 3,
    REM_CTL_PRUNE = 1 << 4,
    REM_CTL_INTERVAL = 1 << 5,
    REM_CTL_COUNT = 1 << 6,
    REM_CTL_SINCE = 1 << 7,
    REM_CTL_LIMIT = 1 << 8,
    REM_CTL_INSTANCE = 1 << 9,
    REM_CTL_TIMEOUT = 1 << 10,
    REM_CTL_DELAY = 1 << 11,
    REM_CTL_TTL = 1 << 12,
};

struct rem_ctl_command;

struct rem_ctl_args {
    const char *server;     /* -s, $REMORA_ADMIN or the default */
    const char *token_file; /* --token-file, $REMORA_TOKEN_FILE or NULL */
    uint32_t given;         /* enum rem_ctl_option */
    const char *file;       /* -f */
    const char *if_match;   /* digits; NULL: none */
    const char *timeout;    /* a time of the API's */
    const char *delay;      /* likewise */
    uint64_t interval_ms;   /* -n */
    uint64_t count;         /* 0: no end */
    uint64_t since;
    uint64_t limit;
    uint64_t ttl_ms;
    bool json;
    bool help;
    bool version;
    const struct rem_ctl_command *command; /* NULL with help or version, perhaps */
    char **words;                          /* behind the command */
    int word_count;
};

static inline bool rem_ctl_given(const struct rem_ctl_args *args, enum rem_ctl_option option)
{
    return (args->given & (uint32_t)option) != 0;
}

/* Reads the command line; options may stand anywhere.  `server` is $REMORA_ADMIN or NULL,
 * `token_file` $REMORA_TOKEN_FILE or NULL.  Errors: REM_EINVAL with *err. */
int rem_ctl_args_parse(int argc, char **argv, const char *server, const char *token_file,
                       struct rem_ctl_args *out, struct rem_err *err) REM_MUST_CHECK;

/* "weight=5", "down", "backup=off"... as a member of `server`.
 * Errors: REM_EINVAL with *err. */
int rem_ctl_args_setting(const char *word, json_t *server, struct rem_err *err) REM_MUST_CHECK;

/* What names a server in an operation: "id" for digits, else "address" with its port. */
int rem_ctl_args_target(const char *word, json_t *operation, struct rem_err *err) REM_MUST_CHECK;

/* A set of servers as text: a JSON array (or what `show --json` printed), or one server per line
 * with its settings; "#" begins a comment.  Owns: *out is the caller's. */
int rem_ctl_args_servers(const char *text, size_t n, json_t **out,
                         struct rem_err *err) REM_MUST_CHECK;

/* Takes out of a list of servers what the API shows and does not take back. */
void rem_ctl_args_strip(json_t *servers);

/* The options there are, for help and completion; ends with a NULL long_name. */
struct rem_ctl_option_row {
    const char *short_name; /* NULL: none */
    const char *long_name;
    const char *value; /* what it needs, as help calls it; NULL: nothing */
    uint32_t option;   /* enum rem_ctl_option; 0: goes with every command */
    const char *text;
};
extern const struct rem_ctl_option_row rem_ctl_options[];

#endif
