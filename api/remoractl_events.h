/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_events.h - server-sent events, taken apart.
 *
 * Runs in:    remoractl.  */
#ifndef REM_API_REMORACTL_EVENTS_H
#define REM_API_REMORACTL_EVENTS_H

#include "api/remoractl_args.h"
#include "api/remoractl_http.h"

struct rem_ctl_event {
    char id[32];
    char kind[32];
    json_t *data; /* owned; NULL: no JSON */
};

struct rem_ctl_events {
    struct rem_ctl_stream *stream; /* NULL: not open */
    struct rem_sbuf in;
    char last[32]; /* the id of the last event */
};

/* Opens /v1/events, behind event `since` (NULL: with what comes from now on).  Returns: an exit
 * code; quiet: nothing is told when it cannot be. */
int rem_ctl_events_open(const struct rem_ctl_args *args, const char *since, bool quiet,
                        struct rem_ctl_events *out);

/* The next event, the greeting left out; its data is the caller's to free.
 * Errors: REM_EAGAIN (none within `timeout_ms`), REM_ECLOSED, others of rem_ctl_stream_read. */
int rem_ctl_events_next(struct rem_ctl_events *events, int timeout_ms,
                        struct rem_ctl_event *out) REM_MUST_CHECK;

/* Opens a stream that has ended again, behind its last event: with a reload another agent takes
 * over. Gives up after 10 s.  Returns: an exit code; nothing is told. */
int rem_ctl_events_again(const struct rem_ctl_args *args, struct rem_ctl_events *events);
void rem_ctl_events_close(struct rem_ctl_events *events);

#endif
