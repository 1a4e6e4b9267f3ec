/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_rule.h - "where it says FROM it shall say TO": what proxy_redirect and proxy_cookie_* have
 * in common.
 *
 * Runs in:    compiled with the configuration, applied in workers.
 * Ownership:  rules live in the configuration's arena, results in the request's.
 * FROM:       text with variables, or a regular expression behind "~" (without regard to case:
 *             "~*"), whose captures TO may use.  */
#ifndef REM_UPSTREAM_PROXY_RULE_H
#define REM_UPSTREAM_PROXY_RULE_H

#include "proxy/conf/array.h"
#include "proxy/conf/capture.h"
#include "proxy/conf/value.h"
#include "proxy/http/request.h"

struct rem_proxy_rule {
    struct rem_capture *regex; /* NULL: `from` */
    struct rem_value from;
    struct rem_value to;
};

enum rem_proxy_rule_kind {
    REM_RULE_PREFIX = 0, /* FROM is what the text begins with; the rest stays */
    REM_RULE_DOMAIN,     /* FROM is all of it but for case and a leading dot; so is TO */
};

/* Whether the argument is a regular expression. */
static inline bool rem_proxy_rule_is_regex(struct rem_str from)
{
    return from.n != 0 && from.p[0] == '~';
}

/* Compiles the expression behind "~" or "~*"; `flags` of enum rem_regex_flags are added.
 * Errors: reported. */
int rem_proxy_rule_regex(struct rem_conf *cf, struct rem_str from, uint32_t flags,
                         struct rem_capture **out) REM_MUST_CHECK;

/* Compiles both sides.  Errors: reported. */
int rem_proxy_rule_compile(struct rem_conf *cf, struct rem_str from, struct rem_str to,
                           uint32_t flags, struct rem_proxy_rule *out) REM_MUST_CHECK;

/* Applies the first rule that fits.  Returns: 1, *text is another; 0, none fits; negative:
 * REM_ENOMEM, REM_EINVAL (variables). */
int rem_proxy_rules_apply(struct rem_request *request, const struct rem_array *rules,
                          enum rem_proxy_rule_kind kind, struct rem_str *text) REM_MUST_CHECK;

#endif
