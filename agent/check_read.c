/* SPDX-License-Identifier: Apache-2.0 */
/* check_read.c - the response to a check, as it arrives.
 *
 * Usually all of it comes with one read, into a buffer that all share.  Only what must be kept
 * until more arrives is copied.  Without tests of the body the verdict is given when the head is
 * there; the rest is read all the same, within bounds, so that the server can finish what it says.
 */
#include "agent/check_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* ---- buffers ---- */

static struct rem_check_hold *hold_get(struct rem_checks_io *io)
{
    struct rem_check_hold *hold = io->holds;

    if (hold != NULL)
        io->holds = hold->next;
    else
        hold = calloc(1, sizeof(*hold));
    if (hold != NULL)
        hold->n = 0;
    return hold;
}

static void hold_put(struct rem_checks_io *io, struct rem_check_hold **at)
{
    struct rem_check_hold *hold = *at;

    *at = NULL;
    if (hold == NULL)
        return;
    if (hold->room > REM_CHECK_HOLD_KEPT) {
        free(hold->p);
        *hold = (struct rem_check_hold){0};
    }
    hold->next = io->holds;
    io->holds = hold;
}

/* Appends to *at, made when new.  Errors: REM_ENOMEM. */
static int hold_add(struct rem_checks_io *io, struct rem_check_hold **at, const char *p, size_t n)
{
    struct rem_check_hold *hold = *at != NULL ? *at : (*at = hold_get(io));
    size_t room;
    char *grown;

    if (hold == NULL)
        return REM_ENOMEM;
    if (hold->n + n > hold->room) {
        room = hold->room != 0 ? hold->room : REM_CHECK_HOLD;
        while (room < hold->n + n)
            room *= 2;
        grown = realloc(hold->p, room);
        if (grown == NULL)
            return REM_ENOMEM;
        hold->p = grown;
        hold->room = room;
    }
    if (n != 0)
        memcpy(hold->p + hold->n, p, n);
    hold->n += n;
    return REM_OK;
}

void rem_check_read_reset(struct rem_checks_io *io, struct rem_check_conn *conn)
{
    hold_put(io, &conn->head);
    hold_put(io, &conn->body);
    rem_arena_reset(&conn->trailers);
    conn->framing = REM_FRAMING_NONE;
}

/* ---- verdicts ---- */

/* The response is over, or as much of it as is looked at. */
static void finish(struct rem_checks_io *io, struct rem_check_conn *conn, bool keep)
{
    struct rem_check *check = conn->check;
    const char *doing;
    bool passed;

    if (conn->step == REM_CHECK_BODY) {
        struct rem_str body =
            conn->body != NULL ? rem_str_make(conn->body->p, conn->body->n) : REM_STR("");

        passed = rem_check_match_body(check->spec->match, body, &doing);
        rem_check_verdict(check, passed, doing);
    }
    rem_check_finish(io, check, keep);
}

/* The head is complete: may decide the check. */
static void judge_head(struct rem_checks_io *io, struct rem_check_conn *conn,
                       const struct rem_h1_response *response)
{
    struct rem_check *check = conn->check;
    const struct rem_match_spec *match = check->spec->match;
    struct rem_shm_server_slot *slot = check->target->slot;
    uint64_t now = io->owner->clock->mono_ms;
    const struct rem_check_answer answer = {
        .status = response->code,
        .fields = &response->head.fields,
        .addr = {slot->name, slot->name_len},
        .connect_ms = conn->connected_ms - conn->began_ms,
        .header_ms = now - conn->began_ms,
        .received = conn->received,
    };
    const char *doing;
    bool passed = rem_check_match_head(match, &answer, &doing);

    if (passed && match != NULL && match->body) {
        conn->step = REM_CHECK_BODY;
        return;
    }
    conn->step = REM_CHECK_DRAIN;
    rem_check_verdict(check, passed, doing);
}

/* ---- bodies ---- */

/* What of the bytes belongs to the body goes where the tests find it.
 * Returns: REM_OK (the body has ended: *used bytes were its own), REM_EAGAIN, or what is wrong. */
static int take_body(struct rem_checks_io *io, struct rem_check_conn *conn, const char *p, size_t n,
                     size_t *used)
{
    struct rem_str data = {p, n};
    bool wanted = conn->step == REM_CHECK_BODY;
    int rc;

    *used = 0;
    switch (conn->framing) {
    case REM_FRAMING_NONE:
        return REM_OK;
    case REM_FRAMING_LENGTH:
        if (data.n > conn->left)
            data.n = (size_t)conn->left;
        conn->left -= data.n;
        *used = data.n;
        rc = wanted ? hold_add(io, &conn->body, data.p, data.n) : REM_OK;
        return rc == REM_OK && conn->left != 0 ? REM_EAGAIN : rc;
    case REM_FRAMING_UNTIL_CLOSE:
        *used = n;
        rc = wanted ? hold_add(io, &conn->body, p, n) : REM_OK;
        return rc == REM_OK ? REM_EAGAIN : rc;
    default:
        break;
    }
    do {
        size_t step = 0;

        rc = rem_chunk_decode(&conn->decoder, p + *used, n - *used, &step, &data);
        *used += step;
        if (rc == REM_OK && data.n != 0 && wanted)
            rc = hold_add(io, &conn->body, data.p, data.n);
    } while (rc == REM_OK && data.n != 0);
    return rc;
}

/* Returns: whether to read on. */
static bool on_body(struct rem_checks_io *io, struct rem_check_conn *conn, const char *p, size_t n)
{
    size_t used;
    int rc = take_body(io, conn, p, n, &used);

    if (rc == REM_OK) {
        finish(io, conn, conn->reusable && used == n);
        return false;
    }
    if (rc != REM_EAGAIN && conn->step == REM_CHECK_BODY) {
        rem_check_fail(io, conn->check, 0,
                       rc == REM_ENOMEM ? "no memory" : "upstream sent invalid chunked response");
        return false;
    }
    /* Tests see no more than this; nor does anybody wait for the end of what is endless. */
    if (rc != REM_EAGAIN || conn->received > REM_CHECK_BODY_MAX + conn->check->spec->head_max ||
        (conn->body != NULL && conn->body->n >= REM_CHECK_BODY_MAX)) {
        if (conn->body != NULL && conn->body->n > REM_CHECK_BODY_MAX)
            conn->body->n = REM_CHECK_BODY_MAX;
        finish(io, conn, false);
        return false;
    }
    return true;
}

/* ---- heads ---- */

static const struct rem_h1_limits limits_none = {
    .max_fields = 1000, .underscores = true, .ignore_invalid = true};

static void begin_body(struct rem_checks_io *io, struct rem_check_conn *conn,
                       const struct rem_h1_response *response)
{
    const struct rem_h1_head *head = &response->head;
    uint64_t now = io->owner->clock->mono_ms;
    uint32_t patience = conn->check->spec->read_ms;

    conn->framing = head->framing;
    conn->left = head->content_length;
    conn->reusable = conn->check->spec->keepalive_ms != 0 && rem_h1_persists(head);
    if (conn->framing == REM_FRAMING_CHUNKED)
        rem_chunk_decoder_init(&conn->decoder, &rem_h1_limits_default, &conn->trailers);
    if (conn->step == REM_CHECK_DRAIN && patience > REM_CHECK_DRAIN_MS)
        patience = REM_CHECK_DRAIN_MS;
    rem_check_wait(io, conn->check, now + patience);
}

/* Parses from the first byte.  Interim responses are stepped over. */
static int parse_head(struct rem_checks_io *io, const struct rem_h1_limits *limits,
                      struct rem_h1_response *response, const char *p, size_t n, size_t *skipped)
{
    int rc;

    *skipped = 0;
    do {
        rem_arena_reset(&io->arena);
        rem_h1_response_init(response, limits, &io->arena);
        rem_fields_init_in(&response->head.fields, io->fields, REM_CHECK_FIELDS, &io->arena);
        rc = rem_h1_response_parse(response, REM_H1_ASKED_OTHER, p + *skipped, n - *skipped);
        if (rc != REM_OK || response->code >= 200 || response->code == 101)
            return rc;
        *skipped += response->head.head_size;
    } while (*skipped < n);
    return REM_EAGAIN;
}

/* Keeps what may be the beginning of a head; what stands before it is done with. */
static int keep_head(struct rem_checks_io *io, struct rem_check_conn *conn, struct rem_str rest)
{
    struct rem_check_hold *held = conn->head;

    if (held == NULL)
        return hold_add(io, &conn->head, rest.p, rest.n);
    if (rest.p != held->p)
        memmove(held->p, rest.p, rest.n);
    held->n = rest.n;
    return REM_OK;
}

/* The head so far, from its first byte.  Returns: whether to read on. */
static bool on_head(struct rem_checks_io *io, struct rem_check_conn *conn, const char *p, size_t n)
{
    struct rem_h1_limits limits = limits_none;
    struct rem_h1_response response;
    struct rem_check_hold *held = conn->head;
    size_t skipped;
    bool more;
    int rc;

    limits.max_line = limits.max_head = conn->check->spec->head_max;
    rc = parse_head(io, &limits, &response, p, n, &skipped);
    /* A server may say for long that it will say something. */
    if (rc == REM_EAGAIN && conn->received <= REM_CHECK_INPUT) {
        rc = keep_head(io, conn, rem_str_make(p + skipped, n - skipped));
        if (rc != REM_OK)
            rem_check_fail(io, conn->check, 0, "no memory");
        return rc == REM_OK;
    }
    if (rc != REM_OK) {
        rem_check_fail(io, conn->check, 0,
                       rc == REM_ETOOBIG ? "upstream sent too big header"
                       : rc == REM_EPROTO && response.head.reason != NULL
                           ? response.head.reason
                           : "upstream sent invalid header");
        return false;
    }
    judge_head(io, conn, &response);
    begin_body(io, conn, &response);
    skipped += response.head.head_size;
    conn->head = NULL;
    more = on_body(io, conn, p + skipped, n - skipped);
    hold_put(io, &held);
    return more;
}

/* ---- reading ---- */

/* The server has closed, or reset the connection (`error`). */
static void on_end(struct rem_checks_io *io, struct rem_check_conn *conn, int error)
{
    if (conn->step == REM_CHECK_DRAIN ||
        (conn->step == REM_CHECK_BODY && error == 0 && conn->framing == REM_FRAMING_UNTIL_CLOSE))
        finish(io, conn, false);
    else if (conn->used && conn->received == 0)
        rem_check_again(io, conn->check);
    else
        rem_check_fail(io, conn->check, error,
                       error != 0 ? "recv() failed" : "upstream prematurely closed connection");
}

/* Returns: whether to read on. */
static bool on_bytes(struct rem_checks_io *io, struct rem_check_conn *conn, size_t n)
{
    uint64_t now = io->owner->clock->mono_ms;

    conn->received += n;
    if (conn->step != REM_CHECK_HEAD) {
        if (conn->step == REM_CHECK_BODY)
            rem_check_wait(io, conn->check, now + conn->check->spec->read_ms);
        return on_body(io, conn, io->in, n);
    }
    rem_check_wait(io, conn->check, now + conn->check->spec->read_ms);
    if (conn->head == NULL)
        return on_head(io, conn, io->in, n);
    if (hold_add(io, &conn->head, io->in, n) != REM_OK) {
        rem_check_fail(io, conn->check, 0, "no memory");
        return false;
    }
    return on_head(io, conn, conn->head->p, conn->head->n);
}

void rem_check_read(struct rem_checks_io *io, struct rem_check_conn *conn)
{
    ssize_t n;

    do {
        n = recv(conn->fd, io->in, sizeof(io->in), 0);
        if (n == 0) {
            on_end(io, conn, 0);
            return;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN)
                on_end(io, conn, errno);
            return;
        }
    } while (n < 0 || on_bytes(io, conn, (size_t)n));
}
