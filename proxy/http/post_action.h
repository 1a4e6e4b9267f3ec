/* SPDX-License-Identifier: Apache-2.0 */
/* post_action.h - post_action: a request is made when another has ended.
 *
 * It is a subrequest in the background that nobody sees anything of.  The access log is written
 * when it is over, as its location says, with what was sent to the client.  */
#ifndef REM_HTTP_POST_ACTION_H
#define REM_HTTP_POST_ACTION_H

#include "proxy/http/request.h"

/* Of a request that is over, with all it owns still there.  Returns: whether one has been started,
 * which then logs for both. */
bool rem_post_action_start(struct rem_request *request);

#endif
