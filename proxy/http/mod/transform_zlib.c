/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/transform_zlib.h"

int rem_transform_zlib_begin(struct rem_transform *t, z_stream *z, unsigned *given)
{
    struct rem_str run = {NULL, 0};

    if (t->in.head != NULL) {
        int rc = rem_transform_in_peek(&t->in, &run);

        if (rc != REM_OK)
            return rc;
    }
    *given = run.n < UINT32_MAX ? (unsigned)run.n : UINT32_MAX;
    z->next_in = (unsigned char *)(uintptr_t)run.p;
    z->avail_in = *given;
    z->next_out = (unsigned char *)t->block->buf.last;
    z->avail_out = (unsigned)rem_transform_room(t);
    return REM_OK;
}

size_t rem_transform_zlib_end(struct rem_transform *t, const z_stream *z, unsigned given)
{
    size_t used = given - z->avail_in;

    t->block->buf.last = (char *)z->next_out;
    if (t->in.head != NULL)
        rem_transform_in_use(&t->in, used, &t->marks);
    return used;
}
