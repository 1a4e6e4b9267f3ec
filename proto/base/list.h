/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - an intrusive doubly linked ring.
 *
 * A node that is on no list points at itself, so that removing it twice does no harm.  */
#ifndef REM_BASE_LIST_H
#define REM_BASE_LIST_H

#include "proto/base/attr.h"

#include <stdbool.h>

struct rem_list {
    struct rem_list *next;
    struct rem_list *prev;
};

static inline void rem_list_init(struct rem_list *node)
{
    node->next = node;
    node->prev = node;
}

static inline bool rem_list_empty(const struct rem_list *head)
{
    return head->next == head;
}

/* Inserts `node` (on no list) behind `at`; with a head: as its first element. */
static inline void rem_list_insert(struct rem_list *at, struct rem_list *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}

/* Inserts `node` (on no list) as the last element. */
static inline void rem_list_append(struct rem_list *head, struct rem_list *node)
{
    rem_list_insert(head->prev, node);
}

static inline void rem_list_remove(struct rem_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    rem_list_init(node);
}

#define REM_LIST_ENTRY(node, type, member) REM_CONTAINER(node, type, member)

/* Walks a list whose current element may be removed inside the loop. */
#define REM_LIST_EACH(node, head)                                                                  \
    for (struct rem_list *node = (head)->next, *node##_next = node->next; node != (head);          \
         node = node##_next, node##_next = node->next)

#endif
