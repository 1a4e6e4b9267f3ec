/* SPDX-License-Identifier: Apache-2.0 */
/* siphash.h - a keyed hash for tables whose keys strangers choose (SipHash-1-3).
 *
 * Without the seed nobody can make keys that collide, so a bucket's chain stays short whatever
 * clients send.  Slower than rem_hash, which is for keys of our own.  */
#ifndef REM_BASE_SIPHASH_H
#define REM_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t rem_siphash(const uint64_t seed[2], const void *p, size_t n);

#endif
