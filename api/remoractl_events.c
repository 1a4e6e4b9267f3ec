/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_events.h"

#include "api/remoractl_ask.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 50, PAUSE_MS = 200 };

int rem_ctl_events_open(const struct rem_ctl_args *args, const char *since, bool quiet,
                        struct rem_ctl_events *out)
{
    char token[REM_CTL_TOKEN_MAX];
    struct rem_ctl_request request;
    struct rem_sbuf body;
    struct rem_err err = {0};
    int status = 0;
    int rc = rem_ctl_request_init(args, &request, token);

    *out = (struct rem_ctl_events){0};
    rem_sbuf_init(&out->in);
    if (rc != REM_CTL_OK)
        return rc;
    request.path = "/v1/events";
    request.last_id = since;
    rem_sbuf_init(&body);
    if (rem_ctl_stream_open(&request, &status, &body, &out->stream, &err) != 0)
        rc = quiet ? REM_CTL_FAILED : rem_ctl_complain("%s", err.text);
    else if (out->stream == NULL)
        rc = quiet ? REM_CTL_REFUSED : rem_ctl_refused(status, rem_sbuf_str(&body), NULL);
    rem_sbuf_fini(&body);
    return rc;
}

/* One line of an event, "name: value". */
static void take_line(struct rem_str line, struct rem_ctl_event *event, struct rem_sbuf *data)
{
    static const struct {
        const char *name;
        size_t n;
    } names[] = {{"id:", 3}, {"event:", 6}, {"data:", 5}};
    char *const texts[] = {event->id, event->kind, NULL};

    if (line.n != 0 && line.p[line.n - 1] == '\r')
        line.n--;
    for (size_t i = 0; i < REM_COUNT(names); i++) {
        struct rem_str value;
        if (!rem_str_has_prefix(line, rem_str_make(names[i].name, names[i].n)))
            continue;
        value = rem_str_skip(line, names[i].n);
        if (value.n != 0 && value.p[0] == ' ')
            value = rem_str_skip(value, 1);
        if (texts[i] == NULL)
            rem_sbuf_add(data, value);
        else
            (void)snprintf(texts[i], sizeof(event->id), "%.*s", REM_STR_ARG(value));
        return;
    }
}

/* The end of the first event in `in`: behind its empty line; 0: it is not whole. */
static size_t event_end(struct rem_str in)
{
    for (size_t i = 1; i < in.n; i++) {
        if (in.p[i] != '\n')
            continue;
        if (in.p[i - 1] == '\n' || (i >= 2 && in.p[i - 1] == '\r' && in.p[i - 2] == '\n'))
            return i + 1;
    }
    return 0;
}

/* Takes the first event off what has come.  Returns: false if there is no whole one, or it was a
 * comment. */
static bool take_event(struct rem_sbuf *in, struct rem_ctl_event *out, bool *whole)
{
    struct rem_str rest = rem_str_make(in->p, event_end(rem_sbuf_str(in)));
    struct rem_sbuf data;
    size_t used = rest.n;

    *whole = used != 0;
    *out = (struct rem_ctl_event){.data = NULL};
    if (used == 0)
        return false;
    rem_sbuf_init(&data);
    while (rest.n != 0) {
        const char *end = rem_str_chr(rest, '\n');
        struct rem_str line = rem_str_make(rest.p, (size_t)(end - rest.p));
        take_line(line, out, &data);
        rest = rem_str_skip(rest, line.n + 1);
    }
    in->n -= used;
    memmove(in->p, in->p + used, in->n);
    out->data = data.n != 0 ? json_loadb(data.p, data.n, JSON_DECODE_ANY, NULL) : NULL;
    rem_sbuf_fini(&data);
    if (out->data == NULL || strcmp(out->kind, "hello") != 0)
        return out->data != NULL;
    json_decref(out->data); /* says only where the stream begins */
    return false;
}

int rem_ctl_events_next(struct rem_ctl_events *events, int timeout_ms, struct rem_ctl_event *out)
{
    for (;;) {
        bool whole;
        int rc;

        bool taken = take_event(&events->in, out, &whole);
        if (whole && out->id[0] != '\0')
            memcpy(events->last, out->id, sizeof(events->last));
        if (taken)
            return REM_OK;
        if (whole)
            continue;
        rc = rem_ctl_stream_read(events->stream, timeout_ms, &events->in);
        if (rc != REM_OK)
            return rc;
    }
}

int rem_ctl_events_again(const struct rem_ctl_args *args, struct rem_ctl_events *events)
{
    char last[sizeof(events->last)];
    int rc = REM_CTL_FAILED;

    memcpy(last, events->last, sizeof(last));
    for (int tries = 0; tries < TRIES && rc == REM_CTL_FAILED; tries++) {
        if (tries != 0)
            (void)usleep(PAUSE_MS * 1000);
        rem_ctl_events_close(events);
        rc = rem_ctl_events_open(args, last[0] != '\0' ? last : NULL, true, events);
        memcpy(events->last, last, sizeof(last));
    }
    return rc;
}

void rem_ctl_events_close(struct rem_ctl_events *events)
{
    rem_ctl_stream_close(&events->stream);
    rem_sbuf_fini(&events->in);
}
