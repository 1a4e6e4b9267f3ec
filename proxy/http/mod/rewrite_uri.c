/* SPDX-License-Identifier: Apache-2.0 */
/* rewrite_uri.c - the rewrite directive: what it makes of a URI.
 *
 * Escapes:    a URI is matched decoded.  A capture that becomes part of arguments or of a redirect
 *             is escaped again, but only where the request's own path was written with escapes (or
 *             "+"): what came plain is taken for plain text.
 *             The path of a redirect keeps only those escapes that a URL cannot do without.  */
#include "proxy/http/body.h"
#include "proxy/http/mod/rewrite.h"

static const char hex_digits[] = "0123456789ABCDEF";

/* ---- captures, escaped ---- */

/* Whether a byte of a capture can stand in arguments as it is. */
static bool is_plain(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return true;
    return c != 0 && strchr("!$'()*,-./:=@[]_~", c) != NULL;
}

static int escape(struct rem_arena *arena, struct rem_str s, struct rem_str *out)
{
    size_t more = 0;
    char *p, *w;

    for (size_t i = 0; i < s.n; i++)
        more += is_plain((unsigned char)s.p[i]) ? 0 : 2;
    *out = s;
    if (more == 0)
        return 0;
    p = w = rem_arena_alloc(arena, s.n + more);
    if (p == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (is_plain(c)) {
            *w++ = (char)c;
            continue;
        }
        *w++ = '%';
        *w++ = hex_digits[c >> 4];
        *w++ = hex_digits[c & 15];
    }
    *out = rem_str_make(p, s.n + more);
    return 0;
}

static bool came_escaped(const struct rem_request *request)
{
    struct rem_str target = request->target;
    const char *mark = rem_str_chr(target, '?');

    if (mark != NULL)
        target.n = (size_t)(mark - target.p);
    return request->uri_quoted || rem_str_chr(target, '+') != NULL;
}

int rem_rewrite_eval(struct rem_request *request, const struct rem_value *value,
                     struct rem_str *out)
{
    struct rem_str *pieces;
    size_t total = 0;
    char *w;

    if (value->n_captures == 0 || !came_escaped(request))
        return rem_http_value(request, value, out);
    pieces = rem_arena_alloc(&request->arena, value->n_ops * sizeof(*pieces));
    if (pieces == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < value->n_ops; i++) {
        struct rem_value piece = {.ops = &value->ops[i], .n_ops = 1};
        int rc = rem_http_value(request, &piece, &pieces[i]);

        if (rc == 0 && value->ops[i].kind == REM_VALUE_CAPTURE)
            rc = escape(&request->arena, pieces[i], &pieces[i]);
        if (rc != 0)
            return rc;
        total += pieces[i].n;
    }
    w = rem_arena_alloc(&request->arena, total);
    if (w == NULL)
        return REM_ENOMEM;
    *out = rem_str_make(w, total);
    for (uint32_t i = 0; i < value->n_ops; i++) {
        if (pieces[i].n != 0)
            memcpy(w, pieces[i].p, pieces[i].n);
        w += pieces[i].n;
    }
    return 0;
}

/* ---- the directive ---- */

bool rem_rewrite_is_url(struct rem_str text)
{
    return rem_str_has_prefix(text, REM_STR("http://")) ||
           rem_str_has_prefix(text, REM_STR("https://")) ||
           rem_str_has_prefix(text, REM_STR("$scheme"));
}

static int parse_flag(struct rem_conf *cf, struct rem_rewrite *rewrite)
{
    struct rem_str flag = cf->args[3];

    if (rem_str_is(flag, "last"))
        rewrite->last = true;
    else if (rem_str_is(flag, "break"))
        rewrite->last = rewrite->stay = true;
    else if (rem_str_is(flag, "redirect"))
        rewrite->status = 302;
    else if (rem_str_is(flag, "permanent"))
        rewrite->status = 301;
    else
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(flag));
    return 0;
}

static int compile_replacement(struct rem_conf *cf, struct rem_rewrite *rewrite,
                               struct rem_str text)
{
    const char *mark;
    int rc;

    if (text.n != 0 && text.p[text.n - 1] == '?') {
        rewrite->drop_args = true;
        text.n--;
    }
    mark = rem_str_chr(text, '?');
    rewrite->has_args = mark != NULL;
    if (mark == NULL || rewrite->status != 0)
        return rem_value_compile(cf, text, &rewrite->uri);
    rc = rem_value_compile(cf, rem_str_make(text.p, (size_t)(mark - text.p)), &rewrite->uri);
    if (rc != 0)
        return rc;
    return rem_value_compile(cf, rem_str_skip(text, (size_t)(mark - text.p) + 1), &rewrite->args);
}

int rem_rewrite_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_rewrite *rewrite = rem_arena_zalloc(cf->arena, sizeof(*rewrite));
    struct rem_rewrite_step *step;
    int rc;

    (void)d;
    if (rewrite == NULL)
        return rem_conf_nomem(cf);
    rc = rem_capture_compile(cf, cf->args[1], 0, &rewrite->regex);
    if (rc != 0)
        return rc;
    if (cf->args[2].n == 0)
        return rem_conf_error(cf, "empty replacement");
    if (rem_rewrite_is_url(cf->args[2]))
        rewrite->status = 302;
    if (cf->n_args == 4)
        rc = parse_flag(cf, rewrite);
    if (rc == 0)
        rc = compile_replacement(cf, rewrite, cf->args[2]);
    if (rc != 0)
        return rc;
    step = rem_rewrite_add(cf, conf, REM_REWRITE_URI);
    if (step == NULL)
        return REM_ENOMEM;
    step->u.rewrite = rewrite;
    return 0;
}

/* ---- requests ---- */

/* The path of a redirect: escapes of what may stand in a URL as it is are undone. */
static int relax_path(struct rem_arena *arena, struct rem_str *url)
{
    const char *mark = rem_str_chr(*url, '?');
    size_t path_end = mark != NULL ? (size_t)(mark - url->p) : url->n;
    struct rem_str s = *url;
    char *w;

    if (rem_str_chr(rem_str_make(s.p, path_end), '%') == NULL)
        return 0;
    w = rem_arena_alloc(arena, s.n);
    if (w == NULL)
        return REM_ENOMEM;
    url->p = w;
    for (size_t i = 0; i < s.n; i++) {
        if (i + 2 < path_end && s.p[i] == '%') {
            int high = rem_hex_value(s.p[i + 1]), low = rem_hex_value(s.p[i + 2]);
            int c = high >= 0 && low >= 0 ? high * 16 + low : 0;

            if (c > '%' && c < 0x7f) {
                *w++ = (char)c;
                i += 2;
                if (c == '?') /* which begins what is no path any more */
                    path_end = i + 1;
                continue;
            }
        }
        *w++ = s.p[i];
    }
    url->n = (size_t)(w - url->p);
    return 0;
}

static void log_rewritten(struct rem_request *request, const char *what, struct rem_str text,
                          struct rem_str args)
{
    if (!rem_rewrite_conf_of(request)->log)
        return;
    if (args.p == NULL)
        REM_LOG_IN(&request->log, REM_LOG_NOTICE, 0, "rewritten %s: \"%.*s\"", what,
                   REM_STR_ARG(text));
    else
        REM_LOG_IN(&request->log, REM_LOG_NOTICE, 0, "rewritten %s: \"%.*s\", args: \"%.*s\"", what,
                   REM_STR_ARG(text), REM_STR_ARG(args));
}

static int redirect(struct rem_request *request, const struct rem_rewrite *rewrite)
{
    struct rem_str to;
    int rc = rem_rewrite_eval(request, &rewrite->uri, &to);

    if (rc == 0)
        rc = relax_path(&request->arena, &to);
    if (rc == 0 && request->args.n != 0 && !rewrite->drop_args) {
        to = rem_arena_printf(&request->arena, "%.*s%c%.*s", REM_STR_ARG(to),
                              rewrite->has_args ? '&' : '?', REM_STR_ARG(request->args));
        rc = to.p != NULL ? 0 : REM_ENOMEM;
    }
    if (rc == 0)
        rc = rem_core_set_location_field(request, to);
    if (rc != 0)
        return rc;
    log_rewritten(request, "redirect", to, (struct rem_str){NULL, 0});
    rem_body_discard(request);
    rem_request_finalize(request, rewrite->status);
    return 1;
}

static int new_args(struct rem_request *request, const struct rem_rewrite *rewrite,
                    struct rem_str *args)
{
    int rc;

    *args = rewrite->drop_args ? REM_STR("") : request->args;
    if (!rewrite->has_args)
        return 0;
    rc = rem_rewrite_eval(request, &rewrite->args, args);
    if (rc != 0 || rewrite->drop_args || request->args.n == 0)
        return rc;
    *args = rem_arena_printf(&request->arena, "%.*s&%.*s", REM_STR_ARG(*args),
                             REM_STR_ARG(request->args));
    return args->p != NULL ? 0 : REM_ENOMEM;
}

static int replace(struct rem_request *request, const struct rem_rewrite *rewrite)
{
    struct rem_str uri, args;
    int rc = rem_http_value(request, &rewrite->uri, &uri);

    if (rc == 0)
        rc = new_args(request, rewrite, &args);
    if (rc != 0)
        return rc;
    log_rewritten(request, "data", uri, args.p != NULL ? args : REM_STR(""));
    if (uri.n == 0) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "the rewritten URI has a zero length");
        return REM_EINVAL;
    }
    request->uri = uri;
    request->args = args;
    request->uri_as_sent = false;
    request->internal =
        true; /* what the configuration asks for may stand in `internal` locations */
    request->uri_changed = !rewrite->stay;
    if (rewrite->stay)
        request->uri_replaced = true;
    return 1;
}

int rem_rewrite_match(struct rem_request *request, const struct rem_capture *regex,
                      struct rem_str text)
{
    int rc = rem_capture_match(regex, &request->eval, text);
    struct rem_str pattern = rem_regex_pattern(regex->regex);

    if (rc < 0)
        REM_LOG_IN(&request->log, REM_LOG_ALERT, 0,
                   "pcre2_match() failed: %s on \"%.*s\" using \"%.*s\"", rem_err_text(rc),
                   REM_STR_ARG(text), REM_STR_ARG(pattern));
    else if (rem_rewrite_conf_of(request)->log)
        REM_LOG_IN(&request->log, REM_LOG_NOTICE, 0, "\"%.*s\" %s \"%.*s\"", REM_STR_ARG(pattern),
                   rc != 0 ? "matches" : "does not match", REM_STR_ARG(text));
    if (rc == 0)
        request->eval.n_captures = 0; /* $1 is of the regex asked last, which has none */
    return rc;
}

int rem_rewrite_apply(struct rem_request *request, const struct rem_rewrite *rewrite)
{
    int rc = rem_rewrite_match(request, &rewrite->regex, request->uri);

    if (rc <= 0)
        return rc;
    return rewrite->status != 0 ? redirect(request, rewrite) : replace(request, rewrite);
}
