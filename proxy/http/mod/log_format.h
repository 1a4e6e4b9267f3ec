/* SPDX-License-Identifier: Apache-2.0 */
/* log_format.h - the formats of access logs: named, compiled once, written per request. */
#ifndef REM_HTTP_MOD_LOG_FORMAT_H
#define REM_HTTP_MOD_LOG_FORMAT_H

#include "proxy/conf/value.h"

enum rem_log_escape {
    REM_LOG_ESCAPE_DEFAULT = 0, /* \xHH for quotes, backslashes and unprintable bytes */
    REM_LOG_ESCAPE_JSON,
    REM_LOG_ESCAPE_NONE,
};

struct rem_log_format {
    struct rem_str name;
    enum rem_log_escape escape;
    struct rem_value value;
};

/* log_format NAME [escape=default|json|none] TEXT ...; cf->args are the directive's words. */
int rem_log_format_parse(struct rem_conf *cf, struct rem_log_format *out) REM_MUST_CHECK;

/* The format that every configuration has. */
int rem_log_format_combined(struct rem_conf *cf, struct rem_log_format *out) REM_MUST_CHECK;

/* The line for a request, its line feed included; in the eval's arena unless `room` suffices.
 * Errors: REM_ENOMEM. */
int rem_log_format_line(const struct rem_log_format *format, struct rem_eval *e, char *room,
                        size_t size, struct rem_str *out) REM_MUST_CHECK;

#endif
