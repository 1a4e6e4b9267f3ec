/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fault.h"

#include "api/json.h"

#include <stdarg.h>
#include <stdio.h>

#define PLUS_HREF   "https://nginx.org/en/docs/http/ngx_http_api_module.html"
#define PROBLEM_URN "urn:remora:problem:"

static const struct fault_row {
    const char *code;
    int plus;
    int own;
    const char *title;
} rows[REM_FAULTS] = {
#define FAULT_ROW(name, code, plus, own, title) {code, plus, own, title},
    REM_FAULT_LIST(FAULT_ROW)
#undef FAULT_ROW
};

int rem_fault_set(struct rem_fault *fault, enum rem_fault_code code, const char *format, ...)
{
    va_list args;

    fault->code = code;
    va_start(args, format);
    (void)vsnprintf(fault->text, sizeof(fault->text), format, args);
    va_end(args);
    /* Parts of it may come from the client. */
    for (char *p = fault->text; *p != '\0'; p++) {
        if (*p == ';')
            *p = ',';
        else if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    }
    return REM_EINVAL;
}

const char *rem_fault_name(enum rem_fault_code code)
{
    return rows[code].code;
}

enum rem_fault_code rem_fault_of_status(int status)
{
    static const enum rem_fault_code codes[] = {
        REM_FAULT_BAD_REQUEST,     REM_FAULT_TIMEOUT,         REM_FAULT_TOO_LARGE,
        REM_FAULT_TARGET_TOO_LONG, REM_FAULT_EXPECTATION,     REM_FAULT_HEAD_TOO_LARGE,
        REM_FAULT_NOT_IMPLEMENTED, REM_FAULT_HTTP_VERSION,    REM_FAULT_BUSY,
        REM_FAULT_PATH_NOT_FOUND,  REM_FAULT_METHOD_DISABLED, REM_FAULT_FORBIDDEN,
        REM_FAULT_UNAUTHORIZED,    REM_FAULT_TOO_MANY,
    };

    for (size_t i = 0; i < REM_COUNT(codes); i++)
        if (rows[codes[i]].plus == status)
            return codes[i];
    return REM_FAULT_INTERNAL;
}

static const char *fault_text(const struct rem_fault *fault)
{
    return fault->text[0] != '\0' ? fault->text : rows[fault->code].title;
}

void rem_fault_answer_plus(const struct rem_fault *fault, struct rem_api_response *response)
{
    const struct fault_row *row = &rows[fault->code];

    rem_api_response_reset(response);
    rem_api_request_id(response);
    response->status = row->plus;
    response->code = row->code;
    rem_json_answer(response, json_pack("{s:{s:i,s:s,s:s},s:s,s:s}", "error", "status", row->plus,
                                        "text", fault_text(fault), "code", row->code, "request_id",
                                        response->request_id, "href", PLUS_HREF));
}

void rem_fault_answer_problem(const struct rem_fault *fault, struct rem_api_response *response)
{
    const struct fault_row *row = &rows[fault->code];
    char urn[96];
    json_t *body;

    (void)snprintf(urn, sizeof(urn), PROBLEM_URN "%s", row->code);
    rem_api_response_reset(response);
    response->status = row->own;
    response->code = row->code;
    body = json_pack("{s:s,s:s,s:i,s:s,s:s}", "type", urn, "title", row->title, "status", row->own,
                     "detail", fault_text(fault), "code", row->code);
    if (fault->code == REM_FAULT_CONFLICT) {
        if (body != NULL)
            (void)json_object_set_new(body, "revision", json_integer((json_int_t)fault->revision));
        response->etag = fault->revision;
        response->has_etag = true;
    }
    rem_json_answer(response, body);
    response->content_type = REM_API_PROBLEM;
}
