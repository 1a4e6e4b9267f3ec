/* SPDX-License-Identifier: Apache-2.0 */
/* persist.h - keeps files that say what the registry says, and tells when they are safe.
 *
 * Runs in:    agent.  The texts are made on the loop, where the registry is; a thread writes and
 *             syncs them, so that the loop goes on.  It is the agent's only thread, it sees nothing
 *             but paths and bytes, and it is started by the first write.
 * Grouping:   one batch is under way at a time.  All that changes meanwhile, in however many turns,
 *             is the next batch, which is made when the thread is free again.  Clients that were
 *             just answered often have another change: when others wait already, the next batch
 *             holds back for an eighth of what the last one took, a millisecond at most, or until
 *             as many wait as there were.  A client that is alone never waits so.
 * Failure:    what could not be written is tried again with the next batch, and by a timer for as
 *             long as it fails.
 * Lifecycle:  init -> add files -> per publish: note (before), queue (after) -> run, at the end of
 *             the turn -> on_saved -> drain, stop.
 * Contract:   a save is answered with 0 when all that it noted is on the disk as it was published,
 *             or newer.  */
#ifndef REM_AGENT_PERSIST_H
#define REM_AGENT_PERSIST_H

#include "agent/persist_file.h"
#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/base/sbuf.h"

struct event;
struct event_base;
struct rem_persist_thread;

enum { REM_PERSIST_RETRY_MS = 10000 };

/* A file, owned by whoever knows what it shall say. */
struct rem_persist_file {
    const char *path;
    struct rem_str subject; /* of log lines: "cannot write ... PATH: SUBJECT are not saved" */
    /* The text as the registry is now.  Errors: any; the file is then not safe. */
    int (*make)(void *data, struct rem_sbuf *out);
    void *data;
    uint64_t hash; /* of what it holds, as far as we know */
    bool known;    /* `hash` means something */
    bool aside;    /* what is there could not be read, and nobody shall lose it */

    /* For persist.c. */
    struct rem_list node;
    struct rem_sbuf text; /* of the batch under way */
    uint64_t text_hash;
    uint64_t failed_batch; /* the last one that failed; 0: none */
    bool failed;           /* the last attempt did: tried again with whatever comes next */
    bool noted;            /* the change that is being published is about it */
    bool wanted;           /* in the next batch */
};

/* What waits for a batch. */
struct rem_save {
    struct rem_list node;
    uint64_t batch;
    size_t calls; /* that wait for it; for the grouping */
    size_t file_count;
    struct rem_persist_file **files; /* owned */
};

struct rem_persist {
    const struct rem_persist_calls *calls;
    const struct rem_log *log;
    struct event_base *base; /* NULL: everything is written at once, in run */
    /* A save is done: 0, or REM_EIO.  It is on no list any more and is the caller's to free. */
    void (*on_saved)(void *data, struct rem_save *save, int rc);
    void *data;
    struct rem_list files;
    struct rem_list saves; /* batches ascend */
    size_t file_count;
    uint64_t batch; /* the one under way, or else the last one */
    bool busy;
    bool wanted;                       /* there is to be a next batch */
    bool failed;                       /* some file did, in the last one */
    struct rem_persist_write *writes;  /* owned; of the batch under way */
    struct rem_persist_file **written; /* owned; whose they are */
    size_t write_count;
    struct rem_persist_thread *thread; /* NULL: not started */
    struct event *hold, *retry;        /* owned; NULL: not needed yet */
    uint32_t retry_ms;                 /* between two attempts at what failed */
    uint64_t began_us;                 /* the batch under way, monotonic */
    uint64_t hold_until_us;            /* 0: the next batch may begin */
    size_t waiting, expected; /* calls: for the next batch, and before it is held no more */
};

void rem_persist_init(struct rem_persist *persist, const struct rem_log *log);

/* `file` stays where it is until it is dropped, or the end. */
void rem_persist_add(struct rem_persist *persist, struct rem_persist_file *file);

/* The change that is about to be published is about this file. */
void rem_persist_note(struct rem_persist *persist, struct rem_persist_file *file);

/* Prepares a save of what was noted, before the publish.  Nothing noted: `save` needs no waiting
 * for, and rem_persist_needed says so.  Errors: REM_ENOMEM. */
int rem_persist_prepare(struct rem_persist *persist, struct rem_save *save) REM_MUST_CHECK;
static inline bool rem_persist_needed(const struct rem_save *save)
{
    return save->file_count != 0;
}

/* After the publish: has the save, if it is needed, wait for the next batch.  What could not be
 * written before is tried again in any case. */
void rem_persist_queue(struct rem_persist *persist, struct rem_save *save);

/* Instead: the publish failed, nothing is to be saved. */
void rem_persist_cancel(struct rem_save *save);

/* The file shall be written with the next batch, and nobody waits for it. */
void rem_persist_want(struct rem_persist *persist, struct rem_persist_file *file);

/* Begins the next batch, if there is one and the thread is free. */
void rem_persist_run(struct rem_persist *persist);

/* Is anything not on the disk yet, and still being tried? */
static inline bool rem_persist_busy(const struct rem_persist *persist)
{
    return persist->busy || persist->wanted;
}

/* Waits for the batch under way and writes the next one too, without the loop. */
void rem_persist_drain(struct rem_persist *persist);

/* Ends the thread.  Saves that wait are forgotten: freed by whoever owns them. */
void rem_persist_stop(struct rem_persist *persist);

#endif
