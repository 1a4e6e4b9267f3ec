/* SPDX-License-Identifier: Apache-2.0 */
/* split.h - the parts of a split_clients block: what a REM_TABLE_SPLIT holds, and how it is read.
 *
 * Runs in:    the master makes the bytes of what a configuration says, the agent those of what the
 *             API says; workers look hashes up in them.
 * Arithmetic: a part has the hashes behind those of the parts before it: its share of all 32-bit
 *             numbers, rounded down, part by part.  A client keeps its part as long as the shares
 *             before it stay the same.  */
#ifndef REM_SHM_SPLIT_H
#define REM_SHM_SPLIT_H

#include "proto/base/err.h"
#include "proto/shm/table.h"

enum {
    REM_SPLIT_WHOLE = 10000, /* shares are hundredths of a percent */
    REM_SPLIT_PARTS_MAX = 1000,
    REM_SPLIT_VALUE_MAX = 4096,
};

struct rem_split_part {
    struct rem_str value;
    uint32_t share;
    bool rest; /* all hashes that are in no part before; `share` is what the others leave */
};

/* The bytes of a table.  *out is the caller's (free).
 * Errors: REM_EINVAL (more than REM_SPLIT_WHOLE in all, too many parts, too long a value),
 * REM_ENOMEM. */
int rem_split_build(const struct rem_split_part *parts, size_t count,
                    struct rem_str *out) REM_MUST_CHECK;

/* Whether bytes are such a table, as far as its head tells. */
bool rem_split_valid(struct rem_str bytes);

/* The same of bytes that somebody else may have written: whether all they say of themselves holds.
 */
bool rem_split_sound(struct rem_str bytes);

/* The parts, in their order; texts borrow from the bytes. */
size_t rem_split_count(struct rem_str bytes);
void rem_split_at(struct rem_str bytes, size_t index, struct rem_split_part *out);

/* Worker: the value of the part that a hash is in; empty: in none.  Borrows from the bytes, which
 * must be what rem_split_build made. */
struct rem_str rem_split_lookup(const void *bytes, uint32_t hash);

#endif
