/* SPDX-License-Identifier: Apache-2.0 */
/* parser.c - see parser.h. */
#include "proxy/conf/parser.h"

#include "proxy/conf/array.h"
#include "proxy/conf/directive.h"
#include "proxy/conf/lexer.h"
#include "proxy/conf/source.h"

#include <glob.h>

/* Says that the text ended too early; `pending`: in the middle of a statement. */
static int end_error(struct rem_conf *cf, enum rem_parser_kind kind, bool pending)
{
    if (cf->lexer->line == 0)
        return rem_conf_error(cf, "unexpected end of parameter, expecting \";\"");
    if (pending)
        return rem_conf_error(cf, "unexpected end of file, expecting \";\" or \"}\"");
    REM_CHECK(kind == REM_PARSER_INNER);
    return rem_conf_error(cf, "unexpected end of file, expecting \"}\"");
}

static int closing_brace(struct rem_conf *cf, enum rem_parser_kind kind, bool pending)
{
    if (pending || kind != REM_PARSER_INNER)
        return rem_conf_error(cf, "unexpected \"}\"");
    return 0;
}

/* Reads the words of one statement into cf->args.  Returns 1 with *end filled in, 0 at the proper
 * end of the block or text, or negative. */
static int read_statement(struct rem_conf *cf, enum rem_parser_kind kind, enum rem_parser_end *end)
{
    struct rem_array words;

    rem_array_init(&words, sizeof(struct rem_str));
    for (;;) {
        struct rem_err err;
        struct rem_token token;
        struct rem_str *word;
        int rc = rem_lexer_next(cf->lexer, &token, &err);

        if (rc < 0)
            return rem_conf_error(cf, "%s", err.text);
        switch (token.kind) {
        case REM_TOKEN_WORD:
            word = rem_array_push(cf->arena, &words);
            if (word == NULL)
                return rem_conf_nomem(cf);
            *word = token.text;
            break;
        case REM_TOKEN_SEMICOLON:
        case REM_TOKEN_OPEN:
            *end = token.kind == REM_TOKEN_OPEN ? REM_PARSER_BLOCK : REM_PARSER_SEMICOLON;
            if (words.n == 0)
                return rem_conf_error(cf, "unexpected \"%c\"",
                                      *end == REM_PARSER_BLOCK ? '{' : ';');
            cf->args = words.v;
            cf->n_args = words.n;
            return 1;
        case REM_TOKEN_CLOSE:
            return closing_brace(cf, kind, words.n > 0);
        case REM_TOKEN_END:
            if (words.n == 0 && kind != REM_PARSER_INNER)
                return 0;
            return end_error(cf, kind, words.n > 0);
        case REM_TOKEN_CUT:
            return end_error(cf, kind, true);
        }
    }
}

static int run_line(struct rem_conf *cf, enum rem_parser_end end)
{
    uint32_t errors = rem_conf_errors(cf);
    int rc;

    if (end == REM_PARSER_BLOCK)
        return rem_conf_error(cf, "unexpected \"{\"");
    rc = cf->line_fn(cf, cf->line_data);
    if (rc < 0 && rem_conf_errors(cf) == errors)
        return rem_conf_error(cf, "\"%s\" failed: %s", cf->args[0].p, rem_err_text(rc));
    return rc;
}

int rem_parser_run(struct rem_conf *cf, enum rem_parser_kind kind)
{
    for (;;) {
        enum rem_parser_end end;
        int rc = read_statement(cf, kind, &end);

        if (rc <= 0)
            return rc;
        if (end == REM_PARSER_BLOCK && cf->lexer->line == 0)
            return rem_conf_error(cf, "block directives are not supported in -g option");
        if (cf->line_fn != NULL)
            rc = run_line(cf, end);
        else
            rc = rem_directive_run(cf, end);
        if (rc < 0)
            return rc;
    }
}

/* Counts one more level; the levels below see it in their copy of cf. */
static int deeper(struct rem_conf *cf)
{
    if (cf->depth >= REM_PARSER_MAX_DEPTH)
        return rem_conf_error(cf, "too many blocks or includes within each other");
    cf->depth++;
    return 0;
}

int rem_parser_text(struct rem_conf *cf, struct rem_str file, struct rem_str bytes,
                    enum rem_parser_kind kind)
{
    struct rem_conf saved = *cf;
    struct rem_lexer lexer;
    int rc = deeper(cf);

    if (rc == 0) {
        rem_lexer_init(&lexer, cf->arena, file, bytes, kind != REM_PARSER_PARAM);
        cf->lexer = &lexer;
        rc = rem_parser_run(cf, kind);
    }
    *cf = saved;
    return rc;
}

int rem_parser_file(struct rem_conf *cf, struct rem_str path)
{
    const struct rem_conf_source *source;
    int rc = rem_source_get(cf, path, &source);

    if (rc < 0)
        return rc;
    return rem_parser_text(cf, source->path, source->bytes, REM_PARSER_FILE);
}

int rem_conf_block(struct rem_conf *cf, enum rem_conf_context context, struct rem_conf_ctx *ctx)
{
    struct rem_conf saved = *cf;
    int rc = deeper(cf);

    if (rc == 0) {
        cf->context = context;
        cf->line_fn = NULL;
        if (ctx != NULL)
            cf->ctx = ctx;
        rc = rem_parser_run(cf, REM_PARSER_INNER);
    }
    *cf = saved;
    return rc;
}

int rem_conf_block_lines(struct rem_conf *cf, rem_conf_line_fn fn, void *data)
{
    struct rem_conf saved = *cf;
    int rc = deeper(cf);

    if (rc == 0) {
        cf->context = REM_CTX_FREE;
        cf->line_fn = fn;
        cf->line_data = data;
        rc = rem_parser_run(cf, REM_PARSER_INNER);
    }
    *cf = saved;
    return rc;
}

/* Lines of a text apart from the configuration. */
struct apart {
    rem_conf_line_fn fn;
    void *data;
    struct rem_err *err; /* of the first that is wrong */
};

static void on_apart_report(void *data, const struct rem_conf_report *report)
{
    struct rem_err *err = data;
    struct rem_sbuf text;

    if (report->level > REM_LOG_EMERG || err->code != 0)
        return;
    rem_sbuf_init(&text);
    rem_conf_report_text(report, &text);
    (void)rem_err_set(err, REM_EINVAL, "%.*s", REM_STR_ARG(rem_sbuf_str(&text)));
    rem_sbuf_fini(&text);
}

static int apart_line(struct rem_conf *cf, void *data)
{
    const struct apart *apart = data;
    int rc = apart->fn(cf, apart->data);

    if (rc < 0 && rc != REM_ENOMEM && apart->err->code == 0)
        (void)rem_conf_error(cf, "\"%s\" failed: %s", cf->args[0].p, rem_err_text(rc));
    return rc == REM_ENOMEM ? rc : 0;
}

int rem_conf_text_lines(struct rem_conf *cf, struct rem_str file, struct rem_str bytes,
                        rem_conf_line_fn fn, void *data, struct rem_err *err)
{
    struct rem_conf_cycle *cycle = cf->cycle;
    struct rem_conf saved = *cf;
    struct apart apart = {fn, data, err};
    rem_conf_report_fn report = cycle->report;
    void *report_data = cycle->report_data;
    uint32_t errors = cycle->errors;
    int rc;

    *err = (struct rem_err){0};
    cycle->report = on_apart_report;
    cycle->report_data = err;
    cf->context = REM_CTX_FREE;
    cf->line_fn = apart_line;
    cf->line_data = &apart;
    rc = rem_parser_text(cf, file, bytes, REM_PARSER_FILE);
    *cf = saved;
    cycle->report = report;
    cycle->report_data = report_data;
    cycle->errors = errors;
    return rc == REM_ENOMEM ? rc : err->code != 0 ? REM_EINVAL : rc;
}

static int include_glob(struct rem_conf *cf, struct rem_str pattern)
{
    glob_t found;
    int rc = glob(pattern.p, 0, NULL, &found);

    if (rc == GLOB_NOMATCH)
        return 0;
    if (rc != 0)
        return rem_conf_error(cf, "glob() \"%s\" failed", pattern.p);
    for (size_t i = 0; i < found.gl_pathc && rc == 0; i++) {
        struct rem_str path = rem_arena_dup(cf->arena, rem_str_from(found.gl_pathv[i]));
        rc = path.p != NULL ? rem_parser_file(cf, path) : rem_conf_nomem(cf);
    }
    globfree(&found);
    return rc;
}

int rem_conf_include(struct rem_conf *cf)
{
    struct rem_str path;

    if (cf->n_args != 2)
        return rem_conf_error(cf, "invalid number of arguments in \"%s\" directive", cf->args[0].p);
    path = rem_conf_path(cf, cf->args[1], REM_BASE_CONF);
    if (path.p == NULL)
        return REM_ENOMEM;
    if (strpbrk(path.p, "*?[") != NULL)
        return include_glob(cf, path);
    return rem_parser_file(cf, path);
}
