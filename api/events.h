/* SPDX-License-Identifier: Apache-2.0 */
/* events.h - what happens, told: notes in the journal, and the stream of them at /v1/events.
 *
 * Form:       server-sent events.  `id` is the record's number, `event` its kind, `data` a JSON
 *             object with "sequence", "at", "revision" and what the kind brings.
 * Bounds:     a stream holds a cursor into the journal and one piece of text; a client that is too
 *             slow for the journal is told of the gap ("gap") and goes on with what is new.  */
#ifndef REM_API_EVENTS_H
#define REM_API_EVENTS_H

#include "api/api.h"

enum {
    REM_EVENTS_PIECE = 64 << 10, /* a stream's piece ends behind the event that reaches this */
    REM_EVENTS_BODY = 256 << 10, /* larger differences are left out; /v1/history has them */
};

/* Adds an event, which says `body` (an object; taken; NULL: nothing but the event itself).  Without
 * memory the event is lost. */
void rem_api_note(struct rem_api *api, enum rem_journal_kind kind, json_t *body);

/* Appends a record as a JSON object.  `whole`: with all of its body; else only its head.
 * Errors: REM_ENOMEM, REM_EPROTO. */
int rem_events_json(const struct rem_journal_record *record, bool whole,
                    struct rem_sbuf *out) REM_MUST_CHECK;

/* Puts what a streaming answer has not told yet into its empty body. */
void rem_events_fill(const struct rem_api *api, struct rem_api_response *response);

#endif
