/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/syslog.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { TELL_EVERY_SEC = 60, HEADER_ROOM = 16 + sizeof("<191>") + REM_SYSLOG_HOST + REM_SYSLOG_TAG };

/* RFC 3164, section 4.1.1: the place in the table is the code. */
static const char *const facilities[] = {
    "kern",   "user",   "mail",     "daemon", "auth",   "intern", "lpr",    "news",
    "uucp",   "clock",  "authpriv", "ftp",    "ntp",    "audit",  "alert",  "cron",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};

enum { FACILITY_LOCAL7 = 23 };

/* ---- parameters ---- */

/* What has been given so far, so that nothing is given twice. */
struct given {
    bool server, facility, severity, tag;
};

static int once(bool *seen, const char *name, struct rem_err *err)
{
    if (*seen)
        return rem_err_set(err, REM_EINVAL, "duplicate syslog \"%s\"", name);
    *seen = true;
    return REM_OK;
}

static int parse_server(struct rem_str value, struct rem_syslog *out, struct rem_err *err)
{
    struct rem_addr_list list;
    struct rem_err why = {0};
    int rc = rem_addr_resolve(value, REM_SYSLOG_PORT, &list, &why);

    if (rc == REM_ENOTFOUND)
        return rem_err_set(err, rc, "host not found in syslog server \"%.*s\"", REM_STR_ARG(value));
    if (rc != REM_OK)
        return rem_err_set(err, rc, "invalid syslog server \"%.*s\"", REM_STR_ARG(value));
    out->server = value;
    out->addr = list.items[0];
    rem_addr_list_fini(&list);
    return REM_OK;
}

static int parse_facility(struct rem_str value, struct rem_syslog *out, struct rem_err *err)
{
    for (size_t i = 0; i < REM_COUNT(facilities); i++)
        if (rem_str_is(value, facilities[i])) {
            out->facility = (int)i;
            return REM_OK;
        }
    return rem_err_set(err, REM_EINVAL, "unknown syslog facility \"%.*s\"", REM_STR_ARG(value));
}

/* RFC 3164, section 4.1.3: letters and digits; what stands in front of the text must end clearly.
 */
static int parse_tag(struct rem_str value, struct rem_syslog *out, struct rem_err *err)
{
    if (value.n > REM_SYSLOG_TAG)
        return rem_err_set(err, REM_EINVAL, "syslog tag length exceeds %d", REM_SYSLOG_TAG);
    for (size_t i = 0; i < value.n; i++) {
        char c = rem_lower(value.p[i]);

        if (!rem_is_digit(c) && (c < 'a' || c > 'z') && c != '_')
            return rem_err_set(err, REM_EINVAL,
                               "syslog \"tag\" only allows alphanumeric characters and underscore");
    }
    out->tag = value;
    return REM_OK;
}

static int parse_parameter(struct rem_str arg, struct rem_syslog *out, struct given *given,
                           struct rem_err *err)
{
    struct rem_str value;
    int rc;

    if (rem_str_take_prefix(arg, "server=", &value)) {
        rc = once(&given->server, "server", err);
        return rc != REM_OK ? rc : parse_server(value, out, err);
    }
    if (rem_str_take_prefix(arg, "facility=", &value)) {
        rc = once(&given->facility, "facility", err);
        return rc != REM_OK ? rc : parse_facility(value, out, err);
    }
    if (rem_str_take_prefix(arg, "severity=", &value)) {
        rc = once(&given->severity, "severity", err);
        if (rc == REM_OK && rem_log_level_parse(value, &out->severity) != REM_OK)
            rc = rem_err_set(err, REM_EINVAL, "unknown syslog severity \"%.*s\"",
                             REM_STR_ARG(value));
        return rc;
    }
    if (rem_str_take_prefix(arg, "tag=", &value)) {
        rc = once(&given->tag, "tag", err);
        return rc != REM_OK ? rc : parse_tag(value, out, err);
    }
    if (!rem_str_is(arg, "nohostname"))
        return rem_err_set(err, REM_EINVAL, "unknown syslog parameter \"%.*s\"", REM_STR_ARG(arg));
    out->nohostname = true;
    return REM_OK;
}

static void own_name(char *host)
{
    if (gethostname(host, REM_SYSLOG_HOST) != 0)
        host[0] = '\0';
    host[REM_SYSLOG_HOST - 1] = '\0';
    for (char *at = host; *at != '\0'; at++)
        *at = rem_lower(*at);
}

int rem_syslog_parse(struct rem_str text, struct rem_syslog *out, struct rem_err *err)
{
    struct rem_syslog syslog = {
        .text = text,
        .tag = REM_STR("remora"),
        .severity = REM_LOG_INFO,
        .facility = FACILITY_LOCAL7,
        .fd = -1,
        .failed_sec = -1,
        .stamp_sec = -1,
    };
    struct rem_str rest = text;
    struct given given = {0};
    const char *comma;

    do {
        struct rem_str arg = rest;
        int rc;

        comma = rem_str_chr(rest, ',');
        if (comma != NULL) {
            arg.n = (size_t)(comma - rest.p);
            rest = rem_str_skip(rest, arg.n + 1);
        }
        rc = parse_parameter(arg, &syslog, &given, err);
        if (rc != REM_OK)
            return rc;
    } while (comma != NULL);
    if (!given.server)
        return rem_err_set(err, REM_EINVAL, "no syslog server specified");
    own_name(syslog.host);
    *out = syslog;
    return REM_OK;
}

/* ---- sending ---- */

void rem_syslog_close(struct rem_syslog *syslog)
{
    if (syslog->fd >= 0 && syslog->pid == getpid())
        close(syslog->fd);
    syslog->fd = -1;
}

static int open_socket(struct rem_syslog *syslog, int64_t wall_sec)
{
    pid_t self = getpid();
    int saved;

    if (syslog->fd >= 0 && syslog->pid == self)
        return REM_OK;
    if (syslog->failed_sec == wall_sec) {
        errno = ENOTCONN;
        return REM_EIO;
    }
    syslog->pid = self;
    syslog->fd =
        socket(rem_addr_family(&syslog->addr), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (syslog->fd >= 0 && connect(syslog->fd, &syslog->addr.u.sa, syslog->addr.len) == 0)
        return REM_OK;
    saved = errno;
    rem_syslog_close(syslog);
    syslog->failed_sec = wall_sec;
    errno = saved;
    return REM_EIO;
}

/* Where the day has one digit a space stands in front of it (RFC 3164, section 4.1.2). */
static const char *stamp(struct rem_syslog *syslog, int64_t wall_sec)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t sec = wall_sec;
    struct tm tm;

    if (syslog->stamp_sec == wall_sec)
        return syslog->stamp;
    localtime_r(&sec, &tm);
    snprintf(syslog->stamp, sizeof(syslog->stamp), "%s %2u %02u:%02u:%02u",
             months[(unsigned)tm.tm_mon % 12], (unsigned)tm.tm_mday % 32, (unsigned)tm.tm_hour % 24,
             (unsigned)tm.tm_min % 60, (unsigned)tm.tm_sec % 61);
    syslog->stamp_sec = wall_sec;
    return syslog->stamp;
}

static size_t put_header(struct rem_syslog *syslog, enum rem_log_level level, int64_t wall_sec,
                         char *buf, size_t size)
{
    int severity = level > REM_LOG_EMERG ? (int)level - REM_LOG_EMERG : 0;
    int n = snprintf(buf, size, "<%d>%s %s%s%.*s: ", syslog->facility * 8 + severity,
                     stamp(syslog, wall_sec), syslog->nohostname ? "" : syslog->host,
                     syslog->nohostname ? "" : " ", REM_STR_ARG(syslog->tag));

    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

int rem_syslog_send(struct rem_syslog *syslog, enum rem_log_level level, int64_t wall_sec,
                    struct rem_str text)
{
    char header[HEADER_ROOM];
    struct iovec parts[2] = {
        {header, put_header(syslog, level, wall_sec, header, sizeof(header))},
        {(void *)(uintptr_t)text.p, text.n},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    int saved;

    for (int i = 0; i < 2; i++) {
        if (open_socket(syslog, wall_sec) != REM_OK)
            return REM_EIO;
        if (sendmsg(syslog->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return REM_OK;
        if (errno == EAGAIN || errno == ENOBUFS)
            return REM_EAGAIN;
        if (errno == EMSGSIZE)
            return REM_EIO;
        saved = errno;
        rem_syslog_close(syslog);
        errno = saved;
    }
    return REM_EIO;
}

bool rem_syslog_may_tell(struct rem_syslog *syslog, int64_t wall_sec)
{
    if (syslog->told_sec != 0 && wall_sec - syslog->told_sec < TELL_EVERY_SEC)
        return false;
    syslog->told_sec = wall_sec;
    return true;
}
