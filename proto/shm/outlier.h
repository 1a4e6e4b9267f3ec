/* SPDX-License-Identifier: Apache-2.0 */
/* outlier.h - putting a server aside because its answers stand out, and for how long.
 *
 * Runs in:    workers (failures in a row) and the agent (success rates).
 * Ends:       by itself, see rem_server_available; the agent lowers the level again.  */
#ifndef REM_SHM_OUTLIER_H
#define REM_SHM_OUTLIER_H

#include "proto/shm/layout.h"

#include <stdbool.h>

/* Ejects the server for the base time, times one more with every ejection that followed closely, up
 * to the longest; unless too many are ejected already (one always may be, if any may) or it is the
 * upstream's only one.
 * Returns: whether it was ejected by this call. */
bool rem_outlier_eject(const struct rem_shm_set *set, struct rem_shm_upstream_slot *upstream,
                       struct rem_shm_server_slot *slot, uint64_t now_ms);

/* An interval has passed without an ejection: the next one is shorter again. */
void rem_outlier_calm(struct rem_shm_server_slot *slot);

#endif
