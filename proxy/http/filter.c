/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/filter.h"

#include "proxy/http/core.h"
#include "proxy/http/exchange.h"
#include "proxy/http/http.h"

/* The chains' ends. */
static int codec_head(struct rem_request *request, const struct rem_header_filter *next)
{
    (void)next;
    return request->exchange->send_head(request);
}

static int codec_body(struct rem_request *request, struct rem_buf *list,
                      const struct rem_body_filter *next)
{
    (void)next;
    return request->exchange->send_body(request, list);
}

static const struct rem_header_filter head_end = {codec_head, NULL};
static const struct rem_body_filter body_end = {codec_body, NULL};

int rem_http_add_header_filter(struct rem_http_setup *setup, rem_header_filter_fn filter)
{
    struct rem_header_filter *node = rem_arena_alloc(setup->arena, sizeof(*node));
    struct rem_header_filter *last = setup->header_filters;

    if (node == NULL)
        return REM_ENOMEM;
    *node = (struct rem_header_filter){filter, &head_end};
    if (last == NULL) {
        setup->header_filters = node;
        return REM_OK;
    }
    /* The nodes are this function's own, and writable until the configuration is complete. */
    while (last->next != &head_end)
        last = (struct rem_header_filter *)(uintptr_t)last->next;
    last->next = node;
    return REM_OK;
}

int rem_http_add_body_filter(struct rem_http_setup *setup, rem_body_filter_fn filter)
{
    struct rem_body_filter *node = rem_arena_alloc(setup->arena, sizeof(*node));
    struct rem_body_filter *last = setup->body_filters;

    if (node == NULL)
        return REM_ENOMEM;
    *node = (struct rem_body_filter){filter, &body_end};
    if (last == NULL) {
        setup->body_filters = node;
        return REM_OK;
    }
    while (last->next != &body_end)
        last = (struct rem_body_filter *)(uintptr_t)last->next;
    last->next = node;
    return REM_OK;
}

int rem_filter_compile(struct rem_http_setup *setup, const struct rem_header_filter **headers,
                       const struct rem_body_filter **bodies)
{
    *headers = setup->header_filters != NULL ? setup->header_filters : &head_end;
    *bodies = setup->body_filters != NULL ? setup->body_filters : &body_end;
    return REM_OK;
}

static bool is_bodiless(const struct rem_request *request, int status)
{
    return request->method == REM_METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

int rem_http_send_head(struct rem_request *request)
{
    const struct rem_header_filter *first = rem_core_main(request)->header_filters;
    struct rem_response *response = &request->response;
    int rc;

    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    REM_CHECK(!response->head_sent);
    if (request->error_status != 0) {
        response->status = request->error_status;
        response->status_line = (struct rem_str){NULL, 0};
    }
    response->no_body = response->no_body || is_bodiless(request, response->status);
    rc = first->run(request, first->next);
    if (rc == REM_OK)
        response->head_sent = true;
    return rc;
}

int rem_http_send_body(struct rem_request *request, struct rem_buf *list)
{
    const struct rem_body_filter *first = rem_core_main(request)->body_filters;

    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    for (const struct rem_buf *buf = list; buf != NULL; buf = buf->next) {
        if (buf->final)
            request->response.body_done = true;
    }
    return first->run(request, list, first->next);
}

int rem_http_respond(struct rem_request *request, int status, struct rem_str type,
                     struct rem_str body)
{
    struct rem_buf *buf = rem_arena_zalloc(&request->arena, sizeof(*buf));
    int rc;

    if (buf == NULL)
        return REM_HTTP_ERROR;
    request->response.status = status;
    request->response.content_type = type;
    request->response.content_length = (int64_t)body.n;
    rc = rem_http_send_head(request);
    if (rc != REM_OK)
        return rc > 0 ? rc : REM_HTTP_ERROR;
    /* Bytes of a buf are never changed by who consumes them. */
    buf->pos = (char *)(uintptr_t)body.p;
    buf->last = buf->pos + body.n;
    buf->fd = -1;
    buf->final = true;
    rc = rem_http_send_body(request, buf);
    return rc == REM_OK || rc == REM_EAGAIN ? REM_HTTP_OK : REM_HTTP_ERROR;
}
