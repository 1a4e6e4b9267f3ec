/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_ask.h - asking the API, and saying what came of it.
 *
 * Runs in:    remoractl.
 * Contract:   functions that return an exit code have told the user what went wrong.  */
#ifndef REM_API_REMORACTL_ASK_H
#define REM_API_REMORACTL_ASK_H

#include "api/remoractl_args.h"
#include "api/remoractl_http.h"

/* Prints "remoractl: ..." to stderr; returns REM_CTL_FAILED. */
int rem_ctl_complain(const char *format, ...) REM_PRINTF(1, 2);
int rem_ctl_no_memory(void);

/* `pattern` with its one "%s" for `name`, escaped, and "?dry_run=true" behind it where that is
 * asked for.  Owns: the caller frees; NULL without memory. */
char *rem_ctl_path(const struct rem_ctl_args *args, const char *pattern, const char *name);

/* The request that all others are made of.  `token` is memory for it.  Returns: REM_CTL_OK, or an
 * exit code. */
enum { REM_CTL_TOKEN_MAX = 4096 };
int rem_ctl_request_init(const struct rem_ctl_args *args, struct rem_ctl_request *request,
                         char token[REM_CTL_TOKEN_MAX]);

/* Says why the API refused; returns REM_CTL_REFUSED.  `sent`: the request's body, or NULL; of a
 * transaction it tells what the operation with the fault was about. */
int rem_ctl_refused(int status, struct rem_str body, const json_t *sent);

/* Sends a request of which method, path and if_match are given, `send` (or NULL) its body, and
 * returns REM_CTL_OK with any answer; *status is 0 when there was none. */
int rem_ctl_send(const struct rem_ctl_args *args, struct rem_ctl_request *request,
                 const json_t *send, int *status, struct rem_sbuf *body);

/* Sends a request; with REM_CTL_OK *body holds the answer of a success. */
int rem_ctl_ask(const struct rem_ctl_args *args, const char *method, const char *path,
                const json_t *send, struct rem_sbuf *body);

/* As above, with JSON for an answer, which is the caller's. */
int rem_ctl_ask_json(const struct rem_ctl_args *args, const char *method, const char *path,
                     const json_t *send, json_t **out);

/* The same for a command that shows the answer: --json prints it, and leaves *out NULL. */
int rem_ctl_ask_shown(const struct rem_ctl_args *args, const char *method, const char *path,
                      const json_t *send, json_t **out);

/* The same without a body, for `path` (taken; NULL: out of memory). */
int rem_ctl_ask_path(const struct rem_ctl_args *args, const char *method, char *path, json_t **out);

/* Sends a change (taken; NULL: out of memory) and says what came of it; `path` is freed. */
int rem_ctl_change(const struct rem_ctl_args *args, const char *method, char *path, json_t *send);

/* Says what came of a change: its revision, or what a dry run would do. */
void rem_ctl_print_change(const json_t *answer);

void rem_ctl_print_json(const json_t *value);

/* What a file holds; "-" is stdin. */
int rem_ctl_read_file(const char *name, struct rem_sbuf *out);
int rem_ctl_read_json(const char *name, json_t **out);

/* Members; 0 and "" where they are missing. */
json_int_t rem_ctl_number(const json_t *object, const char *key);
const char *rem_ctl_text(const json_t *object, const char *key);

#endif
