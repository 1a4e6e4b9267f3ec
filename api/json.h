/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - JSON in and out: jansson, with bounds on what a client may make it allocate.
 *
 * Contract:   members keep the order in which they were set.  */
#ifndef REM_API_JSON_H
#define REM_API_JSON_H

#include "api/fault.h"
#include "proto/shm/layout.h"

#include <jansson.h>

enum {
    REM_JSON_DEPTH = 32,          /* nested arrays and objects */
    REM_JSON_CONTAINERS = 200000, /* arrays and objects in all: jansson spends 300 bytes on one */
    REM_JSON_VALUES = 3000000,    /* values in all */
};

/* Reads an object or array; duplicate members and \u0000 are refused.
 * Owns: *out is the caller's (json_decref).  Errors: REM_EINVAL with JSON or TOO_LARGE,
 * REM_ENOMEM as far as jansson says so. */
int rem_json_parse(struct rem_str text, json_t **out, struct rem_fault *fault) REM_MUST_CHECK;

/* Makes `value` (taken; NULL: out of memory) the body of the response. */
void rem_json_answer(struct rem_api_response *response, json_t *value);

/* Whether JSON can say these bytes: names and paths in a configuration may be anything. */
bool rem_json_is_utf8(struct rem_str s);

/* A string of bytes that may not be UTF-8: odd bytes become "?".  NULL without memory. */
json_t *rem_json_text(struct rem_str s);

/* Appends a value as JSON. */
void rem_json_dump(struct rem_sbuf *out, const json_t *value);

/* Appends a string as JSON, in quotes; odd bytes as above. */
void rem_json_put(struct rem_sbuf *out, struct rem_str s);

/* Appends a number.  Many of them are written where a set changes as a whole. */
void rem_json_put_number(struct rem_sbuf *out, uint64_t n);

/* Appends what stands before the value of an object's second or later member: ,"key": */
void rem_json_put_key(struct rem_sbuf *out, const char *key);

/* The same as a literal, and members that begin with it; the first one's key is "{\"key\":".  That
 * is how sets of thousands of servers are written: a tree of them takes twenty times as long. */
#define REM_JSON_KEY(key) REM_STR(",\"" key "\":")
void rem_json_put_count(struct rem_sbuf *out, struct rem_str key, uint64_t n);
void rem_json_put_gauge(struct rem_sbuf *out, struct rem_str key, int64_t n);
void rem_json_put_text(struct rem_sbuf *out, struct rem_str key, struct rem_str s);
void rem_json_put_flag(struct rem_sbuf *out, struct rem_str key, bool value);

/* Appends an object of sums by class ([0] is 1xx), without the brace at its end. */
void rem_json_put_classes(struct rem_sbuf *out, const uint64_t classes[REM_SHM_CLASSES]);

/* Appends ,"health_checks":{ and what the checks of a server counted, without the brace. */
void rem_json_put_checks(struct rem_sbuf *out, uint64_t checks, uint64_t fails, uint64_t unhealthy);

/* Appends the comma before a value, unless that is the first of its object or array. */
void rem_json_put_comma(struct rem_sbuf *out);

/* A string or integer member.  Returned text borrows from the value. */
static inline struct rem_str rem_json_str(const json_t *value)
{
    return rem_str_make(json_string_value(value), json_string_length(value));
}

/* Gauges are sums over workers that change meanwhile; a moment's -1 is no number for clients. */
static inline json_int_t rem_json_gauge(int64_t n)
{
    return n > 0 ? n : 0;
}

/* Unsigned counters beyond what a JSON integer of ours holds are cut. */
static inline json_int_t rem_json_count(uint64_t n)
{
    return n > INT64_MAX ? INT64_MAX : (json_int_t)n;
}

#endif
