/* SPDX-License-Identifier: Apache-2.0 */
/* set.h - ready-made directive functions, and the readers of numbers behind them.
 *
 * Each rem_set_* fills the field at conf + d->offset, of the type merge.h lists for it, and
 * refuses a second value in the same block ("NAME" directive is duplicate).  */
#ifndef REM_CONF_SET_H
#define REM_CONF_SET_H

#include "proxy/conf/array.h"
#include "proxy/conf/conf.h"
#include "proxy/conf/merge.h"

/* d->data for rem_set_enum and rem_set_bitmask: ends with an entry without name. */
struct rem_conf_choice {
    const char *name;
    uint32_t value;
};

/* d->data for rem_set_num (optional): inclusive. */
struct rem_conf_bounds {
    int64_t min;
    int64_t max;
};

/* Directives of nginx that steer what remora does not have: naming them keeps configurations
 * portable, and a warning keeps nobody in the dark. */
int rem_set_without_effect(struct rem_conf *cf, const struct rem_directive *d, void *conf);

int rem_set_flag(struct rem_conf *cf, const struct rem_directive *d, void *conf);    /* int */
int rem_set_str(struct rem_conf *cf, const struct rem_directive *d, void *conf);     /* rem_str */
int rem_set_num(struct rem_conf *cf, const struct rem_directive *d, void *conf);     /* int64_t */
int rem_set_size(struct rem_conf *cf, const struct rem_directive *d, void *conf);    /* size_t */
int rem_set_off(struct rem_conf *cf, const struct rem_directive *d, void *conf);     /* int64_t */
int rem_set_msec(struct rem_conf *cf, const struct rem_directive *d, void *conf);    /* int64_t */
int rem_set_sec(struct rem_conf *cf, const struct rem_directive *d, void *conf);     /* int64_t */
int rem_set_enum(struct rem_conf *cf, const struct rem_directive *d, void *conf);    /* int */
int rem_set_bitmask(struct rem_conf *cf, const struct rem_directive *d, void *conf); /* uint32_t */
int rem_set_bufs(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_set_value(struct rem_conf *cf, const struct rem_directive *d, void *conf); /* rem_value * */
/* rem_array * of struct rem_str: each use of the directive appends its arguments. */
int rem_set_strs(struct rem_conf *cf, const struct rem_directive *d, void *conf);
/* rem_str, made absolute with the prefix. */
int rem_set_path(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* For directives that may be repeated: one more element, zeroed, of a field's list, which is made
 * when it is unset or NULL.  NULL without memory (reported). */
void *rem_set_push(struct rem_conf *cf, struct rem_array **list, size_t size) REM_MUST_CHECK;

/* Errors of all: REM_EINVAL (also overflow); *out unchanged then. */
int rem_conf_parse_num(struct rem_str s, int64_t *out) REM_MUST_CHECK;
int rem_conf_parse_size(struct rem_str s, size_t *out) REM_MUST_CHECK;  /* 10, 8k, 1M */
int rem_conf_parse_off(struct rem_str s, int64_t *out) REM_MUST_CHECK;  /* and 2g */
int rem_conf_parse_msec(struct rem_str s, int64_t *out) REM_MUST_CHECK; /* 30 (s), 500ms, 1h 30m */
int rem_conf_parse_sec(struct rem_str s, int64_t *out) REM_MUST_CHECK;

#endif
