/* SPDX-License-Identifier: Apache-2.0 */
/* outlier.h - servers that fail several times in a row are put aside (`outlier_detection`).
 *
 * Runs in:    workers, which count and eject; who finds an ejection over lets the server in again
 *             (rem_server_available).  Nobody waits for the agent.
 * Not here:   success rates (agent/outlier.h).  */
#ifndef REM_UPSTREAM_OUTLIER_H
#define REM_UPSTREAM_OUTLIER_H

#include "proto/shm/reader.h"

struct rem_upstream_exchange;

/* What the try amounted to, while its pin is held. */
void rem_outlier_note(struct rem_upstream_exchange *x, const struct rem_pin_report *report);

#endif
