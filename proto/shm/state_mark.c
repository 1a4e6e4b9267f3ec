/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/state_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

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

int rem_state_file_read(const char *path, size_t max, struct rem_sbuf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char chunk[16384];
    ssize_t n = 0;

    if (fd < 0)
        return errno == ENOENT ? REM_ENOTFOUND : REM_EIO;
    while (out->n <= max && ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)))
        rem_sbuf_add(out, rem_str_make(chunk, n > 0 ? (size_t)n : 0));
    int error = errno;
    (void)close(fd);
    errno = error;
    if (out->n > max)
        return REM_ETOOBIG;
    if (n < 0)
        return REM_EIO;
    return out->failed ? REM_ENOMEM : REM_OK;
}

unsigned rem_state_version(struct rem_str text)
{
    static const char key[] = "\"remora_state\"";
    const char *at = text.n != 0 ? memmem(text.p, text.n, key, sizeof(key) - 1) : NULL;
    const char *end = text.p + text.n;
    unsigned version = 0;

    if (at == NULL)
        return 0;
    at += sizeof(key) - 1;
    while (at < end && (*at == ' ' || *at == ':'))
        at++;
    for (; at < end && rem_is_digit(*at) && version < 1000000; at++)
        version = version * 10 + (unsigned)(*at - '0');
    return version;
}
