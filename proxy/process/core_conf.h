/* SPDX-License-Identifier: Apache-2.0 */
/* core_conf.h - the modules of the main level: what runs, as whom, with which limits.
 *
 * Runs in:    the master, while a configuration is read.  cf->user is the struct rem_setup that the
 *             directives fill in.
 * Not here:   error_log's setter (proxy/net/error_log.h).  */
#ifndef REM_PROCESS_CORE_CONF_H
#define REM_PROCESS_CORE_CONF_H

#include "proxy/conf/module.h"

/* For the list of modules, before all others, in this order. */
extern struct rem_module rem_core_module;   /* daemon, user, worker_processes, error_log ... */
extern struct rem_module rem_events_module; /* events { worker_connections ... } */
extern struct rem_module rem_admin_module;  /* admin { listen ...; write ...; } */

#endif
