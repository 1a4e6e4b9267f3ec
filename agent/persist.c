/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/persist.h"

#include "agent/persist_thread.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

enum { HOLD_PART = 8, HOLD_MAX_US = 1000 };

static struct rem_persist_file *file_at(struct rem_list *node)
{
    return REM_LIST_ENTRY(node, struct rem_persist_file, node);
}

static struct rem_save *save_at(struct rem_list *node)
{
    return REM_LIST_ENTRY(node, struct rem_save, node);
}

void rem_persist_init(struct rem_persist *persist, const struct rem_log *log)
{
    *persist = (struct rem_persist){
        .calls = &rem_persist_system, .log = log, .retry_ms = REM_PERSIST_RETRY_MS};
    rem_list_init(&persist->files);
    rem_list_init(&persist->saves);
}

void rem_persist_add(struct rem_persist *persist, struct rem_persist_file *file)
{
    rem_sbuf_init(&file->text);
    rem_list_append(&persist->files, &file->node);
    persist->file_count++;
}

/* ---- what a publish is about ---- */

void rem_persist_note(struct rem_persist *persist, struct rem_persist_file *file)
{
    (void)persist;
    file->noted = true;
}

int rem_persist_prepare(struct rem_persist *persist, struct rem_save *save)
{
    size_t n = 0;

    *save = (struct rem_save){0};
    rem_list_init(&save->node);
    REM_LIST_EACH(node, &persist->files)
        n += file_at(node)->noted;
    if (n == 0)
        return REM_OK;
    save->files = malloc(n * sizeof(struct rem_persist_file *));
    if (save->files == NULL)
        return REM_ENOMEM;
    REM_LIST_EACH(at, &persist->files) {
        struct rem_persist_file *file = file_at(at);
        if (file->noted)
            save->files[save->file_count++] = file;
        file->noted = false;
    }
    return REM_OK;
}

void rem_persist_want(struct rem_persist *persist, struct rem_persist_file *file)
{
    file->wanted = true;
    persist->wanted = true;
}

void rem_persist_queue(struct rem_persist *persist, struct rem_save *save)
{
    persist->wanted = persist->wanted || persist->failed;
    if (!rem_persist_needed(save))
        return;
    for (size_t i = 0; i < save->file_count; i++)
        rem_persist_want(persist, save->files[i]);
    save->batch = persist->batch + 1;
    persist->waiting += save->calls;
    rem_list_append(&persist->saves, &save->node);
}

void rem_persist_cancel(struct rem_save *save)
{
    free(save->files);
    *save = (struct rem_save){0};
    rem_list_init(&save->node);
}

/* ---- a batch ---- */

static void complain(const struct rem_persist *persist, const struct rem_persist_file *file,
                     const char *step, int error)
{
    REM_LOG(persist->log, REM_LOG_ERROR, error, "cannot %s state file \"%s\": %.*s are not saved",
            step, file->path, REM_STR_ARG(file->subject));
}

static void file_failed(struct rem_persist *persist, struct rem_persist_file *file)
{
    file->failed = true;
    file->failed_batch = persist->batch;
    persist->failed = true;
}

/* Makes the file's text and puts it into the batch, unless that is what the file holds. */
static void add_file(struct rem_persist *persist, struct rem_persist_file *file)
{
    int rc;

    file->wanted = false;
    rem_sbuf_clear(&file->text);
    rc = file->make(file->data, &file->text);
    if (rc == REM_OK && file->text.failed)
        rc = REM_ENOMEM;
    if (rc != REM_OK) {
        rem_sbuf_fini(&file->text);
        rem_sbuf_init(&file->text);
        complain(persist, file, "make", rc == REM_ENOMEM ? ENOMEM : 0);
        file_failed(persist, file);
        return;
    }
    file->text_hash = rem_hash(file->text.p, file->text.n);
    if (file->known && !file->failed && file->hash == file->text_hash)
        return;
    persist->written[persist->write_count] = file;
    persist->writes[persist->write_count++] = (struct rem_persist_write){
        .path = file->path, .text = rem_sbuf_str(&file->text), .aside = file->aside};
}

/* What became of a file of the batch that is over. */
static void finish_file(struct rem_persist *persist, struct rem_persist_file *file,
                        const struct rem_persist_write *write)
{
    if (write->error == 0) {
        file->hash = file->text_hash;
        file->known = true;
        file->aside = false;
        file->failed = false;
        return;
    }
    complain(persist, file, write->step, write->error);
    file->known = false;
    file_failed(persist, file);
}

/* Answers those that have waited for the batch; returns how many calls. */
static size_t answer(struct rem_persist *persist)
{
    size_t calls = 0;

    while (!rem_list_empty(&persist->saves)) {
        struct rem_save *save = save_at(persist->saves.next);
        int rc = REM_OK;

        if (save->batch > persist->batch)
            break;
        calls += save->calls;
        for (size_t i = 0; i < save->file_count; i++)
            if (save->files[i]->failed_batch == save->batch)
                rc = REM_EIO;
        rem_list_remove(&save->node);
        free(save->files);
        save->files = NULL;
        persist->on_saved(persist->data, save, rc);
    }
    return calls;
}

/* ---- holding the next batch back ---- */

static uint64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* A batch is over that was for `calls`, while others wait already. */
static void hold(struct rem_persist *persist, size_t calls)
{
    uint64_t now = now_us(), part = (now - persist->began_us) / HOLD_PART;

    persist->hold_until_us = 0;
    if (calls == 0 || persist->waiting == 0)
        return;
    persist->expected = persist->waiting + calls;
    persist->hold_until_us = now + (part < HOLD_MAX_US ? part : HOLD_MAX_US);
}

static void on_hold(evutil_socket_t fd, short what, void *data)
{
    (void)fd;
    (void)what;
    (void)data; /* the turn's end does it */
}

/* Is the next batch to wait for more?  The turn's end comes again in time. */
static bool is_held(struct rem_persist *persist)
{
    uint64_t now;

    if (persist->hold_until_us == 0 || persist->base == NULL)
        return false;
    now = now_us();
    if (now >= persist->hold_until_us || persist->waiting >= persist->expected)
        return false;
    if (persist->hold == NULL)
        persist->hold = evtimer_new(persist->base, on_hold, persist);
    const struct timeval tv = {0, (suseconds_t)(persist->hold_until_us - now)};
    return persist->hold != NULL && evtimer_add(persist->hold, &tv) == 0;
}

/* ---- trying again ---- */

static void on_retry(evutil_socket_t fd, short what, void *data)
{
    struct rem_persist *persist = data;

    (void)fd;
    (void)what;
    persist->wanted = persist->wanted || persist->failed; /* the turn's end does it */
}

/* Where there is no memory for a timer, the next change tries. */
static void retry_later(struct rem_persist *persist)
{
    const struct timeval tv = {persist->retry_ms / 1000,
                               (suseconds_t)(persist->retry_ms % 1000) * 1000};

    if (!persist->failed || persist->base == NULL)
        return;
    if (persist->retry == NULL)
        persist->retry = evtimer_new(persist->base, on_retry, persist);
    if (persist->retry != NULL)
        (void)evtimer_add(persist->retry, &tv);
}

void rem_persist_finish(struct rem_persist *persist)
{
    for (size_t i = 0; i < persist->write_count; i++)
        finish_file(persist, persist->written[i], &persist->writes[i]);
    free(persist->writes);
    free(persist->written);
    persist->writes = NULL;
    persist->written = NULL;
    persist->write_count = 0;
    persist->busy = false;
    retry_later(persist);
    hold(persist, answer(persist));
}

/* Room for a batch of all files; without it, everything that is wanted fails. */
static bool reserve(struct rem_persist *persist)
{
    persist->writes = calloc(persist->file_count + 1, sizeof(*persist->writes));
    persist->written = calloc(persist->file_count + 1, sizeof(struct rem_persist_file *));
    return persist->writes != NULL && persist->written != NULL;
}

void rem_persist_run(struct rem_persist *persist)
{
    bool room;

    if (!persist->wanted || persist->busy || is_held(persist))
        return;
    persist->hold_until_us = 0;
    persist->waiting = 0;
    persist->began_us = now_us();
    persist->wanted = false;
    persist->failed = false;
    persist->busy = true;
    persist->batch++;
    room = reserve(persist);
    REM_LIST_EACH(node, &persist->files) {
        struct rem_persist_file *file = file_at(node);
        if (!file->wanted && !file->failed)
            continue;
        if (room)
            add_file(persist, file);
        else
            file_failed(persist, file);
    }
    if (persist->write_count == 0 || !rem_persist_thread_write(persist)) {
        rem_persist_write_all(persist->calls, persist->writes, persist->write_count);
        rem_persist_finish(persist);
    }
}

void rem_persist_drain(struct rem_persist *persist)
{
    if (persist->busy) {
        rem_persist_thread_wait(persist);
        rem_persist_finish(persist);
    }
    rem_persist_thread_stop(persist);
    persist->base = NULL; /* from here on at once */
    rem_persist_run(persist);
}

void rem_persist_stop(struct rem_persist *persist)
{
    rem_persist_thread_stop(persist);
    if (persist->hold != NULL)
        event_free(persist->hold);
    if (persist->retry != NULL)
        event_free(persist->retry);
    persist->hold = persist->retry = NULL;
    free(persist->writes);
    free(persist->written);
    persist->writes = NULL;
    persist->written = NULL;
    REM_LIST_EACH(node, &persist->files) {
        rem_sbuf_fini(&file_at(node)->text);
        rem_sbuf_init(&file_at(node)->text);
    }
    rem_list_init(&persist->files);
}
