/* SPDX-License-Identifier: Apache-2.0 */
/* source.h - the files of a configuration, each read into memory once; inside proxy/conf only. */
#ifndef REM_CONF_SOURCE_H
#define REM_CONF_SOURCE_H

#include "proxy/conf/load.h"

/* A longer file is no configuration (a device, a log). */
enum { REM_SOURCE_MAX = 256 * 1024 * 1024 };

/* The bytes of a file (absolute path, in the arena), read now or before.  Reports why not. */
int rem_source_get(struct rem_conf *cf, struct rem_str path,
                   const struct rem_conf_source **out) REM_MUST_CHECK;

#endif
