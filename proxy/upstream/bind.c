/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/bind.h"

#include "proxy/conf/merge.h"
#include "proxy/http/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Where the directive's number stands in a key; a server's uid never gets so far. */
enum { NUMBER_SHIFT = 48, NUMBER_MAX = 65535 };

/* "127.0.0.1", "127.0.0.1:8080", "[::1]": numbers only. */
static int parse_local(struct rem_str text, struct rem_addr *out)
{
    struct rem_addr_parts parts;
    struct rem_addr addr;

    if (rem_addr_split(text, &parts) != 0 ||
        (parts.kind != REM_ADDR_INET && parts.kind != REM_ADDR_INET6) ||
        rem_addr_parse(text, 1, &addr) != 0)
        return REM_EINVAL;
    if (!parts.has_port)
        rem_addr_set_port(&addr, 0);
    *out = addr;
    return 0;
}

int rem_bind_parse(struct rem_conf *cf, uint32_t number, struct rem_upstream_bind **at)
{
    struct rem_upstream_bind *bind;
    int rc;

    if (*at != REM_CONF_UNSET_PTR)
        return rem_conf_duplicate(cf);
    bind = rem_arena_zalloc(cf->arena, sizeof(*bind));
    if (bind == NULL)
        return rem_conf_nomem(cf);
    if (cf->n_args == 2 && rem_str_is(cf->args[1], "off")) {
        *at = NULL;
        return 0;
    }
    rc = rem_value_compile(cf, cf->args[1], &bind->value);
    if (rc != 0)
        return rc;
    if (rem_value_is_static(&bind->value) && parse_local(bind->value.text, &bind->addr) != 0)
        return rem_conf_error(cf, "invalid address \"%s\"", cf->args[1].p);
    if (cf->n_args == 3) {
        if (!rem_str_is(cf->args[2], "transparent"))
            return rem_conf_error(cf, "invalid parameter \"%s\"", cf->args[2].p);
        bind->transparent = true;
    }
    bind->number = number;
    *at = bind;
    return 0;
}

int rem_bind_eval(struct rem_request *request, const struct rem_upstream_bind *bind,
                  struct rem_upstream_local *out)
{
    struct rem_str text;
    int rc;

    *out = (struct rem_upstream_local){.transparent = bind->transparent};
    if (rem_value_is_static(&bind->value)) {
        out->addr = bind->addr;
        return 0;
    }
    rc = rem_http_value(request, &bind->value, &text);
    if (rc != 0 || text.n == 0)
        return rc;
    if (parse_local(text, &out->addr) != 0)
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "invalid local address \"%.*s\"",
                   REM_STR_ARG(text));
    return 0;
}

static int set_option(int fd, int level, int option)
{
    int on = 1;

    return setsockopt(fd, level, option, &on, sizeof(on)) == 0 ? 0 : REM_EIO;
}

int rem_bind_socket(int fd, const struct rem_upstream_local *local)
{
    bool v6 = rem_addr_family(&local->addr) == AF_INET6;
    int rc;

    if (local->addr.len == 0)
        return 0;
    if (local->transparent) {
        rc = v6 ? set_option(fd, SOL_IPV6, IPV6_TRANSPARENT)
                : set_option(fd, SOL_IP, IP_TRANSPARENT);
        if (rc != 0)
            return rc;
    }
    /* A port that is the kernel's choice may be shared by connections to different servers; one
     * that was asked for may still be dying. */
    if (rem_addr_port(&local->addr) == 0)
        (void)set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT);
    else
        (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    return bind(fd, &local->addr.u.sa, local->addr.len) == 0 ? 0 : REM_EIO;
}

uint64_t rem_bind_key(const struct rem_upstream_bind *bind, uint64_t key)
{
    if (bind == NULL)
        return key;
    if (!rem_value_is_static(&bind->value) || bind->number > NUMBER_MAX ||
        key >> NUMBER_SHIFT != 0 || key == 0)
        return 0;
    return key | (uint64_t)bind->number << NUMBER_SHIFT;
}
