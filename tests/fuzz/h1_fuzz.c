/* SPDX-License-Identifier: Apache-2.0 */
/* h1_fuzz.c - heads of requests and responses.
 *
 * Checked: a head read in pieces gives what it gives whole, and a request that was accepted reads
 * the same when it is written anew from its parts.  The first two bytes choose the rest.  */
#include "proto/base/err.h"
#include "proto/wire/h1.h"
#include "proto/wire/put.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct rem_h1_limits limits = {
    .max_line = 200,
    .max_head = 600,
    .max_fields = 20,
    .ignore_invalid = true,
    .connect = true,
    .trace = true,
};

static void check_same(const struct rem_h1_head *a, const struct rem_h1_head *b)
{
    REM_CHECK(a->head_size == b->head_size && a->framing == b->framing && a->flags == b->flags);
    REM_CHECK(a->content_length == b->content_length && a->fields.n == b->fields.n);
    for (uint32_t i = 0; i < a->fields.n; i++) {
        REM_CHECK(rem_str_eq(a->fields.v[i].name, b->fields.v[i].name));
        REM_CHECK(rem_str_eq(a->fields.v[i].value, b->fields.v[i].value));
        REM_CHECK(a->fields.v[i].flags == b->fields.v[i].flags);
    }
}

/* What is written from the parts of a request must read as that request. */
static void rewrite(const struct rem_h1_request *req, struct rem_arena *arena)
{
    struct rem_h1_limits wide = limits;
    struct rem_h1_request again;
    char out[2048];
    struct rem_put put;

    wide.max_line = wide.max_head = sizeof(out);
    rem_put_init(&put, out, sizeof(out));
    rem_put_request_line(&put, req->method_text, req->target, req->head.minor);
    for (uint32_t i = 0; i < req->head.fields.n; i++)
        rem_put_field(&put, req->head.fields.v[i].name, req->head.fields.v[i].value);
    rem_put_crlf(&put);
    REM_CHECK(!put.full);
    rem_h1_request_init(&again, &wide, arena);
    REM_CHECK(rem_h1_request_parse(&again, out, rem_put_str(&put).n) == REM_OK);
    REM_CHECK(again.head.head_size == rem_put_str(&put).n);
    REM_CHECK(again.head.framing == req->head.framing);
    REM_CHECK(again.head.fields.n == req->head.fields.n);
    REM_CHECK(rem_str_eq(again.host.host, req->host.host));
}

/* Parses with the first call seeing only `cut` bytes, in memory that is gone at the second. */
static int parse(struct rem_h1_request *req, struct rem_h1_response *resp, const uint8_t *data,
                 size_t size, size_t cut)
{
    char *part = malloc(cut + 1);
    int rc = REM_EAGAIN;

    if (cut != 0) {
        memcpy(part, data, cut);
        rc = req != NULL ? rem_h1_request_parse(req, part, cut)
                         : rem_h1_response_parse(resp, REM_H1_ASKED_OTHER, part, cut);
    }
    /* A head complete in the part is read again whole: its strings point into the part. */
    free(part);
    if (rc != REM_EAGAIN)
        return REM_ECLOSED;
    return req != NULL ? rem_h1_request_parse(req, (const char *)data, size)
                       : rem_h1_response_parse(resp, REM_H1_ASKED_OTHER, (const char *)data, size);
}

static bool lies_in(struct rem_str s, const char *buf, size_t size)
{
    return s.n == 0 || (s.p >= buf && s.p + s.n <= buf + size);
}

/* What is told of a head lies in it; of one that was accepted it is what was accepted. */
static void check_seen(const struct rem_h1_request *req, int rc, const char *buf, size_t size)
{
    struct rem_str line = rem_h1_request_seen_line(req, buf, size);
    struct rem_h1_request told = *req;
    struct rem_authority host;

    REM_CHECK(lies_in(line, buf, size));
    if (rc != REM_OK && rem_h1_request_salvage(&told, buf)) {
        REM_CHECK(lies_in(told.method_text, buf, size) && lies_in(told.target, buf, size));
        REM_FIELDS_EACH(field, &told.head.fields)
            REM_CHECK(lies_in(field->name, buf, size) && lies_in(field->value, buf, size));
    }
    if (!rem_h1_request_seen_host(req, buf, size, &host))
        return;
    REM_CHECK(host.host.p >= buf && host.host.p + host.host.n <= buf + size);
    REM_CHECK(rc != REM_OK || rem_str_eq(host.host, req->host.host));
}

static void fuzz_request(const uint8_t *data, size_t size, size_t cut, struct rem_arena *arena)
{
    struct rem_h1_request whole, pieces;
    struct rem_str path;
    int rc, other;

    rem_h1_request_init(&whole, &limits, arena);
    rem_h1_request_init(&pieces, &limits, arena);
    rc = parse(&whole, NULL, data, size, 0);
    check_seen(&whole, rc, (const char *)data, size);
    other = parse(&pieces, NULL, data, size, cut);
    if (other == REM_ECLOSED)
        return;
    REM_CHECK(rc == other && whole.head.status == pieces.head.status);
    if (rc != REM_OK)
        return;
    check_same(&whole.head, &pieces.head);
    if (whole.head.minor <= 1)
        rewrite(&whole, arena);
    if (rem_uri_normalize(whole.uri.path, true, arena, &path) == REM_OK)
        REM_CHECK(path.n != 0 && path.p[0] == '/' && memchr(path.p, '\0', path.n) == NULL);
}

static void fuzz_response(const uint8_t *data, size_t size, size_t cut, struct rem_arena *arena)
{
    struct rem_h1_response whole, pieces;
    int rc, other;

    rem_h1_response_init(&whole, &limits, arena);
    rem_h1_response_init(&pieces, &limits, arena);
    rc = parse(NULL, &whole, data, size, 0);
    other = parse(NULL, &pieces, data, size, cut);
    if (other == REM_ECLOSED)
        return;
    REM_CHECK(rc == other);
    if (rc == REM_OK)
        check_same(&whole.head, &pieces.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_arena arena;
    size_t cut;

    if (size < 3)
        return 0;
    rem_arena_init(&arena, NULL);
    cut = (size_t)data[1] * (size - 2) / 256;
    if (data[0] & 1)
        fuzz_request(data + 2, size - 2, cut, &arena);
    else
        fuzz_response(data + 2, size - 2, cut, &arena);
    rem_arena_reset(&arena);
    return 0;
}
