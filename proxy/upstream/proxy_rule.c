/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/proxy_rule.h"

#include "proto/wire/put.h"
#include "proxy/http/http.h"

/* ---- reading ---- */

int rem_proxy_rule_regex(struct rem_conf *cf, struct rem_str from, uint32_t flags,
                         struct rem_capture **out)
{
    struct rem_str pattern = rem_str_skip(from, 1);
    struct rem_capture *regex = rem_arena_zalloc(cf->arena, sizeof(*regex));

    if (regex == NULL)
        return rem_conf_nomem(cf);
    if (pattern.n != 0 && pattern.p[0] == '*') {
        pattern = rem_str_skip(pattern, 1);
        flags |= REM_REGEX_NOCASE;
    }
    *out = regex;
    return rem_capture_compile(cf, pattern, flags, regex);
}

int rem_proxy_rule_compile(struct rem_conf *cf, struct rem_str from, struct rem_str to,
                           uint32_t flags, struct rem_proxy_rule *out)
{
    int rc;

    memset(out, 0, sizeof(*out));
    if (rem_proxy_rule_is_regex(from))
        rc = rem_proxy_rule_regex(cf, from, flags, &out->regex);
    else
        rc = rem_value_compile(cf, from, &out->from);
    return rc != 0 ? rc : rem_value_compile(cf, to, &out->to);
}

/* ---- applying ---- */

static struct rem_str without_dot(struct rem_str domain)
{
    return domain.n != 0 && domain.p[0] == '.' ? rem_str_skip(domain, 1) : domain;
}

/* Says what of `text` stays before and behind the replacement, if `from` fits. */
static bool rule_fits(enum rem_proxy_rule_kind kind, struct rem_str from, struct rem_str text,
                      struct rem_str *before, struct rem_str *behind)
{
    struct rem_str bare = without_dot(text);

    if (kind == REM_RULE_PREFIX) {
        *behind = rem_str_skip(text, rem_str_has_prefix(text, from) ? from.n : 0);
        return rem_str_has_prefix(text, from);
    }
    *before = rem_str_make(text.p, text.n - bare.n);
    return rem_str_eq_nocase(bare, without_dot(from));
}

static int rule_apply(struct rem_request *request, const struct rem_proxy_rule *rule,
                      enum rem_proxy_rule_kind kind, struct rem_str *text)
{
    struct rem_str before = {NULL, 0}, behind = {NULL, 0}, from, to;
    int rc;

    if (rule->regex != NULL) {
        rc = rem_capture_match(rule->regex, &request->eval, *text);
        if (rc <= 0)
            return rc == REM_ENOMEM ? rc : 0;
    } else {
        rc = rem_http_value(request, &rule->from, &from);
        if (rc != 0)
            return rc;
        if (!rule_fits(kind, from, *text, &before, &behind))
            return 0;
    }
    rc = rem_http_value(request, &rule->to, &to);
    if (rc != 0)
        return rc;
    if (kind == REM_RULE_DOMAIN && rule->regex == NULL)
        to = without_dot(to);
    /* A variable may hold what the client encoded; a line end would be a field of its own. */
    if (!rem_put_is_value(to)) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "control characters in a rewritten field");
        return REM_EINVAL;
    }
    *text = rem_arena_printf(&request->arena, "%.*s%.*s%.*s", REM_STR_ARG(before), REM_STR_ARG(to),
                             REM_STR_ARG(behind));
    return text->p != NULL ? 1 : REM_ENOMEM;
}

int rem_proxy_rules_apply(struct rem_request *request, const struct rem_array *rules,
                          enum rem_proxy_rule_kind kind, struct rem_str *text)
{
    for (uint32_t i = 0; rules != NULL && i < rules->n; i++) {
        int rc = rule_apply(request, rem_array_at(rules, i), kind, text);
        if (rc != 0)
            return rc;
    }
    return 0;
}
