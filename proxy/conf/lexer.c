/* SPDX-License-Identifier: Apache-2.0 */
/* lexer.c - see lexer.h. */
#include "proxy/conf/lexer.h"

enum { SHOWN_OF_LONG_WORD = 10 };

void rem_lexer_init(struct rem_lexer *lexer, struct rem_arena *arena, struct rem_str file,
                    struct rem_str bytes, bool lines)
{
    *lexer = (struct rem_lexer){
        .arena = arena,
        .file = file,
        .at = bytes.p,
        .end = bytes.n != 0 ? bytes.p + bytes.n : bytes.p,
        .line = lines ? 1 : 0,
    };
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool ends_bare_word(char c)
{
    return is_space(c) || c == ';' || c == '{';
}

/* Moves over one character. */
static void advance(struct rem_lexer *lexer)
{
    if (*lexer->at == '\n' && lexer->line != 0)
        lexer->line++;
    lexer->at++;
}

static void skip_blank(struct rem_lexer *lexer)
{
    while (lexer->at < lexer->end) {
        if (is_space(*lexer->at)) {
            advance(lexer);
        } else if (*lexer->at == '#') {
            const char *eol = memchr(lexer->at, '\n', (size_t)(lexer->end - lexer->at));
            lexer->at = eol != NULL ? eol : lexer->end;
        } else {
            return;
        }
    }
}

/* What a backslash and `c` stand for, or 0: for both of them. */
static char unescaped(char c)
{
    switch (c) {
    case '"':
    case '\'':
    case '\\':
        return c;
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return 0;
    }
}

static int make_word(struct rem_lexer *lexer, const char *from, const char *to,
                     struct rem_token *out, struct rem_err *err)
{
    char *text = rem_arena_alloc(lexer->arena, (size_t)(to - from) + 1), *w = text;

    if (text == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    /* It would silently cut paths and names short. */
    if (memchr(from, '\0', (size_t)(to - from)) != NULL)
        return rem_err_set(err, REM_EINVAL, "unexpected NUL byte");
    while (from < to) {
        char plain = *from == '\\' && from + 1 < to ? unescaped(from[1]) : 0;

        if (plain != 0) {
            *w++ = plain;
            from += 2;
        } else {
            *w++ = *from++;
        }
    }
    *w = '\0';
    *out = (struct rem_token){REM_TOKEN_WORD, {text, (size_t)(w - text)}};
    return 0;
}

/* Errors that belong to the line on which the word started. */
static int check_length(struct rem_lexer *lexer, const char *from, uint32_t start_line, char quote,
                        struct rem_err *err)
{
    if (lexer->at - from <= REM_LEXER_MAX_WORD)
        return 0;
    lexer->line = start_line;
    if (quote != 0)
        return rem_err_set(err, REM_EINVAL,
                           "too long parameter, probably missing terminating \"%c\" character",
                           quote);
    return rem_err_set(err, REM_EINVAL, "too long parameter \"%.*s...\" started",
                       (int)SHOWN_OF_LONG_WORD, from);
}

static int quoted_word(struct rem_lexer *lexer, struct rem_token *out, struct rem_err *err)
{
    uint32_t start_line = lexer->line;
    const char *from = lexer->at;
    char quote = *from;
    int rc;

    lexer->at++;
    while (lexer->at < lexer->end && *lexer->at != quote) {
        if (*lexer->at == '\\' && lexer->at + 1 < lexer->end)
            lexer->at++;
        advance(lexer);
        rc = check_length(lexer, from, start_line, quote, err);
        if (rc < 0)
            return rc;
    }
    if (lexer->at == lexer->end) {
        out->kind = REM_TOKEN_CUT;
        return 0;
    }
    rc = make_word(lexer, from + 1, lexer->at, out, err);
    lexer->at++;
    if (rc < 0 || lexer->at == lexer->end)
        return rc;
    /* The ) lets the condition of `if ($x = "y")` end right behind a quote. */
    if (ends_bare_word(*lexer->at) || *lexer->at == ')')
        return 0;
    return rem_err_set(err, REM_EINVAL, "unexpected \"%c\"", *lexer->at);
}

static int bare_word(struct rem_lexer *lexer, struct rem_token *out, struct rem_err *err)
{
    uint32_t start_line = lexer->line;
    const char *from = lexer->at;

    while (lexer->at < lexer->end && !ends_bare_word(*lexer->at)) {
        bool pair = lexer->at + 1 < lexer->end &&
                    (*lexer->at == '\\' || (*lexer->at == '$' && lexer->at[1] == '{'));
        int rc;

        advance(lexer);
        if (pair)
            advance(lexer);
        rc = check_length(lexer, from, start_line, 0, err);
        if (rc < 0)
            return rc;
    }
    return make_word(lexer, from, lexer->at, out, err);
}

int rem_lexer_next(struct rem_lexer *lexer, struct rem_token *out, struct rem_err *err)
{
    *out = (struct rem_token){REM_TOKEN_END, {NULL, 0}};
    skip_blank(lexer);
    if (lexer->at == lexer->end)
        return 0;
    switch (*lexer->at) {
    case ';':
        out->kind = REM_TOKEN_SEMICOLON;
        break;
    case '{':
        out->kind = REM_TOKEN_OPEN;
        break;
    case '}':
        out->kind = REM_TOKEN_CLOSE;
        break;
    case '"':
    case '\'':
        return quoted_word(lexer, out, err);
    default:
        return bare_word(lexer, out, err);
    }
    lexer->at++;
    return 0;
}
