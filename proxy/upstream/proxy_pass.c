/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_pass.c - the proxy_pass directive and the URLs it names. */
#include "proxy/http/core.h"
#include "proxy/upstream/proxy.h"

enum { HTTP_PORT = 80 };

/* Where the authority ends and the URI part begins. */
static size_t authority_end(struct rem_str s)
{
    if (rem_str_has_prefix(s, REM_STR("unix:"))) {
        const char *colon = rem_str_chr(rem_str_skip(s, 5), ':');
        return colon != NULL ? (size_t)(colon - s.p) : s.n;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '/' || s.p[i] == '?' || s.p[i] == '#')
            return i;
    }
    return s.n;
}

static const char *wrong(struct rem_arena *arena, const char *what, struct rem_str text)
{
    struct rem_str message =
        rem_arena_printf(arena, "%s in upstream \"%.*s\"", what, REM_STR_ARG(text));

    return message.p != NULL ? message.p : what;
}

static const char *parse_host(struct rem_arena *arena, struct rem_str authority,
                              struct rem_proxy_url *out)
{
    struct rem_addr_parts parts;
    const char *bracket;

    if (authority.n == 0 || authority.p[0] == ':')
        return wrong(arena, "no host", authority);
    bracket = authority.p[0] == '[' ? rem_str_chr(authority, ']') : NULL;
    if (authority.p[0] == '[' && bracket == NULL)
        return wrong(arena, "invalid host", authority);
    if (rem_addr_split(authority, &parts) != 0)
        return wrong(arena,
                     rem_str_chr(bracket != NULL
                                     ? rem_str_skip(authority, (size_t)(bracket - authority.p))
                                     : authority,
                                 ':') != NULL
                         ? "invalid port"
                         : "invalid host",
                     authority);
    out->host = authority;
    if (parts.has_port) {
        const char *colon = authority.p + authority.n;
        while (colon[-1] != ':')
            colon--;
        out->host.n = (size_t)(colon - 1 - authority.p);
        out->port = parts.port;
    }
    out->host_header = out->port == HTTP_PORT ? out->host : authority;
    out->port_text = rem_arena_printf(arena, "%u", out->port != 0 ? (unsigned)out->port : 80u);
    return out->port_text.p != NULL ? NULL : "out of memory";
}

const char *rem_proxy_url_parse(struct rem_arena *arena, struct rem_str text,
                                struct rem_proxy_url *out)
{
    const struct rem_str http = REM_STR("http://"), https = REM_STR("https://");
    struct rem_str rest, authority;

    memset(out, 0, sizeof(*out));
    if (text.n >= https.n && rem_str_eq_nocase(rem_str_make(text.p, https.n), https))
        return "https protocol requires SSL support";
    if (text.n < http.n || !rem_str_eq_nocase(rem_str_make(text.p, http.n), http))
        return "invalid URL prefix";
    rest = rem_str_skip(text, http.n);
    authority = rem_str_make(rest.p, authority_end(rest));
    out->uri = rem_str_skip(rest, authority.n);
    if (!rem_str_has_prefix(authority, REM_STR("unix:"))) {
        const char *bad = parse_host(arena, authority, out);
        /* nginx shows what it was given, URI part and all. */
        return bad != NULL && authority.n == 0 && rest.n != 0 ? wrong(arena, "no host", rest) : bad;
    }
    if (authority.n == 5)
        return wrong(arena, "no path in the unix domain socket", rest);
    if (out->uri.n != 0)
        out->uri = rem_str_skip(out->uri, 1); /* the colon */
    out->host = authority;
    out->host_header = REM_STR("localhost");
    out->port_text = REM_STR("");
    return NULL;
}

static int pass_static(struct rem_conf *cf, struct rem_proxy_target *target,
                       const struct rem_http_location_conf *location)
{
    const char *bad = rem_proxy_url_parse(cf->arena, target->text, &target->url);

    if (bad != NULL)
        return rem_conf_error(cf, "%s", bad);
    if (target->url.uri.n != 0 && (location->regex != NULL || location->named))
        return rem_conf_error(cf, "\"proxy_pass\" cannot have URI part in location given by "
                                  "regular expression, or inside named location, or inside \"if\" "
                                  "statement, or inside \"limit_except\" block");
    if (target->url.uri.n != 0 && (cf->context & (REM_CTX_LOCATION_IF | REM_CTX_LIMIT_EXCEPT)))
        return rem_conf_error(cf, "\"proxy_pass\" cannot have URI part in location given by "
                                  "regular expression, or inside named location, or inside \"if\" "
                                  "statement, or inside \"limit_except\" block");
    target->location = location->name;
    return rem_upstream_conf_want(cf, target->url.host, target->url.port, HTTP_PORT,
                                  &target->upstream);
}

int rem_proxy_pass_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    const struct rem_http_location_conf *location = rem_conf_location(cf, &rem_http_core_module);
    struct rem_proxy_conf *proxy = conf;
    struct rem_proxy_target *target;
    struct rem_value *value;
    int rc;

    (void)d;
    if (proxy->target != NULL)
        return rem_conf_duplicate(cf);
    target = rem_arena_zalloc(cf->arena, sizeof(*target));
    value = rem_arena_zalloc(cf->arena, sizeof(*value));
    if (target == NULL || value == NULL)
        return rem_conf_nomem(cf);
    target->text = cf->args[1];
    rc = rem_value_compile(cf, target->text, value);
    if (rc != 0)
        return rc;
    if (rem_value_is_static(value)) {
        rc = pass_static(cf, target, location);
        if (rc != 0)
            return rc;
    } else {
        target->value = value;
        target->location = location->name;
    }
    proxy->target = target;
    rem_core_set_handler(cf, rem_proxy_handle);
    return 0;
}
