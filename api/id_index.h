/* SPDX-License-Identifier: Apache-2.0 */
/* id_index.h - finds servers of a list by their ids.  */
#ifndef REM_API_ID_INDEX_H
#define REM_API_ID_INDEX_H

#include "proto/base/err.h"
#include "proto/shm/spec.h"

struct rem_id_slot;

struct rem_id_index {
    struct rem_id_slot *slots; /* owned */
    size_t mask;
};

/* Errors: REM_ENOMEM. */
int rem_id_index_init(struct rem_id_index *index, const struct rem_server_spec *servers,
                      size_t count) REM_MUST_CHECK;
void rem_id_index_fini(struct rem_id_index *index);

/* The place of the first server with the id, or SIZE_MAX. */
size_t rem_id_index_find(const struct rem_id_index *index, uint32_t id);

#endif
