/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/special.h"

#include "proto/wire/put.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/response.h"

struct rem_str rem_special_token(const struct rem_request *request)
{
    switch (rem_core_location(request)->server_tokens) {
    case REM_TOKENS_OFF:
        return REM_STR("remora");
    default: /* "build" too: our builds have no names */
        return REM_STR("remora/" REM_VERSION);
    }
}

/* Where the API's errors send their reader, those of the agent as well (api/fault.c). */
#define REM_API_HREF "https://nginx.org/en/docs/http/ngx_http_api_module.html"

/* After these nobody knows where the next request would begin, or the client is not to be trusted
 * with another. */
static bool ends_connection(int status)
{
    switch (status) {
    case 400:
    case 408:
    case 413:
    case 414:
    case 417:
    case REM_STATUS_HEAD_TOO_LARGE:
    case 495:
    case 496:
    case 497:
    case 500:
    case 501:
        return true;
    default:
        return false;
    }
}

/* What the client sees of a status that is for our own use. */
static int shown_status(int status)
{
    return status >= REM_STATUS_HEAD_TOO_LARGE && status <= 497 ? 400 : status;
}

/* ---- error_page ---- */

static const struct rem_http_error_page *find_page(const struct rem_request *request, int status)
{
    const struct rem_http_location_conf *loc = rem_core_location(request);
    const struct rem_http_error_page *page;

    /* No page for a cycle of them. */
    if (loc->error_pages == NULL || request->error_paged ||
        request->uri_changes > REM_URI_CHANGES_MAX)
        return NULL;
    page = REM_ARRAY_OF(loc->error_pages, const struct rem_http_error_page);
    for (uint32_t i = 0; i < loc->error_pages->n; i++) {
        if (page[i].status == status)
            return &page[i];
    }
    return NULL;
}

/* Answers with the page's own URI, whatever method asked. */
static int redirect_to_uri(struct rem_request *request, struct rem_str to)
{
    const char *mark = rem_str_chr(to, '?');
    struct rem_str uri = to;
    struct rem_str args = {NULL, 0};

    if (mark != NULL) {
        uri.n = (size_t)(mark - to.p);
        args = rem_str_skip(to, uri.n + 1);
    }
    if (request->method != REM_METHOD_HEAD) {
        request->method = REM_METHOD_GET;
        request->method_name = REM_STR("GET");
    }
    return rem_request_redirect(request, uri, args);
}

static int answer(struct rem_request *request, int status);

static int follow_page(struct rem_request *request, int status,
                       const struct rem_http_error_page *page)
{
    struct rem_str to;

    request->error_paged = !rem_core_location(request)->recursive_error_pages;
    request->error_status = page->overwrite >= 0 ? page->overwrite : shown_status(status);
    if (rem_http_value(request, &page->to, &to) != REM_OK)
        return REM_HTTP_ERROR;
    if (to.n != 0 && to.p[0] == '/')
        return redirect_to_uri(request, to);
    if (to.n != 0 && to.p[0] == '@')
        return rem_request_redirect_named(request, to);
    request->error_status = 0;
    if (rem_core_set_location_field(request, to) != REM_OK)
        return REM_HTTP_ERROR;
    return answer(request, rem_response_is_redirect(page->overwrite) ? page->overwrite : 302);
}

/* ---- our own pages ---- */

static struct rem_str title_of(struct rem_request *request, int status)
{
    struct rem_str reason;

    switch (status) { /* pages have words of their own where the status line keeps to older ones */
    case 302:
        return REM_STR("302 Found");
    case 401:
        return REM_STR("401 Authorization Required");
    case REM_STATUS_HEAD_TOO_LARGE:
        return REM_STR("400 Request Header Or Cookie Too Large");
    case 495:
        return REM_STR("400 The SSL certificate error");
    case 496:
        return REM_STR("400 No required SSL certificate was sent");
    case 497:
        return REM_STR("400 The plain HTTP request was sent to HTTPS port");
    default:
        break;
    }
    reason = rem_status_reason((unsigned)status);
    if (reason.n == 0)
        return reason;
    return rem_arena_printf(&request->arena, "%d %.*s", status, REM_STR_ARG(reason));
}

/* As the API says what is wrong; "413 Request Entity Too Large" has the code
 * RequestEntityTooLarge. */
static int answer_json(struct rem_request *request, int status)
{
    struct rem_str text = rem_status_reason((unsigned)shown_status(status)), id, page;
    char *code;
    size_t n = 0;

    if (status == 400 && request->body != NULL && !request->body->complete)
        text = REM_STR("Body Read Error"); /* the API's word for one that is malformed */
    if (status == 401)
        text = rem_status_reason(401); /* as the agent has it; the page has words of its own */
    code = rem_arena_alloc(&request->arena, text.n + 1);
    if (code == NULL ||
        rem_http_value(request, rem_core_location(request)->json_errors, &id) != REM_OK)
        return REM_HTTP_ERROR;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != ' ')
            code[n++] = text.p[i];
    page = rem_arena_printf(&request->arena,
                            "{\"error\":{\"status\":%d,\"text\":\"%.*s\",\"code\":\"%.*s\"},"
                            "\"request_id\":\"%.*s\",\"href\":\"" REM_API_HREF "\"}",
                            shown_status(status), REM_STR_ARG(text), (int)n, code, REM_STR_ARG(id));
    if (page.p == NULL)
        return REM_HTTP_ERROR;
    return rem_http_respond(request, shown_status(status), REM_STR("application/json"), page);
}

static int answer(struct rem_request *request, int status)
{
    struct rem_str token = rem_special_token(request);
    struct rem_str title = title_of(request, status);
    struct rem_str page = {"", 0};

    request->error_status = 0;
    request->response.last_modified = -1;
    rem_response_without_ranges(&request->response);
    if (title.n == 0 || status < 300) /* nothing to say beside the number */
        return rem_http_respond(request, shown_status(status), (struct rem_str){NULL, 0}, page);
    if (rem_core_location(request)->json_errors != NULL && status >= 400)
        return answer_json(request, status);
    page = rem_arena_printf(&request->arena,
                            "<!DOCTYPE html>\n<html>\n<head><title>%.*s</title></head>\n<body>\n"
                            "<center><h1>%.*s</h1></center>\n"
                            "<hr><center>%.*s</center>\n</body>\n</html>\n",
                            REM_STR_ARG(title), REM_STR_ARG(title), REM_STR_ARG(token));
    if (page.p == NULL)
        return REM_HTTP_ERROR;
    return rem_http_respond(request, shown_status(status), REM_STR("text/html"), page);
}

int rem_special_respond(struct rem_request *request, int status)
{
    const struct rem_http_error_page *page = find_page(request, status);

    if (ends_connection(status))
        request->keepalive = false;
    if (page != NULL)
        return follow_page(request, status, page);
    return answer(request, status);
}
