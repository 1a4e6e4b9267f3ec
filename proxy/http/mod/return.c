/* SPDX-License-Identifier: Apache-2.0 */
/* return.c - the return directive: a status, a text or a redirect (a step of rewrite.h). */
#include "proxy/http/body.h"
#include "proxy/http/mod/rewrite.h"
#include "proxy/http/response.h"

static int parse(struct rem_conf *cf, struct rem_return *answer)
{
    struct rem_str text = cf->args[cf->n_args - 1];
    int64_t status;

    if (rem_conf_parse_num(cf->args[1], &status) == 0 && status <= 999) {
        answer->status = (int)status;
        answer->has_text = cf->n_args == 3 && text.n != 0;
    } else if (cf->n_args == 2 && rem_rewrite_is_url(text)) {
        answer->status = 302;
        answer->has_text = true;
    } else {
        return rem_conf_error(cf, "invalid return code \"%.*s\"", REM_STR_ARG(cf->args[1]));
    }
    return answer->has_text ? rem_value_compile(cf, text, &answer->value) : 0;
}

int rem_return_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_return *answer = rem_arena_zalloc(cf->arena, sizeof(*answer));
    struct rem_rewrite_step *step;
    int rc;

    (void)d;
    if (answer == NULL)
        return rem_conf_nomem(cf);
    rc = parse(cf, answer);
    if (rc != 0)
        return rc;
    step = rem_rewrite_add(cf, conf, REM_REWRITE_RETURN);
    if (step == NULL)
        return REM_ENOMEM;
    step->u.answer = answer;
    return 0;
}

/* ---- requests ---- */

/* Returns what a content handler returns. */
static int respond(struct rem_request *request, const struct rem_return *answer)
{
    struct rem_str text = REM_STR(""), type;

    if (!answer->has_text && answer->status >= 400)
        return answer->status;
    request->response.status = answer->status; /* the text may ask for $status */
    if (answer->has_text && rem_http_value(request, &answer->value, &text) != 0)
        return 500;
    if (rem_body_discard(request) != REM_HTTP_OK)
        return 400;
    if (rem_response_is_redirect(answer->status)) {
        if (rem_core_set_location_field(request, text) != 0)
            return 500;
        return answer->status;
    }
    type = request->response.content_type; /* an upstream that led here may have said */
    if (type.n == 0 && answer->status != 204)
        type = rem_core_type(request);
    return rem_http_respond(request, answer->status, type, text);
}

void rem_return_answer(struct rem_request *request, const struct rem_return *answer)
{
    rem_request_finalize(request, respond(request, answer));
}
