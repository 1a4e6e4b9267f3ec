/* SPDX-License-Identifier: Apache-2.0 */
/* deflates.h - compressors and decompressors, recycled: making one costs a quarter of a megabyte of
 * memory to be had and zeroed.
 *
 * Runs in:    workers, one pool each (worker->deflates).
 * Bounded:    only a few idle ones are kept, so that a burst of compressed answers does not make a
 *             worker large for good.  */
#ifndef REM_HTTP_MOD_DEFLATES_H
#define REM_HTTP_MOD_DEFLATES_H

#include "proto/base/attr.h"
#include "proto/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <zlib.h>

enum { REM_DEFLATES_IDLE = 4 };

struct rem_deflate {
    z_stream z;
    struct rem_deflate *next; /* idle */
    int level;                /* 0: it decompresses */
    int window;               /* log2 of its bytes */
};

struct rem_deflates {
    struct rem_deflate *idle; /* latest first */
    unsigned n_idle;
};

/* Returns NULL without memory. */
struct rem_deflates *rem_deflates_new(void) REM_MUST_CHECK;
void rem_deflates_free(struct rem_deflates *pool);

/* A fresh gzip compressor of level 1 to 9 for a body of `size` bytes (negative: unknown), or with
 * level 0 a decompressor.  Returns NULL without memory. */
struct rem_deflate *rem_deflates_get(struct rem_deflates *pool, int level,
                                     long long size) REM_MUST_CHECK;
void rem_deflates_put(struct rem_deflates *pool, struct rem_deflate *deflate);

#endif
