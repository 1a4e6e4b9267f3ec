/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - see source.h. */
#include "proxy/conf/source.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Reads to the end of the file, whatever its size claims to be.  Errors: REM_EIO with errno,
 * REM_ETOOBIG, REM_ENOMEM. */
static int read_all(int fd, struct rem_sbuf *out)
{
    char chunk[16384];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n == 0)
            return out->failed ? REM_ENOMEM : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return REM_EIO;
        if (out->n + (size_t)n > REM_SOURCE_MAX)
            return REM_ETOOBIG;
        rem_sbuf_add(out, rem_str_make(chunk, (size_t)n));
    }
}

static int keep(struct rem_conf *cf, struct rem_str path, struct rem_str bytes,
                const struct rem_conf_source **out)
{
    struct rem_conf_source *source = rem_arena_zalloc(cf->arena, sizeof(*source));
    struct rem_conf_source **last = &cf->cycle->sources;

    if (source == NULL)
        return rem_conf_nomem(cf);
    source->path = path;
    source->bytes = rem_arena_dup(cf->arena, bytes);
    if (source->bytes.p == NULL)
        return rem_conf_nomem(cf);
    while (*last != NULL)
        last = &(*last)->next;
    *last = source;
    *out = source;
    return 0;
}

static int read_new(struct rem_conf *cf, struct rem_str path, const struct rem_conf_source **out)
{
    struct rem_sbuf bytes;
    int fd = open(path.p, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return rem_conf_error_sys(cf, errno, "open() \"%s\" failed", path.p);
    rem_sbuf_init(&bytes);
    rc = read_all(fd, &bytes);
    if (rc == REM_EIO)
        rc = rem_conf_error_sys(cf, errno, "pread() \"%s\" failed", path.p);
    else if (rc == REM_ETOOBIG)
        rc = rem_conf_error(cf, "\"%s\" is too long for a configuration file", path.p);
    else if (rc < 0)
        rc = rem_conf_nomem(cf);
    else
        rc = keep(cf, path, rem_sbuf_str(&bytes), out);
    rem_sbuf_fini(&bytes);
    close(fd);
    return rc;
}

int rem_source_get(struct rem_conf *cf, struct rem_str path, const struct rem_conf_source **out)
{
    for (const struct rem_conf_source *s = cf->cycle->sources; s != NULL; s = s->next) {
        if (rem_str_eq(s->path, path)) {
            *out = s;
            return 0;
        }
    }
    return read_new(cf, path, out);
}
