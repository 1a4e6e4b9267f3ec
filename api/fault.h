/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - why a request to the API was refused, and how each of the two APIs says so.
 *
 * The codes are those of the NGINX Plus API where it has one, for both.
 * Contract:   a fault's text holds no line end and no ";" (clients split it there).  */
#ifndef REM_API_FAULT_H
#define REM_API_FAULT_H

#include "api/message.h"
#include "proto/base/err.h"

/* name, code, status in the Plus API, status in /v1, title */
#define REM_FAULT_LIST(X)                                                                          \
    X(NONE, "None", 500, 500, "Internal error")                                                    \
    X(PATH_NOT_FOUND, "PathNotFound", 404, 404, "Path not found")                                  \
    X(UNKNOWN_VERSION, "UnknownVersion", 404, 404, "Unknown API version")                          \
    X(METHOD_DISABLED, "MethodDisabled", 405, 405, "Method disabled")                              \
    X(UPSTREAM_NOT_FOUND, "UpstreamNotFound", 404, 404, "Upstream not found")                      \
    X(SERVER_ZONE_NOT_FOUND, "ServerZoneNotFound", 404, 404, "Server zone not found")              \
    X(LOCATION_ZONE_NOT_FOUND, "LocationZoneNotFound", 404, 404, "Location zone not found")        \
    X(CACHE_NOT_FOUND, "CacheNotFound", 404, 404, "Cache not found")                               \
    X(SLAB_NOT_FOUND, "SlabNotFound", 404, 404, "Slab not found")                                  \
    X(LIMIT_CONN_NOT_FOUND, "LimitConnNotFound", 404, 404, "Limit of connections not found")       \
    X(LIMIT_REQ_NOT_FOUND, "LimitReqNotFound", 404, 404, "Limit of requests not found")            \
    X(RESOLVER_ZONE_NOT_FOUND, "ResolverZoneNotFound", 404, 404, "Resolver zone not found")        \
    X(WORKER_NOT_FOUND, "WorkerNotFound", 404, 404, "Worker not found")                            \
    X(UPSTREAM_STATIC, "UpstreamStatic", 400, 400, "Upstream has no zone")                         \
    X(SERVER_NOT_FOUND, "UpstreamServerNotFound", 404, 404, "Server not found")                    \
    X(FORMAT, "UpstreamConfFormatError", 400, 400, "Invalid parameter")                            \
    X(BAD_ADDRESS, "UpstreamBadAddress", 400, 400, "Invalid address")                              \
    X(BAD_SERVER_ID, "UpstreamBadServerId", 400, 400, "Invalid server id")                         \
    X(BAD_WEIGHT, "UpstreamBadWeight", 400, 400, "Invalid weight")                                 \
    X(BAD_MAX_CONNS, "UpstreamBadMaxConns", 400, 400, "Invalid max_conns")                         \
    X(BAD_MAX_FAILS, "UpstreamBadMaxFails", 400, 400, "Invalid max_fails")                         \
    X(BAD_FAIL_TIMEOUT, "UpstreamBadFailTimeout", 400, 400, "Invalid fail_timeout")                \
    X(BAD_SLOW_START, "UpstreamBadSlowStart", 400, 400, "Invalid slow_start")                      \
    X(BAD_ROUTE, "UpstreamBadRoute", 400, 400, "Invalid route")                                    \
    X(BAD_SERVICE, "UpstreamBadService", 400, 400, "Invalid service")                              \
    X(SERVER_IMMUTABLE, "UpstreamServerImmutable", 400, 400, "Server is immutable")                \
    X(WEIGHT_IMMUTABLE, "UpstreamServerWeightImmutable", 400, 400, "Server weight is immutable")   \
    X(NO_RESOLVER, "UpstreamConfNoResolver", 400, 400, "No resolver")                              \
    X(NO_BACKUP, "UpstreamNoBackup", 400, 400, "The method knows no backup servers")               \
    X(OUT_OF_MEMORY, "UpstreamOutOfMemory", 400, 507, "Shared memory is full")                     \
    X(ENTRY_EXISTS, "EntryExists", 409, 409, "Entry exists")                                       \
    X(UPSTREAM_CONFIGURED, "UpstreamConfigured", 409, 409, "Upstream is in the configuration")     \
    X(REVISION_NOT_FOUND, "RevisionNotFound", 404, 404, "Revision not found")                      \
    X(REVISION_GONE, "RevisionGone", 410, 410, "Revision no longer kept")                          \
    X(KEYVAL_NOT_FOUND, "KeyvalNotFound", 404, 404, "Key-value zone not found")                    \
    X(KEYVAL_KEY_NOT_FOUND, "KeyvalKeyNotFound", 404, 404, "Key not found")                        \
    X(KEYVAL_KEY_EXISTS, "KeyvalKeyExists", 409, 409, "Key already exists")                        \
    X(KEYVAL_FORMAT, "KeyvalFormatError", 400, 400, "Invalid key or value")                        \
    X(KEYVAL_FULL, "KeyvalOutOfMemory", 413, 507, "The key-value zone is full")                    \
    X(SPLIT_NOT_FOUND, "SplitNotFound", 404, 404, "Split not found")                               \
    X(JSON, "JsonError", 415, 400, "Invalid JSON")                                                 \
    X(TOO_LARGE, "RequestTooLarge", 413, 413, "Request too large")                                 \
    X(CONFLICT, "RevisionMismatch", 412, 412, "Revision does not match")                           \
    X(BAD_PRECONDITION, "BadPrecondition", 400, 400, "Invalid If-Match")                           \
    X(ORIGIN, "OriginRefused", 403, 403, "Requests from browser pages may not write")              \
    X(UNAUTHORIZED, "Unauthorized", 401, 401, "Authentication required")                           \
    X(FORBIDDEN, "Forbidden", 403, 403, "Not allowed")                                             \
    X(HOST, "HostRefused", 403, 403, "Unknown host name")                                          \
    X(TOO_MANY, "TooManyRequests", 429, 429, "Too many wrong credentials")                         \
    X(MEDIA_TYPE, "UnsupportedMediaType", 415, 415, "A JSON content type is required")             \
    X(BAD_REQUEST, "BadRequest", 400, 400, "Bad request")                                          \
    X(BODY, "BodyReadError", 400, 400, "Reading the request body failed")                          \
    X(TIMEOUT, "RequestTimeout", 408, 408, "Request timeout")                                      \
    X(HEAD_TOO_LARGE, "HeadTooLarge", 431, 431, "Request head too large")                          \
    X(TARGET_TOO_LONG, "TargetTooLong", 414, 414, "Request target too long")                       \
    X(EXPECTATION, "ExpectationFailed", 417, 417, "Expectation failed")                            \
    X(NOT_IMPLEMENTED, "NotImplemented", 501, 501, "Not implemented")                              \
    X(HTTP_VERSION, "HttpVersion", 505, 505, "HTTP version not supported")                         \
    X(BUSY, "Busy", 503, 503, "Too many clients at a time")                                        \
    X(STATE_NOT_SAVED, "StateNotSaved", 500, 500, "State not saved")                               \
    X(INTERNAL, "InternalError", 500, 500, "Internal error")

enum rem_fault_code {
#define REM_FAULT_ENUM(name, code, plus, own, title) REM_FAULT_##name,
    REM_FAULT_LIST(REM_FAULT_ENUM)
#undef REM_FAULT_ENUM
        REM_FAULTS
};

struct rem_fault {
    enum rem_fault_code code;
    char text[256];
    uint64_t revision; /* CONFLICT: the current one */
};

/* Fills in a fault.  Returns REM_EINVAL, so that callers write `return rem_fault_set(...)`. */
int rem_fault_set(struct rem_fault *fault, enum rem_fault_code code, const char *format, ...)
    REM_PRINTF(3, 4);

/* "UpstreamNotFound" */
const char *rem_fault_name(enum rem_fault_code code);

/* The fault that stands for a status of the transport (400, 408, 413, 431...). */
enum rem_fault_code rem_fault_of_status(int status);

/* Makes the fault the response: the Plus API's error object, or problem+json (RFC 9457). */
void rem_fault_answer_plus(const struct rem_fault *fault, struct rem_api_response *response);
void rem_fault_answer_problem(const struct rem_fault *fault, struct rem_api_response *response);

#endif
