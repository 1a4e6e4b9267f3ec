/* SPDX-License-Identifier: Apache-2.0 */
/* chunk_fuzz.c - chunked bodies: read whole and in pieces, they give the same data and end. */
#include "proto/base/err.h"
#include "proto/base/sbuf.h"
#include "proto/wire/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct rem_h1_limits limits = {
    .max_line = 100,
    .max_head = 300,
    .max_fields = 10,
    .ignore_invalid = true,
};

struct outcome {
    struct rem_sbuf body;
    size_t used;
    uint32_t trailers;
    int rc;
};

/* `step` bytes at a time. */
static void decode(const char *in, size_t n, size_t step, struct outcome *out)
{
    struct rem_chunk_decoder d;
    struct rem_arena arena;

    *out = (struct outcome){.rc = REM_EAGAIN};
    rem_sbuf_init(&out->body);
    rem_arena_init(&arena, NULL);
    rem_chunk_decoder_init(&d, &limits, &arena);
    while (out->used < n && out->rc == REM_EAGAIN) {
        size_t end = n - out->used < step ? n : out->used + step;
        struct rem_str run;
        size_t used;

        do {
            out->rc = rem_chunk_decode(&d, in + out->used, end - out->used, &used, &run);
            REM_CHECK(used <= end - out->used && run.n <= used);
            rem_sbuf_add(&out->body, run);
            out->used += used;
        } while (out->rc == REM_OK && run.n != 0);
    }
    out->trailers = d.trailers.fields.n;
    rem_arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;

    if (size < 2)
        return 0;
    decode((const char *)data + 1, size - 1, size, &whole);
    decode((const char *)data + 1, size - 1, 1 + data[0] % 16, &pieces);
    REM_CHECK(whole.rc == pieces.rc);
    REM_CHECK(rem_str_eq(rem_sbuf_str(&whole.body), rem_sbuf_str(&pieces.body)));
    if (whole.rc == REM_OK)
        REM_CHECK(whole.used == pieces.used && whole.trailers == pieces.trailers);
    rem_sbuf_fini(&whole.body);
    rem_sbuf_fini(&pieces.body);
    return 0;
}
