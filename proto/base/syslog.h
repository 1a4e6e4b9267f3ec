/* SPDX-License-Identifier: Apache-2.0 */
/* syslog.h - a destination that takes lines as datagrams (RFC 3164).
 *
 *   <187>Nov 20 03:47:30 host remora: text
 *
 * Runs in:    every process.  Each opens its own socket with its first line: an error that the
 *             network reports belongs to one process, and so does the answer to it.
 * Delay:      none.  The socket never blocks; what the receiver has no room for is lost.
 * Recovery:   a refused datagram is sent once more over a new socket (the server's, if it is a
 *             unix one, may have been made anew).  Where none can be opened the rest of the second
 *             is let go.  */
#ifndef REM_BASE_SYSLOG_H
#define REM_BASE_SYSLOG_H

#include "proto/base/addr.h"
#include "proto/base/log.h"

#include <sys/types.h>

enum { REM_SYSLOG_PORT = 514, REM_SYSLOG_TAG = 32, REM_SYSLOG_HOST = 64 };

struct rem_syslog {
    struct rem_str text;         /* the parameters as given; equal ones may share a destination */
    struct rem_str server;       /* as given */
    struct rem_str tag;          /* "remora" without tag= */
    enum rem_log_level severity; /* of lines without a level of their own (severity=) */
    int facility;
    bool nohostname;
    struct rem_addr addr;
    char host[REM_SYSLOG_HOST]; /* lower case */

    int fd;             /* -1: not open */
    pid_t pid;          /* of the process that opened fd; another's number may mean anything here */
    int64_t failed_sec; /* the second in which no socket could be had */
    int64_t told_sec;   /* when a failure was last worth a line elsewhere */
    int64_t stamp_sec;
    char stamp[16]; /* "Nov 20 03:47:30", of stamp_sec */
    struct rem_syslog *next;
};

/* Parses "server=ADDRESS,facility=,tag=,severity=,nohostname" and resolves the address, which may
 * block.  Borrows: `text` must outlive *out.
 * Errors: REM_EINVAL, REM_ENOTFOUND, REM_ENOMEM (err says what is wrong). */
int rem_syslog_parse(struct rem_str text, struct rem_syslog *out,
                     struct rem_err *err) REM_MUST_CHECK;

/* Sends one message; `text` has no line feed.
 * Errors: REM_EAGAIN (no room, lost), REM_EIO (lost); errno says why. */
int rem_syslog_send(struct rem_syslog *syslog, enum rem_log_level level, int64_t wall_sec,
                    struct rem_str text) REM_MUST_CHECK;

/* Whether a failure should be told elsewhere now: once a minute.  Counts as telling. */
bool rem_syslog_may_tell(struct rem_syslog *syslog, int64_t wall_sec);

void rem_syslog_close(struct rem_syslog *syslog);

#endif
