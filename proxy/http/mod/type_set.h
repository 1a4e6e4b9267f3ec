/* SPDX-License-Identifier: Apache-2.0 */
/* type_set.h - which content types a filter is for: gzip_types, sub_filter_types and their like.
 *
 * text/html always belongs to a set; "*" stands for any type, even none.  */
#ifndef REM_HTTP_MOD_TYPE_SET_H
#define REM_HTTP_MOD_TYPE_SET_H

#include "proxy/conf/conf.h"
#include "proxy/conf/strmap.h"

struct rem_type_set {
    struct rem_strmap map;
    bool any;
};

/* A directive's function: the field is a struct rem_type_set *, NULL where it is not set (merging:
 * a child without one has its parent's). */
int rem_type_set_directive(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* Whether the set (NULL: text/html alone) has the type of a Content-Type, parameters aside. */
bool rem_type_set_has(const struct rem_type_set *set, struct rem_str content_type);

#endif
