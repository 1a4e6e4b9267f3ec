/* SPDX-License-Identifier: Apache-2.0 */
/* sbuf.h - text that grows: JSON, metrics, log lines, dumps.
 *
 * Ownership:  the sbuf owns its bytes until fini.  A failed allocation is remembered in `failed`
 *             and later appends do nothing, so that callers check once, at the end.  */
#ifndef REM_BASE_SBUF_H
#define REM_BASE_SBUF_H

#include "proto/base/str.h"

struct rem_sbuf {
    char *p;
    size_t n;
    size_t size;
    bool failed;
};

void rem_sbuf_init(struct rem_sbuf *sb);
void rem_sbuf_fini(struct rem_sbuf *sb);
void rem_sbuf_clear(struct rem_sbuf *sb);

void rem_sbuf_add(struct rem_sbuf *sb, struct rem_str s);
void rem_sbuf_addc(struct rem_sbuf *sb, char c);
void rem_sbuf_adds(struct rem_sbuf *sb, const char *text);
void rem_sbuf_addf(struct rem_sbuf *sb, const char *format, ...) REM_PRINTF(2, 3);

/* Borrowed until the next append. */
static inline struct rem_str rem_sbuf_str(const struct rem_sbuf *sb)
{
    return (struct rem_str){sb->p, sb->n};
}

#endif
