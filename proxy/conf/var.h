/* SPDX-License-Identifier: Apache-2.0 */
/* var.h - variables: names known to a configuration, and their values for one request.
 *
 * Two lists meet here.  *Definitions* come from modules and from directives (set, map): a name
 * or a prefix and a function.  *References* come from texts that mention $name: each distinct name
 * gets an index, the place of its value in the per-request cache.  rem_vars_resolve joins them when
 * the configuration is complete; a reference nobody defines is an error there.
 *
 * Runs in:    definitions while a configuration is read; values in workers.
 * Not here:   HTTP (a request is an opaque subject), texts with variables (value.h).  */
#ifndef REM_CONF_VAR_H
#define REM_CONF_VAR_H

#include "proxy/conf/conf.h"
#include "proxy/conf/strmap.h"

struct rem_eval;
struct rem_var;

enum rem_var_state {
    REM_VAR_UNASKED = 0, /* a zeroed cache is a fresh cache */
    REM_VAR_FOUND,
    REM_VAR_NOT_FOUND, /* the text is empty, but `not found` shows as "-" in logs */
};

struct rem_var_value {
    struct rem_str str; /* lives as long as e->arena, or longer */
    uint8_t state;      /* enum rem_var_state */
    uint8_t nocache;    /* set by a get function: ask again next time, this once */
};

/* Fills in out->str and out->state.  Returns 0, or negative when the request cannot go on. */
typedef int (*rem_var_get_fn)(struct rem_eval *e, const struct rem_var *v,
                              struct rem_var_value *out);
/* What `set $name value` does to a variable that is more than its cached text ($args). */
typedef int (*rem_var_set_fn)(struct rem_eval *e, const struct rem_var *v, struct rem_str value);

enum rem_var_flags {
    REM_VAR_CHANGEABLE = 1u << 0, /* may be defined again: set, map, a named capture */
    REM_VAR_NOCACHE = 1u << 1,    /* asked every time */
    REM_VAR_PREFIX = 1u << 2,     /* stands for all names that begin so: arg_, http_ */
    REM_VAR_CLIENTLESS = 1u << 3, /* may be asked where no client has sent a request */
};

/* A definition, and after rem_vars_resolve also what an index stands for. */
struct rem_var {
    struct rem_str name; /* lower case, without $ */
    struct rem_str rest; /* of a PREFIX reference: the name behind the prefix */
    rem_var_get_fn get;  /* NULL: only ever set; the empty text before that */
    rem_var_set_fn set;  /* NULL: setting stores in the cache */
    const void *data;
    uint32_t flags;
    uint32_t index; /* of references */
};

struct rem_vars;

/* Returns NULL without memory. */
struct rem_vars *rem_vars_new(struct rem_arena *arena) REM_MUST_CHECK;

/* Defines a variable.  Returns it, so that the caller may set `set`; a CHANGEABLE definition that
 * exists is returned as it is, with `get` and `data` replaced if `get` is not NULL.
 * Returns NULL when the name exists and is not CHANGEABLE, or without memory. */
struct rem_var *rem_var_add(struct rem_vars *vars, struct rem_str name, rem_var_get_fn get,
                            const void *data, uint32_t flags) REM_MUST_CHECK;

/* The name in an argument that must be "$name"; reports `invalid variable name "x"`. */
int rem_conf_var_name(struct rem_conf *cf, struct rem_str arg, struct rem_str *name) REM_MUST_CHECK;

/* As rem_var_add for a name from the configuration file ("$name" with or without $); reports
 * `invalid variable name "x"` and `the duplicate "x" variable`. */
int rem_conf_var_add(struct rem_conf *cf, struct rem_str name, rem_var_get_fn get, const void *data,
                     uint32_t flags, struct rem_var **out) REM_MUST_CHECK;

/* The definition of a name (no prefixes), or NULL. */
struct rem_var *rem_var_find(const struct rem_vars *vars, struct rem_str name);

/* Whether a prefix (http_) gives the name, in lower case, a meaning. */
bool rem_vars_has_prefix(const struct rem_vars *vars, struct rem_str name);

/* The index of a name (case-insensitive), now referred to; `pos` is named if it stays unknown.
 * Errors: REM_ENOMEM, REM_EINVAL (no name). */
int rem_var_index(struct rem_vars *vars, struct rem_str name, struct rem_conf_pos pos,
                  uint32_t *out) REM_MUST_CHECK;

/* Joins references and definitions; to be called once, after everything is merged.  Reports
 * `unknown "x" variable` where x was first mentioned. */
int rem_vars_resolve(struct rem_vars *vars, struct rem_conf *cf) REM_MUST_CHECK;

/* How many values a request's cache must have room for. */
uint32_t rem_vars_count(const struct rem_vars *vars);

/* A copy of resolved variables in which all that lack `flag` are empty: for texts that are
 * evaluated where asking them would make no sense.  Returns NULL without memory. */
struct rem_vars *rem_vars_only(const struct rem_vars *vars, struct rem_arena *arena,
                               uint32_t flag) REM_MUST_CHECK;

/* What index i stands for, after rem_vars_resolve. */
const struct rem_var *rem_vars_at(const struct rem_vars *vars, uint32_t i);

/* All that the value of a variable may depend on.  Zero it, then fill in the first group. */
struct rem_eval {
    void *subject;               /* the request */
    struct rem_arena *arena;     /* of the request: results live here */
    const struct rem_vars *vars; /* of the configuration the request came in under */
    struct rem_var_value *cache; /* rem_vars_count() of them, zeroed */

    /* The last regular expression that matched: $1 is captured[ovector[2]] to [ovector[3]]. */
    const char *captured;
    const size_t *ovector;
    uint32_t n_captures; /* $0 counts; 0: none */

    uint16_t depth;               /* variables being asked within each other */
    const struct rem_var *failed; /* whose get failed, for the log: a cycle when depth ran out */
};

enum { REM_VAR_MAX_DEPTH = 100 };

/* The value of a variable; cached unless it says NOCACHE.  Borrowed as e->arena lives.
 * Errors: what the get function returned; REM_EINVAL for a cycle. */
int rem_var_get(struct rem_eval *e, uint32_t index,
                const struct rem_var_value **out) REM_MUST_CHECK;

/* Gives a variable a value for this request (`set`, auth_request_set); `value` must live as long as
 * the request. */
int rem_var_set(struct rem_eval *e, uint32_t index, struct rem_str value) REM_MUST_CHECK;

/* Forgets all cached values (internal redirects keep them; a new request does not). */
void rem_var_forget(struct rem_eval *e);

#endif
