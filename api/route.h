/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - which path is answered by which handler.  */
#ifndef REM_API_ROUTE_H
#define REM_API_ROUTE_H

#include "api/call.h"

enum { REM_ROUTE_SEGMENTS = 8, REM_ROUTE_ARGS = 2 };

/* A path taken apart at "/", each part decoded; one slash at the end makes no difference. */
struct rem_route_path {
    struct rem_str segments[REM_ROUTE_SEGMENTS];
    size_t count;
};

struct rem_route {
    const char *pattern; /* "http/upstreams/" + "*" for a parameter; no slash around it */
    rem_api_handler_fn get, post, put, patch, del; /* NULL: not allowed */
    const char *allow;                             /* for 405 */
    enum rem_api_role read;                        /* needed for GET; NONE: REM_ROLE_READ */
    enum rem_api_role write;                       /* for the others; NONE: REM_ROLE_WRITE */
    bool alone;                                    /* writes take several steps: see v1.h */
    bool revised; /* what GET shows changes with the revision only: If-None-Match is looked at */
    bool open;    /* GET needs no role: probes */
    const char *args[REM_ROUTE_ARGS]; /* that a write of /v1 may have; none: dry_run and return */
};

/* Errors: REM_ENOTFOUND (an empty segment, too many: no path of ours), REM_ENOMEM. */
int rem_route_split(struct rem_str path, struct rem_arena *arena,
                    struct rem_route_path *out) REM_MUST_CHECK;

/* The tables: paths below /api/N, and all others. */
const struct rem_route *rem_route_plus(const struct rem_route_path *path, size_t skip,
                                       struct rem_str params[REM_CALL_PARAMS]);
const struct rem_route *rem_route_own(const struct rem_route_path *path,
                                      struct rem_str params[REM_CALL_PARAMS]);

/* NULL: the path has no such method. */
rem_api_handler_fn rem_route_handler(const struct rem_route *route, enum rem_method method);

/* How metrics name it: the path with "*" for the version and for parameters; NULL is "other". */
void rem_route_endpoint(const struct rem_route *route, char *out, size_t size);

/* Are all arguments of a write to /v1 ones that the route knows?  False: *unknown is none. */
bool rem_route_args(const struct rem_route *route, struct rem_str args, struct rem_str *unknown);

/* The role that a request must have at least. */
enum rem_api_role rem_route_role(const struct rem_route *route, enum rem_method method);

#endif
