/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.h - the bearer tokens of the `admin` block, as their files have them now.
 *
 * Runs in:    agent.
 * Files:      looked at when a token is asked for, at most every REM_TOKENS_LOOK_MS; nothing wakes
 *             up for them.  What counts is the file that the path leads to, so that a mounted
 *             secret that is replaced by a symbolic link's swap is seen.
 * Memory:     digests only; tokens are compared by them, in the same time whatever differs.  */
#ifndef REM_AGENT_TOKENS_H
#define REM_AGENT_TOKENS_H

#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/shm/admin_spec.h"

#include <openssl/evp.h>

enum { REM_TOKENS_LOOK_MS = 250, REM_TOKENS_DIGEST = 32, REM_TOKENS_WHO = 80 };

struct rem_token {
    const struct rem_admin_token *spec;
    bool valid;     /* `digest` is of what the file holds */
    bool unsettled; /* the file changed a moment ago: may do so again without looking changed */
    bool looked;
    struct stat st;
    unsigned char digest[REM_TOKENS_DIGEST];
    char who[REM_TOKENS_WHO]; /* "token:NAME" */
};

struct rem_tokens {
    const struct rem_log *log;
    const struct rem_clock *clock;
    struct rem_token *each;
    size_t count;
    uint64_t looked_ms;
    EVP_MD *sha256; /* looked up once: that takes longer than a digest */
    EVP_MD_CTX *digest;
};

/* Reads all files; one that cannot be read is logged, and its token is not accepted.
 * Errors: REM_ENOMEM. */
int rem_tokens_init(struct rem_tokens *tokens, const struct rem_admin_token *specs,
                    const struct rem_log *log, const struct rem_clock *clock) REM_MUST_CHECK;
void rem_tokens_fini(struct rem_tokens *tokens);

/* The token that `text` is, or NULL. */
const struct rem_token *rem_tokens_find(struct rem_tokens *tokens, struct rem_str text);

#endif
