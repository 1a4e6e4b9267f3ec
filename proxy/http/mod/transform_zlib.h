/* SPDX-License-Identifier: Apache-2.0 */
/* transform_zlib.h - a run of zlib from the input of a transform into its block.
 *
 * Use:        begin, deflate or inflate once, end.  */
#ifndef REM_HTTP_MOD_TRANSFORM_ZLIB_H
#define REM_HTTP_MOD_TRANSFORM_ZLIB_H

#include "proxy/http/mod/transform.h"

#include <zlib.h>

/* Gives the stream the bytes at the front, *given of them (0: there is no input), and the block's
 * room.  Errors: of rem_transform_in_peek. */
int rem_transform_zlib_begin(struct rem_transform *t, z_stream *z, unsigned *given) REM_MUST_CHECK;

/* Takes note of what the stream has used and made.  Returns: how many bytes it has used. */
size_t rem_transform_zlib_end(struct rem_transform *t, const z_stream *z, unsigned given);

#endif
