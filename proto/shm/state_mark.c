/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/state_mark.h"

#include <inttypes.h>
#include <stdio.h>

enum { MARK_LINE = 64 };

static size_t mark_of(struct rem_str text, char out[MARK_LINE])
{
    int n =
        snprintf(out, MARK_LINE, "# written by remora, %016" PRIx64 "\n", rem_hash(text.p, text.n));

    return n > 0 && n < MARK_LINE ? (size_t)n : 0;
}

void rem_state_mark_add(struct rem_sbuf *text)
{
    char line[MARK_LINE];
    size_t n = mark_of(rem_sbuf_str(text), line);

    rem_sbuf_add(text, rem_str_make(line, n));
}

bool rem_state_mark_ok(struct rem_str text)
{
    char line[MARK_LINE];
    size_t n = mark_of(text, line); /* all marks have one length */

    if (text.n < n)
        return false;
    n = mark_of(rem_str_make(text.p, text.n - n), line);
    return memcmp(text.p + text.n - n, line, n) == 0;
}
