/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/admin_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void rem_admin_spec_init(struct rem_admin_spec *spec)
{
    *spec = (struct rem_admin_spec){
        .failures = REM_ADMIN_FAILURES,
        .failures_ms = REM_ADMIN_FAILURES_MS,
        .drain_delay_ms = REM_ADMIN_DRAIN_DELAY_MS,
        .drain_timeout_ms = REM_ADMIN_DRAIN_TIMEOUT_MS,
    };
}

/* Reads all of `fd`, one byte more than a token may have at most. */
static int read_all(int fd, char *buf, size_t size, size_t *n)
{
    ssize_t got;

    *n = 0;
    do {
        got = read(fd, buf + *n, size - *n);
        if (got > 0)
            *n += (size_t)got;
    } while ((got > 0 && *n < size) || (got < 0 && errno == EINTR));
    return got < 0 ? REM_EIO : REM_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int check_text(const struct rem_admin_secret *secret, struct rem_err *err)
{
    if (secret->n == 0)
        return rem_err_set(err, REM_EINVAL, "is empty");
    if (secret->n == sizeof(secret->text))
        return rem_err_set(err, REM_EINVAL, "is longer than %zu bytes", sizeof(secret->text) - 1);
    for (size_t i = 0; i < secret->n; i++)
        if ((unsigned char)secret->text[i] <= 0x20 || (unsigned char)secret->text[i] >= 0x7f)
            return rem_err_set(err, REM_EINVAL,
                               "holds more than a token: white space or control characters");
    return REM_OK;
}

int rem_admin_secret_read(const char *path, struct rem_admin_secret *out, struct rem_err *err)
{
    struct rem_admin_secret secret;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int rc = REM_EIO;

    if (fd < 0 || fstat(fd, &secret.st) != 0) {
        rem_err_set(err, rc, "cannot be read (%d: %s)", errno, strerror(errno));
    } else if (!S_ISREG(secret.st.st_mode)) {
        rc = rem_err_set(err, REM_EINVAL, "is no regular file");
    } else if (read_all(fd, secret.text, sizeof(secret.text), &secret.n) != REM_OK) {
        rem_err_set(err, rc, "cannot be read (%d: %s)", errno, strerror(errno));
    } else {
        if (secret.n < sizeof(secret.text))
            while (secret.n > 0 && is_space(secret.text[secret.n - 1]))
                secret.n--;
        rc = check_text(&secret, err);
    }
    if (fd >= 0)
        close(fd);
    if (rc == REM_OK)
        *out = secret;
    explicit_bzero(&secret, sizeof(secret));
    return rc;
}
