/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - errors and warnings about a configuration (declared in conf.h and load.h). */
#include "proxy/conf/lexer.h"
#include "proxy/conf/load.h"

#include <stdarg.h>
#include <stdio.h>

struct rem_conf_pos rem_conf_here(const struct rem_conf *cf)
{
    if (cf->lexer == NULL)
        return (struct rem_conf_pos){{NULL, 0}, 0};
    return (struct rem_conf_pos){cf->lexer->file, cf->lexer->line};
}

uint32_t rem_conf_errors(const struct rem_conf *cf)
{
    return cf->cycle->errors;
}

static void report(struct rem_conf *cf, enum rem_log_level level, struct rem_conf_pos pos,
                   int sys_errno, const char *format, va_list args)
{
    char text[REM_LOG_LINE];
    struct rem_conf_report r = {.level = level, .pos = pos};
    int n = vsnprintf(text, sizeof(text), format, args);

    if (n < 0)
        n = 0;
    if ((size_t)n >= sizeof(text))
        n = (int)sizeof(text) - 1;
    if (sys_errno != 0) {
        char reason[128];
        int more = snprintf(text + n, sizeof(text) - (size_t)n, " (%d: %s)", sys_errno,
                            strerror_r(sys_errno, reason, sizeof(reason)));
        n = more < 0 || more >= (int)sizeof(text) - n ? (int)sizeof(text) - 1 : n + more;
    }
    r.text = rem_str_make(text, (size_t)n);
    if (level <= REM_LOG_EMERG)
        cf->cycle->errors++;
    if (cf->cycle->report != NULL)
        cf->cycle->report(cf->cycle->report_data, &r);
}

int rem_conf_error(struct rem_conf *cf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(cf, REM_LOG_EMERG, rem_conf_here(cf), 0, format, args);
    va_end(args);
    return REM_EINVAL;
}

int rem_conf_error_at(struct rem_conf *cf, struct rem_conf_pos pos, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(cf, REM_LOG_EMERG, pos, 0, format, args);
    va_end(args);
    return REM_EINVAL;
}

int rem_conf_error_sys(struct rem_conf *cf, int sys_errno, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(cf, REM_LOG_EMERG, rem_conf_here(cf), sys_errno, format, args);
    va_end(args);
    return REM_EINVAL;
}

void rem_conf_warn(struct rem_conf *cf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(cf, REM_LOG_WARN, rem_conf_here(cf), 0, format, args);
    va_end(args);
}

void rem_conf_warn_at(struct rem_conf *cf, struct rem_conf_pos pos, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(cf, REM_LOG_WARN, pos, 0, format, args);
    va_end(args);
}

int rem_conf_duplicate(struct rem_conf *cf)
{
    return rem_conf_error(cf, "\"%s\" directive is duplicate", cf->args[0].p);
}

int rem_conf_invalid_arg(struct rem_conf *cf, struct rem_str arg)
{
    return rem_conf_error(cf, "invalid value \"%.*s\" in \"%s\" directive", REM_STR_ARG(arg),
                          cf->args[0].p);
}

int rem_conf_invalid(struct rem_conf *cf)
{
    return rem_conf_error(cf, "\"%s\" directive invalid value", cf->args[0].p);
}

int rem_conf_nomem(struct rem_conf *cf)
{
    (void)rem_conf_error(cf, "out of memory");
    return REM_ENOMEM;
}

void rem_conf_report_text(const struct rem_conf_report *r, struct rem_sbuf *out)
{
    rem_sbuf_add(out, r->text);
    if (r->pos.file.p == NULL)
        return;
    rem_sbuf_addf(out, " in %.*s", REM_STR_ARG(r->pos.file));
    if (r->pos.line != 0)
        rem_sbuf_addf(out, ":%u", r->pos.line);
}
