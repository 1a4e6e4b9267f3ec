/* SPDX-License-Identifier: Apache-2.0 */
/* lexer.h - a configuration text cut into words and punctuation.
 *
 * A word is bare (ends at white space, ; or {) or quoted with " or '.  In both, \" \' \\ \t \r \n
 * stand for one character and a backslash before anything else stays, with what follows.  The {
 * of ${name} opens no block.  # starts a comment where a word could start.
 * Not here:   what may follow what (parser.c).  */
#ifndef REM_CONF_LEXER_H
#define REM_CONF_LEXER_H

#include "proto/base/arena.h"
#include "proto/base/err.h"

/* The longest word as written; a longer one means a quote was forgotten. */
enum { REM_LEXER_MAX_WORD = 4095 };

enum rem_token_kind {
    REM_TOKEN_WORD = 0,
    REM_TOKEN_SEMICOLON,
    REM_TOKEN_OPEN,
    REM_TOKEN_CLOSE,
    REM_TOKEN_END,
    REM_TOKEN_CUT, /* the text ended inside quotes */
};

struct rem_token {
    enum rem_token_kind kind;
    struct rem_str text; /* of a WORD: unescaped, NUL-terminated, in the arena */
};

struct rem_lexer {
    struct rem_arena *arena;
    struct rem_str file; /* for messages */
    const char *at;
    const char *end;
    uint32_t line; /* of `at`, from 1; 0 throughout: the text has no lines (-g) */
};

/* `bytes` must live as long as the lexer.  `lines` false: the text of -g. */
void rem_lexer_init(struct rem_lexer *lexer, struct rem_arena *arena, struct rem_str file,
                    struct rem_str bytes, bool lines);

/* The next token.  Errors: REM_EINVAL with err->text (lexer->line is then the line to name),
 * REM_ENOMEM (the same). */
int rem_lexer_next(struct rem_lexer *lexer, struct rem_token *out,
                   struct rem_err *err) REM_MUST_CHECK;

#endif
