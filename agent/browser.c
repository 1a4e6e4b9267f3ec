/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/browser.h"

#include "proto/base/addr.h"

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

/* Whether `host` ends with the name that begins with a dot, and has something before it. */
static bool is_below(struct rem_str host, struct rem_str name)
{
    return host.n > name.n && rem_str_eq_nocase(rem_str_skip(host, host.n - name.n), name);
}

static bool is_address(const struct rem_authority *authority)
{
    struct rem_addr addr;

    return authority->kind == REM_HOST_IPV6 ||
           rem_addr_parse(authority->host, PORT_HTTP, &addr) == REM_OK;
}

bool rem_browser_knows_host(const struct rem_admin_host *hosts,
                            const struct rem_authority *authority)
{
    struct rem_str host = authority->host;

    if (host.n == 0 || is_address(authority) || rem_str_eq_nocase(host, REM_STR("localhost")) ||
        is_below(host, REM_STR(".localhost")))
        return true;
    for (; hosts != NULL; hosts = hosts->next)
        if (hosts->name.p[0] == '.' ? is_below(host, hosts->name)
                                    : rem_str_eq_nocase(host, hosts->name))
            return true;
    return false;
}

bool rem_browser_same_origin(struct rem_str origin, const struct rem_authority *authority)
{
    struct rem_authority from;
    uint16_t port = PORT_HTTP;

    if (rem_str_has_prefix(origin, REM_STR("http://"))) {
        origin = rem_str_skip(origin, strlen("http://"));
    } else if (rem_str_has_prefix(origin, REM_STR("https://"))) {
        origin = rem_str_skip(origin, strlen("https://"));
        port = PORT_HTTPS;
    } else {
        return false;
    }
    if (authority->host.n == 0 || rem_authority_split(origin, &from) != REM_OK)
        return false;
    return rem_str_eq_nocase(from.host, authority->host) &&
           (from.has_port ? from.port : port) == (authority->has_port ? authority->port : port);
}
