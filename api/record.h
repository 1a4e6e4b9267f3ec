/* SPDX-License-Identifier: Apache-2.0 */
/* record.h - writes every revision into the journal: who asked for what, and the difference.
 *
 * Order:      prepared before the publish, committed behind it; see journal.h.
 * Causes:     all requests of a turn share its publish, so a revision may have several.
 * Failure:    a revision that cannot be written down is published all the same.  */
#ifndef REM_API_RECORD_H
#define REM_API_RECORD_H

#include "api/api.h"

enum { REM_RECORD_CAUSES = 32 }; /* written of a revision; the others are counted */

/* Begins; api->writer and api->journal are set, and `api` stays where it is. */
void rem_record_start(struct rem_api *api);

/* The publish to come has this cause.  `what`: "PUT /v1/...". */
void rem_record_cause(struct rem_api *api, struct rem_str who, struct rem_str method,
                      struct rem_str what);

/* There is no publish to come. */
void rem_record_forget(struct rem_api *api);

#endif
