/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/sbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void rem_sbuf_init(struct rem_sbuf *sb)
{
    *sb = (struct rem_sbuf){0};
}

void rem_sbuf_fini(struct rem_sbuf *sb)
{
    free(sb->p);
    rem_sbuf_init(sb);
}

void rem_sbuf_clear(struct rem_sbuf *sb)
{
    sb->n = 0;
    sb->failed = false;
}

static bool reserve(struct rem_sbuf *sb, size_t more)
{
    size_t size = sb->size ? sb->size : 256;
    char *p;

    if (sb->failed)
        return false;
    if (sb->size - sb->n >= more)
        return true;
    while (size - sb->n < more && size <= SIZE_MAX / 2)
        size *= 2;
    p = size - sb->n >= more ? realloc(sb->p, size) : NULL;
    if (p == NULL) {
        sb->failed = true;
        return false;
    }
    sb->p = p;
    sb->size = size;
    return true;
}

void rem_sbuf_add(struct rem_sbuf *sb, struct rem_str s)
{
    if (s.n && reserve(sb, s.n)) {
        memcpy(sb->p + sb->n, s.p, s.n);
        sb->n += s.n;
    }
}

void rem_sbuf_addc(struct rem_sbuf *sb, char c)
{
    rem_sbuf_add(sb, (struct rem_str){&c, 1});
}

void rem_sbuf_adds(struct rem_sbuf *sb, const char *text)
{
    rem_sbuf_add(sb, rem_str_from(text));
}

void rem_sbuf_addf(struct rem_sbuf *sb, const char *format, ...)
{
    va_list args;
    va_list again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0 && reserve(sb, (size_t)n + 1)) {
        vsnprintf(sb->p + sb->n, (size_t)n + 1, format, again);
        sb->n += (size_t)n;
    }
    va_end(again);
}
