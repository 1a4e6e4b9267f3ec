/* SPDX-License-Identifier: Apache-2.0 */
/* core_error_page.c - the error_page directive; special.c does what it says. */
#include "proxy/conf/set.h"
#include "proxy/http/core_priv.h"

/* "=" or "=CODE" before the last argument.  Returns 1 taken, 0 none, negative reported. */
static int parse_overwrite(struct rem_conf *cf, struct rem_str arg, int *overwrite)
{
    int64_t code;

    if (arg.n == 0 || arg.p[0] != '=')
        return 0;
    *overwrite = 0;
    if (arg.n == 1)
        return 1;
    if (rem_conf_parse_num(rem_str_skip(arg, 1), &code) != 0 || code > 999)
        return rem_conf_error(cf, "invalid value \"%.*s\"", REM_STR_ARG(arg));
    *overwrite = (int)code;
    return 1;
}

static int parse_status(struct rem_conf *cf, struct rem_str arg, int *status)
{
    int64_t code;

    if (rem_conf_parse_num(arg, &code) != 0 || code == 499)
        return rem_conf_error(cf, "invalid value \"%.*s\"", REM_STR_ARG(arg));
    if (code < 300 || code > 599)
        return rem_conf_error(cf, "value \"%.*s\" must be between 300 and 599", REM_STR_ARG(arg));
    *status = (int)code;
    return 0;
}

int rem_core_set_error_page(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = conf;
    size_t last = cf->n_args - 1, codes_end = last;
    struct rem_value to;
    int overwrite = -1, rc;

    (void)d;
    rc = parse_overwrite(cf, cf->args[last - 1], &overwrite);
    if (rc < 0)
        return rc;
    codes_end -= (size_t)rc;
    if (codes_end < 2)
        return rem_conf_error(cf, "invalid value \"%.*s\"", REM_STR_ARG(cf->args[1]));
    rc = rem_value_compile(cf, cf->args[last], &to);
    for (size_t i = 1; rc == 0 && i < codes_end; i++) {
        struct rem_http_error_page *page = rem_set_push(cf, &location->error_pages, sizeof(*page));

        if (page == NULL)
            return REM_ENOMEM;
        page->overwrite = overwrite;
        page->to = to;
        rc = parse_status(cf, cf->args[i], &page->status);
        /* Faults of the request itself that only our logs know by their own numbers. */
        if (rc == 0 && overwrite == -1 && page->status >= 494 && page->status <= 497)
            page->overwrite = 400;
    }
    return rc;
}
