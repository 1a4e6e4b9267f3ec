/* SPDX-License-Identifier: Apache-2.0 */
/* split_clients.h - the hash that split_clients divides. */
#ifndef REM_HTTP_MOD_SPLIT_CLIENTS_H
#define REM_HTTP_MOD_SPLIT_CLIENTS_H

#include "proto/base/str.h"

/* MurmurHash2 of 32 bits. */
uint32_t rem_murmur2(struct rem_str s, uint32_t seed);

#endif
