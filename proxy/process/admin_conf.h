/* SPDX-License-Identifier: Apache-2.0 */
/* admin_conf.h - the `admin` block, in parts: admin_conf.c (listeners), admin_conf_access.c (who
 * may ask), admin_conf_life.c (audit log, readiness, draining), admin_conf_state.c (what is kept).
 *
 * Runs in:    master, while it reads a configuration.  */
#ifndef REM_PROCESS_ADMIN_CONF_H
#define REM_PROCESS_ADMIN_CONF_H

#include "proxy/conf/conf.h"
#include "proxy/net/setup.h"

/* Directive functions; what they fill is the setup's admin_spec. */
int rem_admin_set_token(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_peer(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_host(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_failures(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_state(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_audit(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_ready(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_drain_delay(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_admin_set_drain_timeout(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* At the end of the block: whether the times fit each other. */
int rem_admin_check_life(struct rem_conf *cf);

#endif
