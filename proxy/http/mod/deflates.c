/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/deflates.h"

#include <stdlib.h>

enum {
    WINDOW_MAX = 15,
    WINDOW_SMALL = 12, /* enough for a body of a page; takes a tenth of the memory */
    GZIP_FRAMING = 16, /* added to the window's size: as zlib wants it */
    MEMORY_BELOW_WINDOW = 7,
};

struct rem_deflates *rem_deflates_new(void)
{
    return calloc(1, sizeof(struct rem_deflates));
}

static void destroy(struct rem_deflate *deflate)
{
    if (deflate->level == 0)
        inflateEnd(&deflate->z);
    else
        deflateEnd(&deflate->z);
    free(deflate);
}

void rem_deflates_free(struct rem_deflates *pool)
{
    if (pool == NULL)
        return;
    while (pool->idle != NULL) {
        struct rem_deflate *deflate = pool->idle;

        pool->idle = deflate->next;
        destroy(deflate);
    }
    free(pool);
}

static struct rem_deflate *create(int level, int window)
{
    struct rem_deflate *deflate = calloc(1, sizeof(*deflate));
    int rc;

    if (deflate == NULL)
        return NULL;
    deflate->level = level;
    deflate->window = window;
    if (level == 0)
        rc = inflateInit2(&deflate->z, window + GZIP_FRAMING);
    else
        rc = deflateInit2(&deflate->z, level, Z_DEFLATED, window + GZIP_FRAMING,
                          window - MEMORY_BELOW_WINDOW, Z_DEFAULT_STRATEGY);
    if (rc == Z_OK)
        return deflate;
    free(deflate);
    return NULL;
}

struct rem_deflate *rem_deflates_get(struct rem_deflates *pool, int level, long long size)
{
    int window = level != 0 && size >= 0 && size <= (1 << WINDOW_SMALL) ? WINDOW_SMALL : WINDOW_MAX;

    for (struct rem_deflate **at = &pool->idle; *at != NULL; at = &(*at)->next) {
        struct rem_deflate *deflate = *at;

        if (deflate->level != level || deflate->window != window)
            continue;
        *at = deflate->next;
        pool->n_idle--;
        if ((level == 0 ? inflateReset(&deflate->z) : deflateReset(&deflate->z)) == Z_OK)
            return deflate;
        destroy(deflate);
        break;
    }
    return create(level, window);
}

void rem_deflates_put(struct rem_deflates *pool, struct rem_deflate *deflate)
{
    deflate->next = pool->idle;
    pool->idle = deflate;
    if (++pool->n_idle <= REM_DEFLATES_IDLE)
        return;
    /* The one that has been idle longest goes. */
    struct rem_deflate **at = &pool->idle;
    while ((*at)->next != NULL)
        at = &(*at)->next;
    destroy(*at);
    *at = NULL;
    pool->n_idle--;
}
