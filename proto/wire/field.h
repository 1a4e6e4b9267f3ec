/* SPDX-License-Identifier: Apache-2.0 */
/* field.h - the fields of a message head (or of its trailers), whatever version carried them.
 *
 * Ownership:  names and values are borrowed from the buffer they were parsed from; the array
 *             itself lives in the arena given at init (or in the caller's storage).
 * Not here:   parsing (see h1.h), writing (see put.h).  */
#ifndef REM_WIRE_FIELD_H
#define REM_WIRE_FIELD_H

#include "proto/base/arena.h"
#include "proto/base/str.h"

/* Field names we know, ordered by length (the lookup walks those of one length; a test checks
 * the order).  X(identifier, lower-case name) */
#define REM_FIELD_LIST(X)                                                                          \
    X(TE, "te")                                                                                    \
    X(AGE, "age")                                                                                  \
    X(VIA, "via")                                                                                  \
    X(DATE, "date")                                                                                \
    X(ETAG, "etag")                                                                                \
    X(FROM, "from")                                                                                \
    X(HOST, "host")                                                                                \
    X(LINK, "link")                                                                                \
    X(VARY, "vary")                                                                                \
    X(ALLOW, "allow")                                                                              \
    X(DEPTH, "depth")                                                                              \
    X(RANGE, "range")                                                                              \
    X(ACCEPT, "accept")                                                                            \
    X(COOKIE, "cookie")                                                                            \
    X(EXPECT, "expect")                                                                            \
    X(ORIGIN, "origin")                                                                            \
    X(PRAGMA, "pragma")                                                                            \
    X(SERVER, "server")                                                                            \
    X(STATUS, "status")                                                                            \
    X(ALT_SVC, "alt-svc")                                                                          \
    X(EXPIRES, "expires")                                                                          \
    X(REFERER, "referer")                                                                          \
    X(REFRESH, "refresh")                                                                          \
    X(TRAILER, "trailer")                                                                          \
    X(UPGRADE, "upgrade")                                                                          \
    X(IF_MATCH, "if-match")                                                                        \
    X(IF_RANGE, "if-range")                                                                        \
    X(LOCATION, "location")                                                                        \
    X(PRIORITY, "priority")                                                                        \
    X(FORWARDED, "forwarded")                                                                      \
    X(OVERWRITE, "overwrite")                                                                      \
    X(X_REAL_IP, "x-real-ip")                                                                      \
    X(CONNECTION, "connection")                                                                    \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(USER_AGENT, "user-agent")                                                                    \
    X(DESTINATION, "destination")                                                                  \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(TRACEPARENT, "traceparent")                                                                  \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(X_REQUEST_ID, "x-request-id")                                                                \
    X(ACCEPT_RANGES, "accept-ranges")                                                              \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CACHE_CONTROL, "cache-control")                                                              \
    X(CONTENT_RANGE, "content-range")                                                              \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(LAST_MODIFIED, "last-modified")                                                              \
    X(ACCEPT_CHARSET, "accept-charset")                                                            \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(HTTP2_SETTINGS, "http2-settings")                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCEPT_LANGUAGE, "accept-language")                                                          \
    X(X_ACCEL_CHARSET, "x-accel-charset")                                                          \
    X(X_ACCEL_EXPIRES, "x-accel-expires")                                                          \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_LANGUAGE, "content-language")                                                        \
    X(CONTENT_LOCATION, "content-location")                                                        \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                        \
    X(X_ACCEL_REDIRECT, "x-accel-redirect")                                                        \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PORT, "x-forwarded-port")                                                        \
    X(IF_MODIFIED_SINCE, "if-modified-since")                                                      \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key")                                                      \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(X_ACCEL_BUFFERING, "x-accel-buffering")                                                      \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                    \
    X(X_ACCEL_LIMIT_RATE, "x-accel-limit-rate")                                                    \
    X(CONTENT_DISPOSITION, "content-disposition")                                                  \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since")                                                  \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept")                                                \
    X(UPGRADE_INSECURE_REQUESTS, "upgrade-insecure-requests")

enum rem_field_id {
    REM_FIELD_OTHER = 0,
#define REM_FIELD_ENUM(id, name) REM_FIELD_##id,
    REM_FIELD_LIST(REM_FIELD_ENUM)
#undef REM_FIELD_ENUM
        REM_FIELD_IDS /* how many, REM_FIELD_OTHER included */
};

enum rem_field_flag {
    /* Meant for this connection only: by its nature, or named by Connection.  Never forwarded. */
    REM_FIELD_HOP = 1 << 0,
    REM_FIELD_UNDERSCORE = 1 << 1,   /* the name holds "_" (kept: underscores are allowed) */
    REM_FIELD_INVALID_NAME = 1 << 2, /* the name is no token (kept: invalid fields are too) */
};

struct rem_field {
    struct rem_str name; /* as received */
    struct rem_str value;
    uint16_t id;    /* enum rem_field_id */
    uint16_t flags; /* enum rem_field_flag */
};

struct rem_fields {
    struct rem_field *v;
    uint32_t n;
    uint32_t cap;
    struct rem_arena *arena; /* borrowed; outlives this */
};

/* The id of a name, without regard to case; REM_FIELD_OTHER for names not listed.  `name` must
 * be a token (RFC 9110 section 5.6.2); of other names some control bytes are taken for "-". */
enum rem_field_id rem_field_id(struct rem_str name);

/* The lower-case name of an id ("content-length"); empty for REM_FIELD_OTHER. */
struct rem_str rem_field_name(enum rem_field_id id);

/* Whether a field is hop-by-hop whatever Connection says (RFC 9110 section 7.6.1). */
bool rem_field_is_hop(enum rem_field_id id);

static inline void rem_fields_init(struct rem_fields *fields, struct rem_arena *arena)
{
    *fields = (struct rem_fields){.arena = arena};
}

/* The first `cap` fields go to the caller's storage, more to the arena. */
static inline void rem_fields_init_in(struct rem_fields *fields, struct rem_field *storage,
                                      uint32_t cap, struct rem_arena *arena)
{
    *fields = (struct rem_fields){.v = storage, .cap = cap, .arena = arena};
}

/* The slow half of append.  Errors: REM_ENOMEM. */
int rem_fields_grow(struct rem_fields *fields) REM_MUST_CHECK;

/* Errors: REM_ENOMEM. */
REM_MUST_CHECK static inline int rem_fields_append(struct rem_fields *fields,
                                                   const struct rem_field *field)
{
    if (REM_UNLIKELY(fields->n == fields->cap)) {
        int rc = rem_fields_grow(fields);
        if (rc != 0)
            return rc;
    }
    fields->v[fields->n++] = *field;
    return 0;
}

/* Appends and finds out the id and whether it is hop-by-hop by nature.  Errors: REM_ENOMEM. */
int rem_fields_add(struct rem_fields *fields, struct rem_str name,
                   struct rem_str value) REM_MUST_CHECK;

/* The first field with this id, or NULL. */
struct rem_field *rem_fields_find(const struct rem_fields *fields, enum rem_field_id id);

/* The first field with this name, without regard to case, or NULL. */
struct rem_field *rem_fields_find_name(const struct rem_fields *fields, struct rem_str name);

/* The next field with the id (and name, where the id is REM_FIELD_OTHER) of `field`, or NULL. */
struct rem_field *rem_fields_next(const struct rem_fields *fields, const struct rem_field *field);

/* Takes the element `field` out, keeping the order of the others. */
void rem_fields_remove(struct rem_fields *fields, struct rem_field *field);

/* Takes out all fields with this id, keeping the order of the others. */
void rem_fields_remove_all(struct rem_fields *fields, enum rem_field_id id);

#define REM_FIELDS_EACH(field, fields)                                                             \
    for (struct rem_field *field = (fields)->v,                                                    \
                          *field##_end = (fields)->n != 0 ? field + (fields)->n : field;           \
         field != field##_end; field++)

/* Steps through a comma-separated list (RFC 9110 section 5.6.1), skipping empty elements:
 *     struct rem_str rest = value, item;
 *     while (rem_field_list_next(&rest, &item)) ...
 * Quoted strings are not understood: for lists of tokens only. */
bool rem_field_list_next(struct rem_str *rest, struct rem_str *item);

#endif
