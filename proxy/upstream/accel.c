/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/accel.h"

#include "proxy/http/rate.h"
#include "proxy/upstream/upstream.h"

static const struct rem_field *accel_find(const struct rem_upstream_exchange *x,
                                          enum rem_field_id id, uint32_t ignored)
{
    if ((x->policy->ignore & ignored) != 0)
        return NULL;
    return rem_fields_find(x->fields, id);
}

void rem_accel_apply(struct rem_upstream_exchange *x)
{
    const struct rem_field *buffering =
        accel_find(x, REM_FIELD_X_ACCEL_BUFFERING, REM_ACCEL_BUFFERING);
    const struct rem_field *rate =
        accel_find(x, REM_FIELD_X_ACCEL_LIMIT_RATE, REM_ACCEL_LIMIT_RATE);
    const struct rem_field *charset = accel_find(x, REM_FIELD_X_ACCEL_CHARSET, REM_ACCEL_CHARSET);
    uint64_t limit;

    if (charset != NULL) /* a copy: the answer may become another one; without memory, no wish */
        x->request->response.charset = rem_arena_dup(&x->request->arena, charset->value);
    if (buffering != NULL && rem_str_eq_nocase(buffering->value, REM_STR("no")))
        x->relay.buffering = false;
    else if (buffering != NULL && rem_str_eq_nocase(buffering->value, REM_STR("yes")))
        x->relay.buffering = true;
    if (rate != NULL && rem_str_to_u64(rate->value, REM_RATE_MAX, &limit) == 0)
        rem_rate_set(&x->request->rate, limit);
}

bool rem_accel_redirects(const struct rem_upstream_exchange *x, struct rem_str *to)
{
    const struct rem_field *field = accel_find(x, REM_FIELD_X_ACCEL_REDIRECT, REM_ACCEL_REDIRECT);

    if (field == NULL)
        return false;
    *to = field->value;
    return true;
}

bool rem_accel_survives(enum rem_field_id id)
{
    switch (id) {
    case REM_FIELD_CONTENT_TYPE:
    case REM_FIELD_CONTENT_DISPOSITION:
    case REM_FIELD_ACCEPT_RANGES:
    case REM_FIELD_SET_COOKIE:
    case REM_FIELD_CACHE_CONTROL:
    case REM_FIELD_EXPIRES:
        return true;
    default:
        return false;
    }
}

/* A path that climbs, or that does not begin at the root, leads nowhere: what locations protect
 * must not be got at by a server's whim. */
static bool is_safe(struct rem_str path)
{
    const struct rem_str up = REM_STR("/..");

    if (path.n == 0 || path.p[0] != '/' || rem_str_chr(path, '\0') != NULL)
        return false;
    for (size_t i = 0; i + up.n <= path.n; i++) {
        struct rem_str rest = rem_str_skip(path, i);
        if (rem_str_has_prefix(rest, up) && (rest.n == up.n || rest.p[up.n] == '/'))
            return false;
    }
    return true;
}

void rem_accel_follow(struct rem_request *request, struct rem_str to)
{
    const char *mark = rem_str_chr(to, '?');
    struct rem_str path = to, args = {NULL, 0};

    if (to.n != 0 && to.p[0] == '@') {
        (void)rem_request_redirect_named(request, to);
        return;
    }
    if (mark != NULL) {
        path.n = (size_t)(mark - to.p);
        args = rem_str_skip(to, path.n + 1);
    }
    if (rem_uri_unescape(path, &request->arena, &path) != 0) {
        rem_request_finalize(request, 500);
        return;
    }
    if (!is_safe(path)) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "unsafe URI \"%.*s\" was detected",
                   REM_STR_ARG(to));
        rem_request_finalize(request, 404);
        return;
    }
    if (request->method != REM_METHOD_HEAD) {
        request->method = REM_METHOD_GET;
        request->method_name = REM_STR("GET");
    }
    (void)rem_request_redirect(request, path, args);
}
