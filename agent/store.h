/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - `admin { state DIR; }`: all that was changed at run time in one file, DIR/state.json.
 *
 * Runs in:    agent.
 * Lifecycle:  merge (before the registry is reconciled) -> start -> per publish of API changes:
 *             note; the rest is done by persist.h -> close, stop.
 * The rule:   at a start, what was changed at run time is in effect again where the block in the
 *             configuration is the same as then (config_hash); where it is another one, the
 *             configuration is in effect, and what that drops is logged and kept to be shown.
 *             Upstreams made at run time stay, unless the configuration has come to name them.  In
 *             a region that lives (a reload, another agent) the registry itself keeps that rule;
 *             the file then only tells what a new configuration drops.
 * Revisions:  go on where they were.  The file reserves some beyond its own, as not every publish
 *             is saved; a start without a proper end before it begins behind these.
 * Not here:   upstreams with a state file of their own (state.h).  */
#ifndef REM_AGENT_STORE_H
#define REM_AGENT_STORE_H

#include "agent/persist.h"
#include "agent/store_read.h"
#include "proto/shm/writer.h"

#include <jansson.h>

struct rem_keyval_spec;

enum {
    REM_STORE_AHEAD = 100000, /* revisions that are reserved with every save */
    REM_STORE_DROPS = 100,    /* that are kept to be shown */
    REM_STORE_WORDS = 20,     /* changes that a line of the log names */
};

struct rem_store_entry;

struct rem_store {
    struct rem_writer *writer;
    const struct rem_log *log;
    const struct rem_clock *clock;
    struct rem_persist *persist;
    const char *path; /* NULL: there is no DIR, nothing is saved; borrowed */
    const struct rem_keyval_spec
        *keyvals; /* borrowed; those with a file of their own are not ours */
    size_t keyval_count;
    struct rem_registry_conf conf; /* without what was merged into it; borrowed */
    uint32_t *by_name;             /* owned; numbers of its upstreams, names ascending */
    struct rem_arena arena;        /* what was read, and drops */
    struct rem_persist_file file;
    struct rem_store_drop drops[REM_STORE_DROPS]; /* the latest come last */
    size_t drop_count;
    struct rem_store_entry *entries; /* owned; texts of upstreams, in the registry's order */
    size_t entry_count;
    uint64_t reserved; /* as the file will say when what is being written is there */
    bool merged;       /* some of what was read is in what was given to the registry */
    bool closing;
};

/* Reads the file and lays what it says over the configuration: *conf is what the registry shall
 * become, and lives in the store.  `path` NULL: there is nothing to merge.
 * Errors, with *err: REM_EUNSUPPORTED (the file is of a newer version), REM_ENOMEM. */
int rem_store_merge(struct rem_store *store, const char *path, struct rem_registry_conf *conf,
                    struct rem_err *err) REM_MUST_CHECK;

/* What was merged is of no use to the registry (`why`): keeps the file aside and gives back the
 * configuration alone. */
void rem_store_unmerge(struct rem_store *store, struct rem_registry_conf *conf, const char *why);

/* Has the file written, and from here on after every change.  The store must not move. */
void rem_store_start(struct rem_store *store);

/* A change is about to be published. */
void rem_store_note(struct rem_store *store);

/* At a turn's end: revisions that were published without being saved must stay below those that
 * are reserved. */
void rem_store_turn(struct rem_store *store);

/* The last save says that nothing comes behind it. */
void rem_store_close(struct rem_store *store);
void rem_store_stop(struct rem_store *store);

/* For each upstream and table: is the configuration in effect or what was changed at run time, and
 * why.  Returns: a new object; NULL without memory. */
json_t *rem_store_explain(void *store);

#endif
