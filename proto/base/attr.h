/* SPDX-License-Identifier: Apache-2.0 */
/* attr.h - compiler attributes and small macros that every file may use.
 *
 * Not here:   error codes (see err.h).  */
#ifndef REM_BASE_ATTR_H
#define REM_BASE_ATTR_H

#include <stddef.h>

#define REM_MUST_CHECK   __attribute__((warn_unused_result))
#define REM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define REM_NORETURN     __attribute__((noreturn))
#define REM_LIKELY(x)    __builtin_expect(!!(x), 1)
#define REM_UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define REM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of type `type` whose member `member` is at `ptr`. */
#define REM_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define REM_CACHE_LINE 64

#endif
