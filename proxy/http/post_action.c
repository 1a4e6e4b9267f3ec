/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/post_action.h"

#include "proxy/http/core.h"
#include "proxy/http/phase.h"
#include "proxy/http/subrequest.h"

/* What the log and the action's own fields say of the request that has ended. */
static void take_accounts(struct rem_request *action, const struct rem_request *request)
{
    action->start_ms = request->start_ms;
    action->start_sec = request->start_sec;
    action->start_msec = request->start_msec;
    action->received = request->received;
    action->sent_body = request->sent_body;
    action->sent = request->sent;
    action->keepalive = request->keepalive;
    action->response.status = request->response.status;
    /* A fault is not made good by what the action answers. */
    if (request->response.status >= 400)
        action->error_status = request->response.status;
}

bool rem_post_action_start(struct rem_request *request)
{
    struct rem_str uri = rem_core_location(request)->post_action;
    const struct rem_http_location_conf *named = NULL;
    struct rem_subrequest_spec spec = {
        .kind = REM_SUBREQUEST_BACKGROUND,
        .uri = uri,
        .same_method = true,
        .with_body = true,
    };
    struct rem_request *action;

    if (uri.n == 0 || request->parent != NULL || request->line.n == 0)
        return false;
    if (uri.p[0] == '@') {
        named = rem_core_find_named(request->server, uri);
        if (named == NULL) {
            REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "could not find named location \"%.*s\"",
                       REM_STR_ARG(uri));
            return false;
        }
        spec.uri = request->uri;
        spec.args = request->args;
    }
    if (rem_subrequest_start(request, &spec, &action) != REM_OK)
        return false;
    take_accounts(action, request);
    if (named != NULL) {
        action->uri_as_sent = request->uri_as_sent;
        rem_core_use_location(action, named);
        rem_phase_enter(action, REM_PHASE_REWRITE);
    }
    action->logs_parent = true;
    return true;
}
