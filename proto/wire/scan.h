/* SPDX-License-Identifier: Apache-2.0 */
/* scan.h - how far a run of allowed bytes reaches, sixteen bytes at a time where the CPU can.
 *
 * Each rem_scan_x has a rem_scan_x_portable that gives the same results one byte at a time; a
 * test compares them.  None reads past p + n.  */
#ifndef REM_WIRE_SCAN_H
#define REM_WIRE_SCAN_H

#include "proto/base/attr.h"

#include <stdint.h>

/* What a byte may be part of. */
enum rem_scan_class {
    REM_SCAN_TOKEN = 1 << 0,  /* RFC 9110 section 5.6.2 */
    REM_SCAN_NAME = 1 << 1,   /* a field name nobody argues about: letters, digits, "-" */
    REM_SCAN_VALUE = 1 << 2,  /* field values: HTAB, SP, visible, 0x80 and above */
    REM_SCAN_TARGET = 1 << 3, /* request targets: visible, 0x80 and above */
    REM_SCAN_METHOD = 1 << 4, /* upper-case letters, digits, "-", "_" */
    REM_SCAN_HOST = 1 << 5,   /* reg-name without "%" and "," */
};

extern const uint8_t rem_scan_classes[256];

static inline int rem_scan_is(char c, unsigned classes)
{
    return rem_scan_classes[(unsigned char)c] & classes;
}

/* How many of the `n` bytes at `p` are, from the first on, of the class. */
size_t rem_scan_name(const char *p, size_t n);
size_t rem_scan_value(const char *p, size_t n);
size_t rem_scan_target(const char *p, size_t n);

size_t rem_scan_name_portable(const char *p, size_t n);
size_t rem_scan_value_portable(const char *p, size_t n);
size_t rem_scan_target_portable(const char *p, size_t n);

#endif
