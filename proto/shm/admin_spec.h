/* SPDX-License-Identifier: Apache-2.0 */
/* admin_spec.h - what the `admin` block says about who may ask, and about draining.
 *
 * Runs in:    the master fills it in; the agent gets it with its handover.
 * Lifecycle:  in the arena of the configuration.  Zero is what the block's defaults are not: see
 *             rem_admin_spec_init.  */
#ifndef REM_SHM_ADMIN_SPEC_H
#define REM_SHM_ADMIN_SPEC_H

#include "proto/base/err.h"
#include "proto/shm/role.h"

#include <sys/stat.h>

struct rem_log_file;
struct rem_syslog;

enum {
    REM_ADMIN_TOKEN_MAX = 4096,    /* bytes of a token */
    REM_ADMIN_TOKEN_SHORT = 16,    /* one of fewer bytes can be guessed */
    REM_ADMIN_FAILURES = 10,       /* wrong credentials that an address may send at once, */
    REM_ADMIN_FAILURES_MS = 60000, /* and in this time */
    REM_ADMIN_DRAIN_DELAY_MS = 5000,
    REM_ADMIN_DRAIN_TIMEOUT_MS = 25000, /* below the 30 s that Kubernetes grants */
    REM_ADMIN_READY_MS = 30000,
};

/* `token NAME ROLE FILE` */
struct rem_admin_token {
    struct rem_admin_token *next;
    struct rem_str name;
    enum rem_api_role role;
    const char *path;
    struct rem_str place; /* "FILE:LINE" of the directive, for messages */
};

/* `peer uid=N|gid=N ROLE` */
struct rem_admin_peer {
    struct rem_admin_peer *next;
    bool group;
    uint32_t id;
    enum rem_api_role role;
};

/* `host NAME` */
struct rem_admin_host {
    struct rem_admin_host *next;
    struct rem_str name; /* lower case; ".NAME" for "*.NAME" */
};

/* `ready_when upstream=NAME` */
struct rem_admin_ready {
    struct rem_admin_ready *next;
    struct rem_str upstream;
    uint32_t timeout_ms;
};

struct rem_admin_spec {
    struct rem_admin_token *tokens;
    struct rem_admin_peer *peers;
    struct rem_admin_host *hosts;
    struct rem_admin_ready *ready;
    uint32_t failures; /* wrong credentials per failures_ms; 0: not limited */
    uint32_t failures_ms;
    bool failures_given;
    struct rem_log_file *audit_file; /* both NULL: no audit log */
    struct rem_syslog *audit_syslog;
    uint32_t drain_delay_ms;
    uint32_t drain_timeout_ms; /* the delay included; 0: without bound */
    bool drain_on_term;
    bool drain_delay_given;
    bool drain_timeout_given;
};

void rem_admin_spec_init(struct rem_admin_spec *spec);

/* A token as a file holds it: everything but white space at its end. */
struct rem_admin_secret {
    char text[REM_ADMIN_TOKEN_MAX];
    size_t n;
    struct stat st; /* of the file that was read */
};

/* Reads a token's file.  Errors: REM_EIO (errno in the text), REM_EINVAL (no regular file, empty,
 * too long, holds white space or bytes that no header field can); err says which. */
int rem_admin_secret_read(const char *path, struct rem_admin_secret *out,
                          struct rem_err *err) REM_MUST_CHECK;

#endif
