/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/space.h"

#include "proto/shm/writer_priv.h"

void rem_space_region(const struct rem_writer *writer, struct rem_space *out)
{
    const struct rem_shm_header *header = writer->region.header;

    *out = (struct rem_space){
        .used = header->data + rem_alloc_used(&writer->alloc),
        .free = rem_alloc_free(&writer->alloc),
        /* relaxed: this process alone stores them */
        .requests = atomic_load_explicit(&header->space_requests, memory_order_relaxed),
        .failures = atomic_load_explicit(&header->space_failures, memory_order_relaxed),
    };
}

void rem_space_upstream(const struct rem_writer *writer, size_t index,
                        struct rem_space_upstream *out)
{
    const struct rem_shm_set *set;
    uint64_t slot = rem_object_server_slot_size(&writer->region);

    REM_CHECK(index < rem_writer_count(writer));
    set = rem_dir_set(&writer->region, writer->dir, (uint32_t)index);
    *out = (struct rem_space_upstream){
        .name = rem_set_text(set, set->name),
        .zone = rem_set_text(set, set->zone),
        .flags = set->flags,
        .bytes = set->size + rem_object_upstream_slot_size(&writer->region) + set->count * slot,
        .slot = slot,
        .slots = set->count,
        .slots_ever = set->next_id,
    };
}
