/* SPDX-License-Identifier: Apache-2.0 */
/* corpus_test.c - what parser, target and chunk decoder decide about the attack corpus.
 *
 * The wire layer alone must meet each case's `expect` or `also_ok`, except those listed in
 * `elsewhere`, which are about what a server forwards or answers: for these it must come to the
 * listed verdict, and end-to-end tests do the rest.  */
#include "proto/base/err.h"
#include "proto/wire/chunk.h"
#include "proto/wire/h1.h"

#include "tests/unit/suite.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum verdict {
    REJECT = 0,
    ACCEPT,     /* as it is */
    NORMALIZE,  /* something was dropped or will be written differently */
    INCOMPLETE, /* the input ends too early */
};

static const char *const verdict_names[] = {"reject", "accept", "normalize", "incomplete"};

static const struct {
    const char *id;
    enum verdict verdict;
    const char *why;
} elsewhere[] = {
    {"pp-bad2", REJECT, "the first request is answered, the second refused"},
    {"fl-hop-list", ACCEPT, "fields are flagged; leaving them out is the proxy's work"},
    {"fl-hop-cl", ACCEPT, "Content-Length stays although Connection names it"},
    {"up-h2c", ACCEPT, "Upgrade and HTTP2-Settings are flagged, no upgrade is offered"},
    {"ex-10", ACCEPT, "Expect is overlooked"},
    {"rl-v-19", ACCEPT, "the proxy sends its own version"},
    {"rs-cut", INCOMPLETE, "the relay sees the end of input"},
    {"rs-cutck", INCOMPLETE, "the relay sees the end of input"},
    {"ck-trunc", INCOMPLETE, "the server sees the end of input"},
};

static char *raw_of(json_t *entry, size_t *n)
{
    const char *text = json_string_value(json_object_get(entry, "raw"));
    size_t size = json_string_length(json_object_get(entry, "raw"));
    char *raw = malloc(size + 1);
    size_t out = 0;

    /* Each character is one byte; those above 0x7f come as two bytes of UTF-8. */
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x80) {
            ck_assert_uint_lt(i + 1, size);
            ck_assert_int_eq(c & 0xfc, 0xc0);
            c = (unsigned char)((c & 3) << 6 | (text[++i] & 0x3f));
        }
        raw[out++] = (char)c;
    }
    *n = out;
    return raw;
}

/* Reads a body.  Returns: its verdict; *at is moved behind it. */
static enum verdict read_body(const struct rem_h1_head *head, const char *raw, size_t n, size_t *at,
                              struct rem_arena *arena)
{
    struct rem_chunk_decoder d;
    struct rem_str data;
    size_t used;
    int rc;

    if (head->framing == REM_FRAMING_UNTIL_CLOSE)
        *at = n;
    if (head->framing == REM_FRAMING_LENGTH) {
        if (n - *at < head->content_length)
            return INCOMPLETE;
        *at += head->content_length;
    }
    if (head->framing != REM_FRAMING_CHUNKED)
        return ACCEPT;
    rem_chunk_decoder_init(&d, &rem_h1_limits_default, arena);
    do {
        rc = rem_chunk_decode(&d, raw + *at, n - *at, &used, &data);
        *at += used;
    } while (rc == REM_OK && data.n != 0);
    if (rc == REM_EAGAIN)
        return INCOMPLETE;
    /* Chunks are always written anew. */
    return rc == REM_OK ? NORMALIZE : REJECT;
}

static enum verdict judge_request(const char *raw, size_t n, struct rem_arena *arena, size_t *at)
{
    struct rem_h1_request req;
    struct rem_str path = {0};
    enum verdict body;
    bool changed;
    int rc;

    rem_h1_request_init(&req, &rem_h1_limits_default, arena);
    rc = rem_h1_request_parse(&req, raw + *at, n - *at);
    if (rc != REM_OK)
        return rc == REM_EAGAIN ? INCOMPLETE : REJECT;
    *at += req.head.head_size;
    if (req.uri.form != REM_TARGET_ASTERISK &&
        rem_uri_normalize(req.uri.path, true, arena, &path) != REM_OK)
        return REJECT;
    changed = req.head.dropped != 0 || req.uri.form == REM_TARGET_ABSOLUTE ||
              req.uri.has_fragment || path.p != req.uri.path.p || req.host.has_upper ||
              req.head.flags & REM_H1_LF_ONLY || req.head.flags & REM_H1_HAS_LENGTH;
    body = read_body(&req.head, raw, n, at, arena);
    return body == ACCEPT && changed ? NORMALIZE : body;
}

static enum verdict judge_response(const char *raw, size_t n, struct rem_arena *arena, size_t *at)
{
    struct rem_h1_response resp;
    int rc;

    rem_h1_response_init(&resp, &rem_h1_limits_default, arena);
    rc = rem_h1_response_parse(&resp, REM_H1_ASKED_OTHER, raw, n);
    if (rc != REM_OK)
        return rc == REM_EAGAIN ? INCOMPLETE : REJECT;
    *at = resp.head.head_size;
    return read_body(&resp.head, raw, n, at, arena);
}

/* The worst verdict on all messages of an entry; responses have one, what follows is dropped. */
static enum verdict judge(json_t *entry)
{
    bool response = strcmp(json_string_value(json_object_get(entry, "proto")), "resp") == 0;
    struct rem_arena arena;
    enum verdict verdict;
    size_t n, at = 0;
    char *raw = raw_of(entry, &n);

    rem_arena_init(&arena, NULL);
    if (response) {
        verdict = judge_response(raw, n, &arena, &at);
    } else {
        do {
            verdict = judge_request(raw, n, &arena, &at);
        } while ((verdict == ACCEPT || verdict == NORMALIZE) && at < n);
    }
    rem_arena_reset(&arena);
    free(raw);
    return verdict;
}

/* Accepting where the file says normalize (or the reverse) is a matter of what is written: a
 * request is always written anew here. */
static bool is_allowed(json_t *entry, enum verdict verdict)
{
    const char *expect = json_string_value(json_object_get(entry, "expect"));
    json_t *also = json_object_get(entry, "also_ok");
    json_t *item;
    size_t i;
    bool passes = verdict == ACCEPT || verdict == NORMALIZE;

    if (verdict == INCOMPLETE)
        return false;
    if ((strcmp(expect, "reject") == 0) != passes)
        return true;
    json_array_foreach(also, i, item) if ((strcmp(json_string_value(item), "reject") == 0) !=
                                          passes) return true;
    return false;
}

static json_t *load(void)
{
    char path[4096];
    char *slash;
    json_error_t error;
    json_t *corpus;

    snprintf(path, sizeof(path), "%s", __FILE__);
    slash = strstr(path, "unit/proto/wire/");
    ck_assert_ptr_nonnull(slash);
    snprintf(slash, sizeof(path) - (size_t)(slash - path), "data/smuggling.json");
    corpus = json_load_file(path, JSON_ALLOW_NUL, &error);
    ck_assert_msg(corpus != NULL, "%s: %s", path, error.text);
    return corpus;
}

/* Returns: whether the case was of ours. */
static bool check_case(json_t *entry, unsigned *deferred)
{
    const char *id = json_string_value(json_object_get(entry, "id"));
    const char *proto = json_string_value(json_object_get(entry, "proto"));
    enum verdict verdict;

    if (strcmp(proto, "h1") != 0 && strcmp(proto, "resp") != 0)
        return false;
    verdict = judge(entry);
    for (size_t i = 0; i < REM_COUNT(elsewhere); i++)
        if (strcmp(elsewhere[i].id, id) == 0) {
            (*deferred)++;
            printf("%s: %s here; %s\n", id, verdict_names[verdict], elsewhere[i].why);
            if (verdict == NORMALIZE)
                verdict = ACCEPT;
            ck_assert_msg(verdict == elsewhere[i].verdict, "%s: %s", id, verdict_names[verdict]);
            return true;
        }
    ck_assert_msg(is_allowed(entry, verdict), "%s (%s): %s", id,
                  json_string_value(json_object_get(entry, "name")), verdict_names[verdict]);
    return true;
}

START_TEST(corpus)
{
    json_t *all = load();
    json_t *entry;
    size_t i;
    unsigned count = 0;
    unsigned deferred = 0;

    json_array_foreach(all, i, entry) count += check_case(entry, &deferred);
    printf("%u cases, %u of them only in part decided by the wire layer\n", count, deferred);
    ck_assert_uint_gt(count, 120);
    ck_assert_uint_eq(deferred, REM_COUNT(elsewhere));
    json_decref(all);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, corpus);
    return run_suite("corpus", tc);
}
