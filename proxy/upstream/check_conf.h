/* SPDX-License-Identifier: Apache-2.0 */
/* check_conf.h - health_check lines and match blocks, as they are read.
 *
 * Runs in:    the configuration.
 * Lifecycle:  read in any order -> when the whole http block is known, checks are joined with their
 *             upstreams and match blocks and become struct rem_check_spec for the agent.  */
#ifndef REM_UPSTREAM_CHECK_CONF_H
#define REM_UPSTREAM_CHECK_CONF_H

#include "proto/shm/check_spec.h"
#include "proxy/conf/array.h"
#include "proxy/conf/conf.h"

/* A `match` block. */
struct rem_match_conf {
    struct rem_match_spec spec; /* without its tests until the block has ended */
    struct rem_array tests;     /* of struct rem_check_test */
    struct rem_array requires;  /* of struct rem_match_require */
    struct rem_match_conf *next;
};

/* A `require` line, whose variables are known only at the end. */
struct rem_match_require {
    struct rem_conf_pos pos;
    size_t test; /* its place among the tests */
    struct rem_value *values;
    size_t count;
};

/* match_conf.c: reads the block.  Errors: reported. */
int rem_match_conf_read(struct rem_conf *cf, struct rem_match_conf *match) REM_MUST_CHECK;

/* When all variables are known: those that `require` names must mean something here.
 * Errors: reported. */
int rem_match_conf_ready(struct rem_conf *cf, struct rem_match_conf *match, void **main,
                         void **location, const struct rem_log *log) REM_MUST_CHECK;

#endif
