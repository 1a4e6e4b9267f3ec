/* SPDX-License-Identifier: Apache-2.0 */
/* single.h - `master_process off`: master and worker are one process; the agent is its child.
 *
 * For development, as in nginx: there is no reload, no upgrade, and no change of user.  */
#ifndef REM_PROCESS_SINGLE_H
#define REM_PROCESS_SINGLE_H

#include "proxy/process/master.h"

/* Serves until it is told to stop. */
void rem_single_serve(struct rem_master *m);

#endif
