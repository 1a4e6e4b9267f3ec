/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keyval_state.h"

#include "api/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rem_keyval_job {
    const struct rem_keyval_states *owner;
    const struct rem_keyval_spec *spec;
    struct rem_persist_file file;
    char subject[REM_TABLE_NAME_MAX + 32];
};

static uint64_t wall_ms(const struct rem_keyval_states *states)
{
    return (uint64_t)states->clock->wall_sec * 1000 + states->clock->wall_msec;
}

/* ---- text ---- */

static bool lives(const struct rem_keyval_entry *entry, uint64_t now)
{
    return entry->expires_ms == 0 || entry->expires_ms > now;
}

/* Appends "key":value for each living entry: its value, or when it goes if it does. */
static void put_members(struct rem_str bytes, uint64_t now, bool expires, struct rem_sbuf *out)
{
    const char *between = "\n";

    for (size_t i = 0; i < rem_keyval_count(bytes); i++) {
        struct rem_keyval_entry entry;

        rem_keyval_at(bytes, i, &entry);
        if (!lives(&entry, now) || (expires && entry.expires_ms == 0))
            continue;
        rem_sbuf_adds(out, between);
        rem_json_put(out, entry.key);
        rem_sbuf_addc(out, ':');
        if (expires)
            rem_json_put_number(out, entry.expires_ms);
        else
            rem_json_put(out, entry.value);
        between = ",\n";
    }
}

/* Made on the loop, so that it is written here rather than out of a tree. */
static int make_text(void *data, struct rem_sbuf *out)
{
    const struct rem_keyval_job *job = data;
    uint64_t now = wall_ms(job->owner);
    struct rem_table table;
    int rc = rem_writer_table(job->owner->writer, REM_TABLE_KEYVAL, job->spec->name, &table);

    if (rc != 0)
        return rc;
    if (!rem_keyval_valid(table.bytes, job->spec->type))
        return REM_EPROTO;
    rem_sbuf_adds(out, "{\"entries\":{");
    put_members(table.bytes, now, false, out);
    rem_sbuf_adds(out, "},\n\"expires\":{");
    put_members(table.bytes, now, true, out);
    rem_sbuf_adds(out, "}}\n");
    return out->failed ? REM_ENOMEM : 0;
}

/* ---- reading ---- */

/* Errors: REM_ENOTFOUND, REM_EIO with errno, REM_ENOMEM. */
static int read_file(const char *path, struct rem_sbuf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char chunk[16384];
    ssize_t n = 0;
    int error;

    if (fd < 0)
        return errno == ENOENT ? REM_ENOTFOUND : REM_EIO;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
        rem_sbuf_add(out, rem_str_make(chunk, n > 0 ? (size_t)n : 0));
    error = errno;
    (void)close(fd);
    errno = error;
    if (n < 0)
        return REM_EIO;
    if (out->failed)
        return REM_ENOMEM;
    return out->n != 0 ? 0 : REM_ENOTFOUND; /* made by hand, for its owner's sake */
}

/* The file's JSON.  Errors: those of read_file, REM_EPROTO (not such a file, `err` says why). */
static int load(const char *path, json_t **out, struct rem_err *err)
{
    struct rem_sbuf text;
    json_error_t error;
    json_t *zone = NULL;
    int rc;

    rem_sbuf_init(&text);
    rc = read_file(path, &text);
    if (rc == REM_EIO)
        (void)rem_err_set(err, rc, "%s", strerror(errno));
    if (rc == 0) {
        zone = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
        if (zone == NULL)
            rc = rem_err_set(err, REM_EPROTO, "line %d: %s", error.line, error.text);
        else if (!json_is_object(json_object_get(zone, "entries")) ||
                 !json_is_object(json_object_get(zone, "expires")))
            rc = rem_err_set(err, REM_EPROTO, "there are no \"entries\" and \"expires\" in it");
    }
    rem_sbuf_fini(&text);
    if (rc != 0) {
        json_decref(zone);
        zone = NULL;
    }
    *out = zone;
    return rc;
}

/* What is in the file and can be in a zone of the type; dead entries are left out. */
static int fill(const struct rem_keyval_states *states, struct rem_keyval_edit *edit, json_t *zone,
                size_t *skipped)
{
    const json_t *expires = json_object_get(zone, "expires");
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(zone, "entries"), key, value)
    {
        struct rem_keyval_entry entry = {.key = rem_str_from(key)};
        json_int_t ms = json_integer_value(json_object_get(expires, key));
        int rc = json_is_string(value) && ms >= 0 ? 0 : REM_EINVAL;

        entry.value = rem_json_str(value);
        entry.expires_ms = (uint64_t)ms;
        if (rc == 0 && ms != 0 && entry.expires_ms <= wall_ms(states))
            continue;
        if (rc == 0)
            rc = rem_keyval_edit_put(edit, &entry);
        if (rc == REM_ENOMEM)
            return rc;
        *skipped += rc != 0;
    }
    return 0;
}

static void tell_broken(const struct rem_keyval_states *states, const struct rem_keyval_spec *spec,
                        const struct rem_err *err)
{
    REM_LOG(states->log, REM_LOG_ERROR, 0,
            "state file \"%s\" of keyval zone \"%.*s\" is broken: %s; it is kept as \"%s.broken\" "
            "when it is written again",
            spec->state.p, REM_STR_ARG(spec->name), err->text, spec->state.p);
}

/* The zone that the JSON tells of.  *out is the caller's (free).  Errors: REM_ENOMEM, REM_EFULL. */
static int build(const struct rem_keyval_states *states, const struct rem_keyval_spec *spec,
                 json_t *zone, struct rem_str *out)
{
    struct rem_keyval_edit edit;
    size_t skipped = 0;
    int rc = rem_keyval_edit_init(&edit, spec->type, REM_STR(""), 0);

    if (rc == 0)
        rc = fill(states, &edit, zone, &skipped);
    if (rc == 0)
        rc = rem_keyval_edit_build(&edit, out);
    rem_keyval_edit_fini(&edit);
    if (rc == 0 && skipped != 0)
        REM_LOG(states->log, REM_LOG_ERROR, 0,
                "%zu entries of the state file \"%s\" cannot be in keyval zone \"%.*s\"", skipped,
                spec->state.p, REM_STR_ARG(spec->name));
    return rc;
}

/* The zone that a file tells of, as a table's bytes in `arena`; `out` stays as it is when there is
 * nothing to be had: what is wrong with a file is told when its job starts.  Errors: REM_ENOMEM. */
static int zone_from_file(const struct rem_keyval_states *states,
                          const struct rem_keyval_spec *spec, struct rem_arena *arena,
                          struct rem_str *out)
{
    struct rem_str bytes;
    struct rem_err err;
    json_t *zone;
    char *copy;
    int rc = load(spec->state.p, &zone, &err);

    if (rc != 0)
        return rc == REM_ENOMEM ? rc : 0;
    rc = build(states, spec, zone, &bytes);
    json_decref(zone);
    if (rc != 0)
        return rc == REM_ENOMEM ? rc : 0;
    copy = rem_arena_alloc(arena, bytes.n);
    if (copy != NULL) {
        memcpy(copy, bytes.p, bytes.n);
        *out = rem_str_make(copy, bytes.n);
    }
    free((void *)(uintptr_t)bytes.p);
    return copy != NULL ? 0 : REM_ENOMEM;
}

/* Does the registry have the zone already, and of this type? */
static bool is_known(const struct rem_writer *writer, const struct rem_keyval_spec *spec)
{
    struct rem_table table;

    return rem_writer_table(writer, REM_TABLE_KEYVAL, spec->name, &table) == 0 &&
           table.config_hash == rem_keyval_config_hash(spec);
}

int rem_keyval_states_inherit(const struct rem_keyval_states *states, struct rem_arena *arena,
                              const struct rem_keyval_spec *specs, size_t spec_count,
                              const struct rem_table_spec *tables, size_t table_count,
                              const struct rem_table_spec **out)
{
    struct rem_table_spec *copy = rem_arena_alloc(arena, (table_count + 1) * sizeof(*copy));

    if (copy == NULL)
        return REM_ENOMEM;
    if (table_count != 0)
        memcpy(copy, tables, table_count * sizeof(*copy));
    for (size_t i = 0; i < spec_count; i++) {
        if (specs[i].state.n == 0 || is_known(states->writer, &specs[i]))
            continue;
        for (size_t k = 0; k < table_count; k++) {
            int rc = 0;
            if (copy[k].kind == REM_TABLE_KEYVAL && rem_str_eq(copy[k].name, specs[i].name))
                rc = zone_from_file(states, &specs[i], arena, &copy[k].bytes);
            if (rc != 0)
                return rc;
        }
    }
    *out = copy;
    return 0;
}

/* ---- beginning and end ---- */

/* Looks at the file that is there: whether it says what the registry does, and, if it does not,
 * whether it is one that may be lost: another agent wrote it before it was killed. */
static void look_at_file(const struct rem_keyval_states *states, struct rem_keyval_job *job)
{
    struct rem_sbuf there, ours;
    struct rem_err err;
    json_t *zone;
    int rc;

    rem_sbuf_init(&there);
    rem_sbuf_init(&ours);
    rc = read_file(job->spec->state.p, &there);
    if (rc == 0) {
        job->file.known = true;
        job->file.hash = rem_hash(there.p, there.n);
        if (make_text(job, &ours) == 0 && rem_str_eq(rem_sbuf_str(&there), rem_sbuf_str(&ours)))
            rc = REM_ENOTFOUND; /* nothing to be found out about it */
    }
    if (rc == 0 || rc == REM_EIO) {
        rc = load(job->spec->state.p, &zone, &err);
        json_decref(zone);
        job->file.aside = rc == REM_EPROTO || rc == REM_EIO;
        if (job->file.aside)
            tell_broken(states, job->spec, &err);
    }
    rem_sbuf_fini(&there);
    rem_sbuf_fini(&ours);
}

static void start_job(struct rem_keyval_states *states, const struct rem_keyval_spec *spec)
{
    struct rem_keyval_job *job = &states->jobs[states->job_count++];
    int n;

    *job = (struct rem_keyval_job){.owner = states, .spec = spec};
    n = snprintf(job->subject, sizeof(job->subject), "the entries of keyval zone \"%.*s\"",
                 REM_STR_ARG(spec->name));
    job->file = (struct rem_persist_file){.path = spec->state.p,
                                          .subject = rem_str_make(job->subject, (size_t)n),
                                          .make = make_text,
                                          .data = job};
    look_at_file(states, job);
    rem_persist_add(states->persist, &job->file);
    if (!job->file.aside) /* else it stays until the first change */
        rem_persist_want(states->persist, &job->file);
}

int rem_keyval_states_start(struct rem_keyval_states *states, const struct rem_keyval_spec *specs,
                            size_t count)
{
    states->jobs = calloc(count + 1, sizeof(*states->jobs));
    if (states->jobs == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (specs[i].state.n != 0)
            start_job(states, &specs[i]);
    return 0;
}

void rem_keyval_states_stop(struct rem_keyval_states *states)
{
    free(states->jobs);
    states->jobs = NULL;
    states->job_count = 0;
}

void rem_keyval_states_note(struct rem_keyval_states *states, const struct rem_change *change)
{
    struct rem_touched touched;
    size_t cursor = 0;

    if (change == NULL || states->job_count == 0)
        return;
    while (rem_change_next(change, &cursor, &touched)) {
        if (touched.kind != REM_TOUCHED_TABLE || touched.table_kind != REM_TABLE_KEYVAL)
            continue;
        for (size_t i = 0; i < states->job_count; i++)
            if (rem_str_eq(states->jobs[i].spec->name, touched.name))
                rem_persist_note(states->persist, &states->jobs[i].file);
    }
}
