/* SPDX-License-Identifier: Apache-2.0 */
/* merge.h - "not set here", and what a block then inherits.
 *
 * create_* sets every field to its unset value; merge_* takes the parent's, or the default where
 * the parent has none either.  A parent is merged before its children.
 *
 *     flag, enum  int        REM_CONF_UNSET       number, off, msec, sec  int64_t  REM_CONF_UNSET
 *     size        size_t     REM_CONF_UNSET_SIZE  bitmask                 uint32_t 0
 *     str         rem_str    .p == NULL           bufs      rem_conf_bufs          .num == 0
 *     value, array, any pointer                   REM_CONF_UNSET_PTR  (or NULL where NULL means
 * unset)  */
#ifndef REM_CONF_MERGE_H
#define REM_CONF_MERGE_H

#include "proto/base/str.h"

#define REM_CONF_UNSET      (-1)
#define REM_CONF_UNSET_SIZE ((size_t)-1)
#define REM_CONF_UNSET_PTR  ((void *)-1)

/* proxy_buffers 8 4k */
struct rem_conf_bufs {
    int64_t num; /* 0: unset */
    size_t size;
};

static inline void rem_merge_flag(int *child, int parent, int fallback)
{
    if (*child == REM_CONF_UNSET)
        *child = parent == REM_CONF_UNSET ? fallback : parent;
}

static inline void rem_merge_enum(int *child, int parent, int fallback)
{
    rem_merge_flag(child, parent, fallback);
}

static inline void rem_merge_num(int64_t *child, int64_t parent, int64_t fallback)
{
    if (*child == REM_CONF_UNSET)
        *child = parent == REM_CONF_UNSET ? fallback : parent;
}

static inline void rem_merge_off(int64_t *child, int64_t parent, int64_t fallback)
{
    rem_merge_num(child, parent, fallback);
}

static inline void rem_merge_msec(int64_t *child, int64_t parent, int64_t fallback)
{
    rem_merge_num(child, parent, fallback);
}

static inline void rem_merge_sec(int64_t *child, int64_t parent, int64_t fallback)
{
    rem_merge_num(child, parent, fallback);
}

static inline void rem_merge_size(size_t *child, size_t parent, size_t fallback)
{
    if (*child == REM_CONF_UNSET_SIZE)
        *child = parent == REM_CONF_UNSET_SIZE ? fallback : parent;
}

static inline void rem_merge_bitmask(uint32_t *child, uint32_t parent, uint32_t fallback)
{
    if (*child == 0)
        *child = parent == 0 ? fallback : parent;
}

static inline void rem_merge_str(struct rem_str *child, struct rem_str parent,
                                 struct rem_str fallback)
{
    if (child->p == NULL)
        *child = parent.p == NULL ? fallback : parent;
}

static inline void rem_merge_bufs(struct rem_conf_bufs *child, struct rem_conf_bufs parent,
                                  int64_t num, size_t size)
{
    if (child->num == 0)
        *child = parent.num != 0 ? parent : (struct rem_conf_bufs){num, size};
}

/* The pointer a child ends up with; UNSET_PTR on all sides gives `fallback`. */
static inline void *rem_merge_pick(void *child, void *parent, void *fallback)
{
    if (child != REM_CONF_UNSET_PTR)
        return child;
    return parent != REM_CONF_UNSET_PTR ? parent : fallback;
}

/* For fields of any pointer type: rem_merge_ptr(conf->name, prev->name, NULL). */
#define rem_merge_ptr(child, parent, fallback)                                                     \
    ((child) = rem_merge_pick((void *)(child), (void *)(parent), (void *)(fallback)))
#define rem_merge_value rem_merge_ptr

#endif
