/* SPDX-License-Identifier: Apache-2.0 */
/* response.h - what header filters ask of a response's head and do to it.
 *
 * The date and the tag may be the content handler's own (`last_modified`) or a field that an
 * upstream sent: these functions look at both.  */
#ifndef REM_HTTP_RESPONSE_H
#define REM_HTTP_RESPONSE_H

#include "proxy/http/request.h"

/* The first field of that name, or an empty string. */
struct rem_str rem_response_field(const struct rem_response *response, enum rem_field_id id);

/* When what is sent was last modified; -1: nobody says. */
int64_t rem_response_modified(const struct rem_request *request);

/* The body will be another one than the handler's, of a length nobody knows yet: neither length
 * nor ranges can be promised. */
void rem_response_changes_body(struct rem_response *response);

/* There will be no ranges of it. */
void rem_response_without_ranges(struct rem_response *response);

/* The body will mean the same and have other bytes: a strong tag becomes a weak one, what is no tag
 * goes.  Errors: REM_ENOMEM. */
int rem_response_weaken_tag(struct rem_request *request) REM_MUST_CHECK;

/* Whether an entity tag is a weak one. */
bool rem_response_is_weak(struct rem_str tag);

/* Whether a status sends the client where Location says. */
bool rem_response_is_redirect(int status);

/* Whether a status is among those to which add_header (without `always`), add_trailer and expires
 * add their fields. */
bool rem_response_takes_fields(int status);

/* Forgets all that has been said so far: another response follows. */
void rem_response_reset(struct rem_request *request);

#endif
