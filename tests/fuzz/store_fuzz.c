/* SPDX-License-Identifier: Apache-2.0 */
/* store_fuzz.c - the files the agent reads at a start: DIR/state.json, those of keyval_zone,
 * tokens.
 *
 * Input:      a byte that says which, and the file.
 * Checked:    what was read of a state.json and written again reads as the same.  */
#include "agent/keyval_state.h"
#include "agent/store_read.h"
#include "proto/shm/admin_spec.h"
#include "tests/fuzz/memfile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file that says what was read, without its digest. */
static void write_saved(const struct rem_store_saved *saved, struct rem_sbuf *out)
{
    rem_sbuf_init(out);
    rem_sbuf_addf(out, "{\"remora_state\":1,\"revision\":%llu,\"reserved\":%llu,\"upstreams\":[",
                  (unsigned long long)saved->revision, (unsigned long long)saved->reserved);
    for (size_t i = 0; i < saved->upstream_count; i++) {
        rem_sbuf_adds(out, i != 0 ? "," : "");
        rem_store_text_upstream(&saved->upstreams[i], saved->changes[i], out);
    }
    rem_sbuf_adds(out, "],\"tables\":[");
    for (size_t i = 0; i < saved->table_count; i++) {
        rem_sbuf_adds(out, i != 0 ? "," : "");
        rem_store_text_table(&saved->tables[i], out);
    }
    rem_sbuf_adds(out, "],\"dropped\":[");
    for (size_t i = 0; i < saved->drop_count; i++) {
        rem_sbuf_adds(out, i != 0 ? "," : "");
        rem_store_text_drop(&saved->drops[i], out);
    }
    rem_sbuf_adds(out, "]}");
    REM_CHECK(!out->failed);
}

static void fuzz_store(struct rem_str text)
{
    struct rem_store_saved saved, again;
    struct rem_err err = {0};
    struct rem_arena arena;
    struct rem_sbuf one, two;

    rem_arena_init(&arena, NULL);
    if (rem_store_read(text, &arena, &saved, &err) == REM_OK) {
        write_saved(&saved, &one);
        REM_CHECK(rem_store_read(rem_sbuf_str(&one), &arena, &again, &err) == REM_OK);
        write_saved(&again, &two);
        REM_CHECK(rem_str_eq(rem_sbuf_str(&one), rem_sbuf_str(&two)));
        rem_sbuf_fini(&one);
        rem_sbuf_fini(&two);
    } else {
        REM_CHECK(err.text[0] != '\0');
    }
    rem_arena_reset(&arena);
}

static void fuzz_keyval(struct rem_str text, enum rem_keyval_type type)
{
    static int fd = -1;
    static struct rem_region region;
    static struct rem_clock clock;
    struct rem_keyval_spec spec = {.name = REM_STR("z"), .type = type, .size = 65536};
    struct rem_table_spec table = {.kind = REM_TABLE_KEYVAL, .name = REM_STR("z")};
    struct rem_keyval_states states = {.clock = &clock};
    const struct rem_table_spec *out;
    struct rem_keyval_edit edit;
    struct rem_arena arena;
    char path[MEMFILE_PATH];
    struct rem_log log = {.level = REM_LOG_STDERR};

    rem_clock_update(&clock);
    if (region.header == NULL)
        REM_CHECK(rem_region_create(&region, REM_REGION_MIN, 1) == REM_OK);
    REM_CHECK(rem_writer_new(&region, &states.writer, NULL) == REM_OK);
    REM_CHECK(rem_keyval_edit_init(&edit, type, REM_STR(""), 0) == REM_OK);
    REM_CHECK(rem_keyval_edit_build(&edit, &table.bytes) == REM_OK);
    rem_keyval_edit_fini(&edit);
    memfile_set(&fd, path, text.p, text.n);
    spec.state = rem_str_from(path);
    states.log = &log;
    rem_arena_init(&arena, NULL);
    REM_CHECK(rem_keyval_states_inherit(&states, &arena, &spec, 1, &table, 1, &out) == REM_OK);
    REM_CHECK(rem_keyval_valid(out[0].bytes, type));
    for (size_t i = 0; i < rem_keyval_count(out[0].bytes); i++) {
        struct rem_keyval_entry entry;

        rem_keyval_at(out[0].bytes, i, &entry);
        REM_CHECK(entry.key.p >= out[0].bytes.p);
        REM_CHECK(entry.value.p + entry.value.n <= out[0].bytes.p + out[0].bytes.n);
    }
    rem_arena_reset(&arena);
    free((void *)(uintptr_t)table.bytes.p);
    rem_writer_free(&states.writer);
}

static void fuzz_token(struct rem_str text)
{
    static int fd = -1;
    struct rem_admin_secret secret;
    struct rem_err err = {0};
    char path[MEMFILE_PATH];

    memfile_set(&fd, path, text.p, text.n);
    if (rem_admin_secret_read(path, &secret, &err) != REM_OK) {
        REM_CHECK(err.text[0] != '\0');
        return;
    }
    REM_CHECK(secret.n != 0 && secret.n <= sizeof(secret.text) && secret.n <= text.n);
    for (size_t i = 0; i < secret.n; i++)
        REM_CHECK((unsigned char)secret.text[i] > 0x20 && secret.text[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_str text = rem_str_make((const char *)data + 1, size - 1);

    if (size == 0)
        return 0;
    switch (data[0] % 5) {
    case 0:
        fuzz_token(text);
        break;
    case 1:
        fuzz_keyval(text, REM_KEYVAL_STRING);
        break;
    case 2:
        fuzz_keyval(text, REM_KEYVAL_IP);
        break;
    case 3:
        fuzz_keyval(text, REM_KEYVAL_PREFIX);
        break;
    default:
        fuzz_store(text);
    }
    return 0;
}
