/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line.
 *
 * Runs in:    main(), once.  Texts are borrowed from argv.  */
#ifndef REM_PROCESS_OPTIONS_H
#define REM_PROCESS_OPTIONS_H

#include "proto/base/err.h"
#include "proto/base/str.h"

#include <stdio.h>

#define REM_DEFAULT_PREFIX "/etc/remora/"
#define REM_DEFAULT_CONF   "remora.conf"

struct rem_options {
    bool help;
    bool version;
    bool build;          /* -V */
    bool test;           /* -t, -T */
    bool dump;           /* -T */
    bool quiet;          /* -q */
    const char *signal;  /* -s: "stop", "quit", "reopen", "reload"; NULL: none */
    const char *prefix;  /* -p */
    const char *conf;    /* -c */
    const char *globals; /* -g; NULL: none */
    const char *log;     /* -e; NULL: not given */
    int argc;
    char **argv; /* as given, for the binary upgrade */
};

/* Errors: REM_EINVAL, with the sentence for the user in err->text. */
int rem_options_parse(int argc, char **argv, struct rem_options *out,
                      struct rem_err *err) REM_MUST_CHECK;

/* What -h shows. */
void rem_options_help(FILE *out);

/* What -v (and with `build` -V) shows. */
void rem_options_version(FILE *out, bool build);

#endif
