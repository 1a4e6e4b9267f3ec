/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/audit.h"

#include "api/count.h"
#include "proto/base/syslog.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TELL_SEC = 60 };

void rem_audit_init(struct rem_audit *audit, const struct rem_admin_spec *spec,
                    const struct rem_log *log, const struct rem_clock *clock)
{
    *audit = (struct rem_audit){
        .file = spec->audit_file,
        .syslog = spec->audit_syslog,
        .log = log,
        .clock = clock,
        .fd = -1,
        .told_sec = INT64_MIN / 2,
        .stamp_sec = INT64_MIN,
    };
}

void rem_audit_reopened(struct rem_audit *audit)
{
    audit->fd = -1;
}

/* ---- the line ---- */

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* A JSON string.  Bytes that are no ASCII are written as the characters of that number, so that the
 * line is valid whatever a client sends. */
static void put_text(struct rem_sbuf *line, const char *key, struct rem_str text)
{
    size_t limit;

    rem_sbuf_addc(line, '"');
    rem_sbuf_adds(line, key);
    rem_sbuf_adds(line, "\":\"");
    limit = line->n + REM_AUDIT_TEXT;
    while (text.n != 0 && line->n < limit) {
        size_t n = 0, most = limit - line->n;

        while (n < text.n && n < most && is_plain(text.p[n]))
            n++;
        if (n != 0) {
            rem_sbuf_add(line, rem_str_make(text.p, n));
        } else {
            rem_sbuf_addf(line, "\\u00%02x", (unsigned)(unsigned char)text.p[0]);
            n = 1;
        }
        text = rem_str_skip(text, n);
    }
    rem_sbuf_adds(line, text.n != 0 ? "...\"," : "\",");
}

static void put_time(struct rem_audit *audit, struct rem_sbuf *line)
{
    time_t sec = (time_t)audit->clock->wall_sec;
    struct tm tm;

    if (audit->stamp_sec != audit->clock->wall_sec && gmtime_r(&sec, &tm) != NULL) {
        (void)strftime(audit->stamp, sizeof(audit->stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        audit->stamp_sec = audit->clock->wall_sec;
    }
    rem_sbuf_addf(line, "\"time\":\"%s.%03uZ\",", audit->stamp, (unsigned)audit->clock->wall_msec);
}

static void make_line(struct rem_audit *audit, const struct rem_api_request *request,
                      const struct rem_api_response *response, int status, uint64_t before,
                      uint64_t after, struct rem_sbuf *line)
{
    rem_sbuf_addc(line, '{');
    put_time(audit, line);
    put_text(line, "request_id", rem_str_from(response->request_id));
    put_text(line, "who", request->who);
    put_text(line, "role", rem_str_from(rem_role_name(request->role)));
    put_text(line, "address", request->address);
    put_text(line, "method", request->method_text);
    put_text(line, "path", request->path);
    if (request->args.n != 0)
        put_text(line, "query", request->args);
    if (response->code != NULL)
        put_text(line, "code", rem_str_from(response->code));
    rem_sbuf_addf(line, "\"revision_before\":%llu,\"revision_after\":%llu,\"status\":%d}",
                  (unsigned long long)before, (unsigned long long)after, status);
}

/* ---- where it goes ---- */

static bool has_room(struct rem_audit *audit)
{
    struct pollfd p = {.fd = audit->file->fd, .events = POLLOUT};
    struct stat st;

    if (audit->fd != p.fd) {
        audit->regular = fstat(p.fd, &st) == 0 && S_ISREG(st.st_mode);
        audit->fd = p.fd;
    }
    return audit->regular || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0);
}

static bool write_file(struct rem_audit *audit, struct rem_str line)
{
    ssize_t n;

    if (audit->file->fd < 0 || !has_room(audit))
        return false;
    do
        n = write(audit->file->fd, line.p, line.n);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)line.n;
}

static bool send_line(struct rem_audit *audit, struct rem_sbuf *line)
{
    if (audit->syslog != NULL)
        return rem_syslog_send(audit->syslog, audit->syslog->severity, audit->clock->wall_sec,
                               rem_sbuf_str(line)) == REM_OK;
    rem_sbuf_addc(line, '\n');
    return !line->failed && write_file(audit, rem_sbuf_str(line));
}

static void lose(struct rem_audit *audit)
{
    audit->lost++;
    if (audit->counts != NULL)
        rem_api_count_log_dropped(audit->counts, audit->header);
}

static void tell_lost(struct rem_audit *audit)
{
    if (audit->lost == 0 || audit->clock->wall_sec - audit->told_sec < TELL_SEC)
        return;
    audit->told_sec = audit->clock->wall_sec;
    REM_LOG(audit->log, REM_LOG_ERROR, 0, "audit: %llu lines could not be written",
            (unsigned long long)audit->lost);
    audit->lost = 0;
}

static bool is_of_interest(const struct rem_api_request *request, int status)
{
    if (request->who.n == 0) /* it never became a request, or nobody knows whose */
        return false;
    if (request->method == REM_METHOD_GET || request->method == REM_METHOD_HEAD)
        return request->wrong_token;
    /* Nobody shall fill the disk by going on when told to wait. */
    return status != 429;
}

/* Whether one more who is not known may have his line in this second. */
static bool has_quota(struct rem_audit *audit, const struct rem_api_request *request)
{
    if (request->role != REM_ROLE_NONE)
        return true;
    if (audit->unknown_sec != audit->clock->wall_sec) {
        audit->unknown_sec = audit->clock->wall_sec;
        audit->unknown = 0;
    }
    return audit->unknown++ < REM_AUDIT_UNKNOWN;
}

void rem_audit_note(struct rem_audit *audit, const struct rem_api_request *request,
                    struct rem_api_response *response, int status, uint64_t before, uint64_t after)
{
    struct rem_sbuf line;

    if ((audit->file == NULL && audit->syslog == NULL) || !is_of_interest(request, status))
        return;
    if (!has_quota(audit, request)) {
        lose(audit);
        tell_lost(audit);
        return;
    }
    rem_api_request_id(response);
    rem_sbuf_init(&line);
    make_line(audit, request, response, status, before, after, &line);
    if (line.failed || !send_line(audit, &line))
        lose(audit);
    rem_sbuf_fini(&line);
    tell_lost(audit);
}
