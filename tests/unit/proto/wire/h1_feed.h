/* SPDX-License-Identifier: Apache-2.0 */
/* h1_feed.h - feeds a head to a parser in every way it may arrive, and tells what came out.
 *
 * Each call of the parser gets its own copy of exactly the bytes received so far, and the copy
 * before is freed: a parser that keeps a pointer or reads too far is found by the sanitizer.  */
#ifndef REM_TESTS_H1_FEED_H
#define REM_TESTS_H1_FEED_H

#include "proto/base/err.h"
#include "proto/base/sbuf.h"
#include "proto/wire/h1.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct feed {
    bool response;
    enum rem_h1_asked asked;
    const struct rem_h1_limits *limits;
};

static inline void tell_fields(struct rem_sbuf *sb, const struct rem_h1_head *head)
{
    static const char *const framings[] = {"none", "length", "chunked", "close"};

    rem_sbuf_addf(sb, " %s", framings[head->framing]);
    if (head->flags & REM_H1_HAS_LENGTH)
        rem_sbuf_addf(sb, "=%llu", (unsigned long long)head->content_length);
    rem_sbuf_adds(sb, rem_h1_persists(head) ? " persists" : " closes");
    if (head->flags & REM_H1_UPGRADE)
        rem_sbuf_adds(sb, " upgrade");
    if (head->flags & REM_H1_EXPECT_CONTINUE)
        rem_sbuf_adds(sb, " expect");
    if (head->dropped != 0)
        rem_sbuf_addf(sb, " dropped=%u", head->dropped);
    REM_FIELDS_EACH(field, &head->fields) {
        rem_sbuf_addf(sb, " | %.*s=%.*s", REM_STR_ARG(field->name), REM_STR_ARG(field->value));
        if (field->flags != 0)
            rem_sbuf_addf(sb, "(%s%s%s)", field->flags & REM_FIELD_HOP ? "h" : "",
                          field->flags & REM_FIELD_UNDERSCORE ? "u" : "",
                          field->flags & REM_FIELD_INVALID_NAME ? "i" : "");
        /* The id is for those who look it up, and for nobody else. */
        ck_assert_int_eq(field->id, field->flags & REM_FIELD_INVALID_NAME
                                        ? REM_FIELD_OTHER
                                        : rem_field_id(field->name));
    }
}

static inline void tell_request(struct rem_sbuf *sb, const struct rem_h1_request *req)
{
    rem_sbuf_addf(sb, "%.*s %.*s 1.%d host=%.*s", REM_STR_ARG(req->method_text),
                  REM_STR_ARG(req->target), req->head.minor, REM_STR_ARG(req->host.host));
    tell_fields(sb, &req->head);
}

static inline void tell_response(struct rem_sbuf *sb, const struct rem_h1_response *resp)
{
    rem_sbuf_addf(sb, "%u [%.*s] 1.%d", resp->code, REM_STR_ARG(resp->reason), resp->head.minor);
    tell_fields(sb, &resp->head);
}

/* Parses `raw` cut at the offsets of `cuts` (the last must be n).  Returns: what came out, to be
 * freed; *used the size of the head, 0 without one. */
static inline char *feed_cut(const struct feed *feed, const char *raw, const size_t *cuts,
                             size_t count, size_t *used)
{
    struct rem_arena arena;
    struct rem_h1_request req;
    struct rem_h1_response resp;
    struct rem_h1_head *head = feed->response ? &resp.head : &req.head;
    struct rem_sbuf sb;
    char *copy = NULL;
    int rc = REM_EAGAIN;

    rem_arena_init(&arena, NULL);
    rem_sbuf_init(&sb);
    if (feed->response)
        rem_h1_response_init(&resp, feed->limits, &arena);
    else
        rem_h1_request_init(&req, feed->limits, &arena);
    for (size_t i = 0; i < count && rc == REM_EAGAIN; i++) {
        free(copy);
        copy = malloc(cuts[i] ? cuts[i] : 1);
        memcpy(copy, raw, cuts[i]);
        rc = feed->response ? rem_h1_response_parse(&resp, feed->asked, copy, cuts[i])
                            : rem_h1_request_parse(&req, copy, cuts[i]);
    }
    *used = rc == REM_OK ? head->head_size : 0;
    if (rc == REM_EAGAIN)
        rem_sbuf_adds(&sb, "more");
    else if (rc != REM_OK)
        rem_sbuf_addf(&sb, "%d %s", head->status, head->reason);
    else if (feed->response)
        tell_response(&sb, &resp);
    else
        tell_request(&sb, &req);
    rem_sbuf_addc(&sb, '\0');
    free(copy);
    rem_arena_reset(&arena);
    return sb.p;
}

/* Whole, byte by byte, and cut in two everywhere: one result. */
static inline char *feed_all_ways(const struct feed *feed, const char *raw, size_t n, size_t *used)
{
    size_t *cuts = calloc(n + 1, sizeof(*cuts));
    size_t again;
    char *whole, *other;

    for (size_t i = 0; i < n; i++)
        cuts[i] = i + 1;
    whole = feed_cut(feed, raw, &n, 1, used);
    other = feed_cut(feed, raw, cuts, n, &again);
    ck_assert_str_eq(whole, other);
    ck_assert_uint_eq(*used, again);
    free(other);
    for (size_t at = 1; at < n && n < 2000; at++) {
        const size_t two[] = {at, n};

        other = feed_cut(feed, raw, two, 2, &again);
        ck_assert_msg(strcmp(whole, other) == 0, "cut at %zu: '%s' instead of '%s'", at, other,
                      whole);
        ck_assert_uint_eq(*used, again);
        free(other);
    }
    free(cuts);
    return whole;
}

#endif
