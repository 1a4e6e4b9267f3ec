/* SPDX-License-Identifier: Apache-2.0 */
/* status_zone.h - what is counted of requests: by server, and by location where one says so.
 *
 * Runs in:    declared while a configuration is read; workers count on lines of their own, found
 *             once, when they start.
 * Servers:    a server without `status_zone` counts in the one zone of all such servers, so that
 *             the zones' sums are the instance's.
 * Locations:  the one in which the request ends counts it, as a whole.
 * Not here:   the lines (proto/shm/stat.h), who reads them (api/).  */
#ifndef REM_HTTP_STATUS_ZONE_H
#define REM_HTTP_STATUS_ZONE_H

#include "proxy/conf/conf.h"
#include "proxy/http/request.h"

/* `status_zone NAME|off` in a server, and in a location or an `if` of one. */
int rem_status_zone_set_server(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_status_zone_set_location(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* Merging: the zone of servers that name none; a location's from the one around it. */
int rem_status_zone_default(struct rem_conf *cf, struct rem_http_server_conf *server);

/* A client's request begins, with its server known; and ends. */
void rem_status_zone_begin(struct rem_request *request);
void rem_status_zone_end(struct rem_request *request);

#endif
