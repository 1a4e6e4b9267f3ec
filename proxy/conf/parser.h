/* SPDX-License-Identifier: Apache-2.0 */
/* parser.h - statements out of tokens; the inside of proxy/conf only.
 *
 * Not here:   what a directive means (directive.h).  */
#ifndef REM_CONF_PARSER_H
#define REM_CONF_PARSER_H

#include "proxy/conf/conf.h"

/* Blocks and includes within each other; beyond it is a loop of includes. */
enum { REM_PARSER_MAX_DEPTH = 100 };

/* How a statement ends: with ; or with the { of a block. */
enum rem_parser_end {
    REM_PARSER_SEMICOLON = 0,
    REM_PARSER_BLOCK,
};

/* What is being read, and thereby how it may end. */
enum rem_parser_kind {
    REM_PARSER_FILE = 0,
    REM_PARSER_INNER, /* a block of the current file */
    REM_PARSER_PARAM, /* the text of -g */
};

/* Reads statements from cf->lexer and runs them, to the end of what is read. */
int rem_parser_run(struct rem_conf *cf, enum rem_parser_kind kind) REM_MUST_CHECK;

/* Reads a whole text with a lexer of its own. */
int rem_parser_text(struct rem_conf *cf, struct rem_str file, struct rem_str bytes,
                    enum rem_parser_kind kind) REM_MUST_CHECK;

/* Opens and reads a file (absolute path). */
int rem_parser_file(struct rem_conf *cf, struct rem_str path) REM_MUST_CHECK;

#endif
