/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_view.h - tables of upstreams and servers, as list, show and watch print them.
 *
 * Runs in:    remoractl.  */
#ifndef REM_API_REMORACTL_VIEW_H
#define REM_API_REMORACTL_VIEW_H

#include <jansson.h>
#include <stdio.h>

/* A table of upstreams.  `before`: the same list `seconds` ago, for rates; NULL: without rates. */
void rem_ctl_view_upstreams(const json_t *upstreams, const json_t *before, double seconds,
                            FILE *out);

/* A table of servers. */
void rem_ctl_view_servers(const json_t *servers, const json_t *before, double seconds, FILE *out);

/* The upstream's own settings, a line each; of a group, what is not 0. */
void rem_ctl_view_settings(const json_t *upstream, FILE *out);

#endif
