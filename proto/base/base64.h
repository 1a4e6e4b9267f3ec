/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h - base64 (RFC 4648, section 4), as it comes from strangers. */
#ifndef REM_BASE_BASE64_H
#define REM_BASE_BASE64_H

#include "proto/base/str.h"

/* Decodes into `out`, which has room for three quarters of the text; padding may be missing.
 * Returns: false for anything else, *n unchanged. */
bool rem_base64_decode(struct rem_str text, char *out, size_t *n);

#endif
