/* SPDX-License-Identifier: Apache-2.0 */
/* browser.h - whether a request may come from somebody else's web page.
 *
 * A page can have the browser of whoever reads it send requests to a loopback address.  What gives
 * it away: a write carries the page's Origin, and a page whose own name was made to lead to
 * 127.0.0.1 (DNS rebinding) carries that name in Host.  */
#ifndef REM_AGENT_BROWSER_H
#define REM_AGENT_BROWSER_H

#include "proto/shm/admin_spec.h"
#include "proto/wire/uri.h"

/* Whether nobody else can have made this name lead here: a literal address, localhost, or one of
 * `host`.  No name at all is fine: browsers always send one. */
bool rem_browser_knows_host(const struct rem_admin_host *hosts,
                            const struct rem_authority *authority);

/* Whether the value of an Origin field is the http or https origin that `authority` names. */
bool rem_browser_same_origin(struct rem_str origin, const struct rem_authority *authority);

#endif
