/* SPDX-License-Identifier: Apache-2.0 */
/* journal.h - what has happened lately: revisions with their differences, and other events.
 *
 * Runs in:    the master creates (or, after a binary upgrade, attaches) it before it forks; the
 *             agent alone appends and reads.
 * Lifecycle:  create or attach -> recover (each new agent) -> append, prepare/commit -> close.
 * Bounds:     two rings, one of revisions and one of all else, so that a storm of events leaves
 *             the history alone.  What is new pushes out what is oldest; pages that hold nothing
 *             go back to the system.
 * Crash:      a record counts once the ring's end lies behind it, so that an agent killed at any
 *             instruction leaves whole records only.  The record of a revision is prepared before
 *             the publish; recover decides by the published revision whether it counts.
 * Identity:   sequence numbers grow from record to record, and from one start of the instance to
 *             the next, as the first is made from the wall clock.  They fit into 53 bits.  */
#ifndef REM_SHM_JOURNAL_H
#define REM_SHM_JOURNAL_H

#include "proto/base/err.h"
#include "proto/base/sbuf.h"

#include <stdint.h>

enum rem_journal_kind {
    REM_JOURNAL_PADDING = 0, /* never seen outside */
    REM_JOURNAL_REVISION,    /* a change was published */
    REM_JOURNAL_HEALTH,      /* a server's health check changed its mind */
    REM_JOURNAL_EJECT,       /* outlier detection took a server out, or let it in again */
    REM_JOURNAL_RESPAWN,     /* a worker or agent was replaced */
    REM_JOURNAL_RELOAD,      /* a configuration was read anew, or was refused */
    REM_JOURNAL_DRAIN,       /* the instance is being drained */
    REM_JOURNAL_KINDS,
};

enum {
    REM_JOURNAL_CHANGES_SIZE = 2 << 20,
    REM_JOURNAL_OTHERS_SIZE = 256 << 10,
    REM_JOURNAL_BODY_MAX = 512 << 10, /* as stored, that is, deflated */
    REM_JOURNAL_DEFLATE_MIN = 4096,   /* smaller bodies are stored as they are */
    REM_JOURNAL_RAW_MAX = 4 << 20,    /* before that */
    REM_JOURNAL_HISTORY = 100,        /* revisions shown, unless told otherwise */
    REM_JOURNAL_CHANGES = 1000,       /* revisions kept at least, for readers of events */
    REM_JOURNAL_OTHERS = 1000,        /* other records kept */
    REM_JOURNAL_RINGS = 2,
};

/* Numbers that the agent keeps for the next agent. */
enum rem_journal_mark {
    REM_JOURNAL_MARK_AGENT_RESPAWNS = 0, /* as many have been told */
    REM_JOURNAL_MARK_START,              /* the revision that found nothing before it */
    REM_JOURNAL_MARKS,
};

struct rem_journal_map;

struct rem_journal {
    struct rem_journal_map *map; /* NULL: closed */
    int fd;                      /* memfd, close-on-exec */
    uint32_t limits[REM_JOURNAL_RINGS];
    uint32_t counts[REM_JOURNAL_RINGS]; /* as of recover; the process's own */
};

struct rem_journal_record {
    enum rem_journal_kind kind;
    uint64_t sequence; /* given by append */
    uint64_t revision; /* published with it, or at the time */
    int64_t wall_ms;
    uint32_t head;       /* body[0, head) is its first part; the writer's business */
    struct rem_str body; /* as stored; borrowed from the journal until the next append */
    uint32_t raw;        /* size of the body once inflated */
    bool deflated;
};

/* A place between two records.  Zeroes: before the oldest. */
struct rem_journal_cursor {
    uint64_t at[REM_JOURNAL_RINGS];
};

/* Errors: REM_EIO (errno). */
int rem_journal_create(struct rem_journal *journal, int64_t wall_sec) REM_MUST_CHECK;

/* Maps a journal that another binary made; takes `fd` on success.
 * Errors: REM_EINVAL (not a journal), REM_EIO. */
int rem_journal_attach(struct rem_journal *journal, int fd) REM_MUST_CHECK;
void rem_journal_close(struct rem_journal *journal);

/* To be called by each new agent, with the revision that is published: finishes what the one before
 * it left half done.  `history` revisions are kept, if the space suffices. */
void rem_journal_recover(struct rem_journal *journal, uint64_t revision, uint32_t history);

/* Adds a record; sets record->sequence.  `body` (raw) is deflated when it is large.
 * Errors: REM_ETOOBIG, REM_ENOMEM. */
int rem_journal_append(struct rem_journal *journal, struct rem_journal_record *record,
                       struct rem_str body) REM_MUST_CHECK;

/* The same in two steps: the record counts only after commit.  Preparing again, or appending a
 * revision, drops what was prepared. */
int rem_journal_prepare(struct rem_journal *journal, struct rem_journal_record *record,
                        struct rem_str body) REM_MUST_CHECK;
void rem_journal_commit(struct rem_journal *journal);
void rem_journal_cancel(struct rem_journal *journal);

uint64_t rem_journal_mark(const struct rem_journal *journal, enum rem_journal_mark mark);
void rem_journal_set_mark(struct rem_journal *journal, enum rem_journal_mark mark, uint64_t value);

/* The sequence number of the latest record; the one before the first if there is none. */
uint64_t rem_journal_sequence(const struct rem_journal *journal);

/* Sets the cursor behind the record with this number.  Returns: false if a record with a higher
 * number is gone already, or the number is none of this journal's; the cursor then stands behind
 * everything. */
bool rem_journal_seek(const struct rem_journal *journal, uint64_t sequence,
                      struct rem_journal_cursor *out);

/* Sets the cursor behind the latest record. */
void rem_journal_seek_end(const struct rem_journal *journal, struct rem_journal_cursor *out);

/* The record behind the cursor, in the order of their numbers, and moves the cursor behind it.
 * Returns: REM_OK; REM_EAGAIN (there is none yet); REM_EFULL: the journal has overtaken the
 * cursor. */
int rem_journal_next(const struct rem_journal *journal, struct rem_journal_cursor *cursor,
                     struct rem_journal_record *out) REM_MUST_CHECK;

/* The record of a revision.  Errors: REM_ENOTFOUND. */
int rem_journal_revision(const struct rem_journal *journal, uint64_t revision,
                         struct rem_journal_record *out) REM_MUST_CHECK;

/* Appends the raw body to `out`.  Errors: REM_EPROTO (damaged), REM_ENOMEM. */
int rem_journal_body(const struct rem_journal_record *record, struct rem_sbuf *out) REM_MUST_CHECK;

/* The same with its first part alone, body[0, head), which costs no more than that is long. */
int rem_journal_head(const struct rem_journal_record *record, struct rem_sbuf *out) REM_MUST_CHECK;

#endif
