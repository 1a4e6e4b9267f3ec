/* SPDX-License-Identifier: Apache-2.0 */
/* uri.h - request targets, hosts and paths: taking apart, normalising, putting together.
 *
 * Ownership:  results point into the input where nothing had to change, else into the arena.
 * Not here:   reading the request line (see h1.h).  */
#ifndef REM_WIRE_URI_H
#define REM_WIRE_URI_H

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/base/str.h"

enum rem_target_form {
    REM_TARGET_ORIGIN = 0, /* /path?args */
    REM_TARGET_ABSOLUTE,   /* http://host/path?args */
    REM_TARGET_AUTHORITY,  /* host:port, CONNECT only */
    REM_TARGET_ASTERISK,   /* "*", OPTIONS only */
};

/* A target as received; all parts raw. */
struct rem_target {
    enum rem_target_form form;
    bool has_args;            /* there is a "?" */
    bool has_fragment;        /* there was a "#": it and what follows are in no part */
    struct rem_str scheme;    /* absolute form: as received, "http" or "https" in any case */
    struct rem_str authority; /* absolute and authority form: host[:port] */
    struct rem_str path;      /* up to "?" or "#"; "/" where an absolute target has none */
    struct rem_str args;      /* between the first "?" and "#" */
};

/* Takes a target apart.  It must hold no control bytes and no SP (h1.h makes sure).
 * Errors: REM_EINVAL (no form of RFC 9112 section 3.2, a scheme other than http and https,
 * userinfo, an empty host). */
int rem_target_split(struct rem_str target, bool is_connect, bool is_options,
                     struct rem_target *out) REM_MUST_CHECK;

enum rem_host_kind {
    REM_HOST_NAME = 0, /* a name or an IPv4 address */
    REM_HOST_IPV6,     /* `host` keeps its brackets */
};

struct rem_authority {
    struct rem_str host; /* without port and without a trailing dot, as received otherwise */
    struct rem_str text; /* host[:port] as received */
    uint16_t port;       /* with has_port */
    bool has_port;       /* a port was given (an empty one, "host:", counts as none) */
    bool has_upper;      /* rem_host_lower must copy */
    uint8_t kind;        /* enum rem_host_kind */
};

/* Checks and takes apart `host[:port]` as RFC 3986 has it: no userinfo, no list, port at most
 * 65535.  Errors: REM_EINVAL. */
int rem_authority_split(struct rem_str text, struct rem_authority *out) REM_MUST_CHECK;

/* The host in lower case: the same bytes where they are, else a copy.  Errors: REM_ENOMEM. */
int rem_host_lower(const struct rem_authority *authority, struct rem_arena *arena,
                   struct rem_str *out) REM_MUST_CHECK;

/* Makes of a raw path (starting with "/", without args) what nginx calls $uri: escapes decoded,
 * "." and ".." resolved, and with `merge_slashes` runs of "/" made one.  *out is `path` itself
 * where that changes nothing: then the received target can be forwarded as it is; otherwise the
 * bytes forwarded must be made from *out (rem_uri_escape), or both sides see different paths.
 * Errors: REM_EINVAL (a bad escape, %00, ".." above the root, no "/"), REM_ENOMEM. */
int rem_uri_normalize(struct rem_str path, bool merge_slashes, struct rem_arena *arena,
                      struct rem_str *out) REM_MUST_CHECK;

/* What an escaping must protect. */
enum rem_uri_escape_set {
    REM_URI_ESCAPE_PATH = 0,  /* a decoded path in a request line or Location */
    REM_URI_ESCAPE_ARGS,      /* an argument string already escaped: only what breaks a line */
    REM_URI_ESCAPE_COMPONENT, /* a value in a query: everything but unreserved bytes */
};

/* Bytes that rem_uri_escape_to writes. */
size_t rem_uri_escape_size(struct rem_str s, enum rem_uri_escape_set set);
/* Writes to at least that much memory.  Returns: the end of what was written. */
char *rem_uri_escape_to(char *at, struct rem_str s, enum rem_uri_escape_set set);
/* `s` itself where nothing needs escaping, else a copy.  Errors: REM_ENOMEM. */
int rem_uri_escape(struct rem_str s, enum rem_uri_escape_set set, struct rem_arena *arena,
                   struct rem_str *out) REM_MUST_CHECK;

/* Decodes %HH; what is no valid escape stays as it is.  `s` itself where there is none.
 * Errors: REM_ENOMEM. */
int rem_uri_unescape(struct rem_str s, struct rem_arena *arena, struct rem_str *out) REM_MUST_CHECK;

/* Finds argument `name` (case-sensitive, raw) in "a=1&b=2"; *value is raw.  Returns: whether it
 * is there.  An argument without "=" has an empty value. */
bool rem_uri_arg(struct rem_str args, struct rem_str name, struct rem_str *value);

#endif
