/* SPDX-License-Identifier: Apache-2.0 */
/* persist_file.h - puts new texts in the place of files, so that a power cut leaves either the old
 * one or the new one.
 *
 * Runs in:    agent; any thread, as nothing here allocates, logs or looks at the registry.
 * Contract:   a new file is written and synced, then renamed over the old one, then the directory
 *             is synced.  Only after all of that is a text safe.  Several files share the syncs of
 *             their directories.  */
#ifndef REM_AGENT_PERSIST_FILE_H
#define REM_AGENT_PERSIST_FILE_H

#include "proto/base/str.h"

#include <sys/types.h>

/* What is asked of the system; tests put their own in.  All return -1 with errno. */
struct rem_persist_calls {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*write)(int fd, const void *bytes, size_t n);
    int (*fsync)(int fd);
    int (*close)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*exchange)(const char *one, const char *other);
    int (*unlink)(const char *path);
};

extern const struct rem_persist_calls rem_persist_system;

struct rem_persist_write {
    const char *path;    /* borrowed; PATH + ".new" is ours to remove and make */
    struct rem_str text; /* borrowed */
    bool aside;          /* what is there now is kept as PATH + ".broken" */
    int error;           /* out: errno; 0: it is safe */
    const char *step;    /* out, with an error: "write", "rename"..., for "cannot STEP ..." */
};

/* Writes all of them; that one fails does not keep the others from being written. */
void rem_persist_write_all(const struct rem_persist_calls *calls, struct rem_persist_write *writes,
                           size_t count);

#endif
