/* SPDX-License-Identifier: Apache-2.0 */
/* store_read.h - reads what store_text.h writes.
 *
 * Ownership:  all that is read lives in the arena that is given.  */
#ifndef REM_AGENT_STORE_READ_H
#define REM_AGENT_STORE_READ_H

#include "agent/store_text.h"
#include "proto/base/err.h"

enum { REM_STORE_FILE_MAX = 512 << 20 };

struct rem_store_saved {
    uint64_t revision; /* when it was written */
    uint64_t reserved; /* no revision that anybody has seen is above this one */
    struct rem_upstream_spec *upstreams;
    struct rem_str *changes; /* by upstream: what was changed at run time, in words */
    size_t upstream_count;
    struct rem_table *tables;
    size_t table_count;
    struct rem_store_drop *drops;
    size_t drop_count;
    bool edited; /* it has no digest: somebody took it out */
    uint64_t hash;
};

/* Errors, with *err: REM_EPROTO (broken), REM_EUNSUPPORTED (of a newer version), REM_ENOMEM. */
int rem_store_read(struct rem_str text, struct rem_arena *arena, struct rem_store_saved *out,
                   struct rem_err *err) REM_MUST_CHECK;

/* The same of a file.  Errors, too: REM_ENOTFOUND; one that cannot be read is REM_EPROTO. */
int rem_store_read_file(const char *path, struct rem_arena *arena, struct rem_store_saved *out,
                        struct rem_err *err) REM_MUST_CHECK;

#endif
