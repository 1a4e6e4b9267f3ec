/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/uri.h"

#include "proto/wire/scan.h"

#include <arpa/inet.h>

/* Splits "path?args#fragment" into its parts. */
static void split_path(struct rem_str text, struct rem_target *out)
{
    const char *hash = rem_str_chr(text, '#');
    const char *mark;

    if (REM_UNLIKELY(hash != NULL)) {
        out->has_fragment = true;
        text.n = (size_t)(hash - text.p);
    }
    mark = rem_str_chr(text, '?');
    out->path = text;
    if (mark != NULL) {
        out->has_args = true;
        out->path.n = (size_t)(mark - text.p);
        out->args = rem_str_skip(text, out->path.n + 1);
    }
}

/* Bytes of "http://" or "https://" in any case, or 0. */
static size_t scheme_size(struct rem_str target)
{
    if (target.n > 7 && rem_str_eq_nocase(rem_str_make(target.p, 7), REM_STR("http://")))
        return 7;
    if (target.n > 8 && rem_str_eq_nocase(rem_str_make(target.p, 8), REM_STR("https://")))
        return 8;
    return 0;
}

static int split_absolute(struct rem_str target, struct rem_target *out)
{
    size_t skip = scheme_size(target);
    struct rem_str rest = rem_str_skip(target, skip);
    size_t n = 0;

    if (skip == 0)
        return REM_EINVAL;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?' && rest.p[n] != '#')
        n++;
    /* Userinfo is an error by RFC 9110 section 4.2.4. */
    if (n == 0 || rest.p[0] == ':' || memchr(rest.p, '@', n) != NULL)
        return REM_EINVAL;
    out->form = REM_TARGET_ABSOLUTE;
    out->scheme = rem_str_make(target.p, skip - 3);
    out->authority = rem_str_make(rest.p, n);
    split_path(rem_str_skip(rest, n), out);
    if (out->path.n == 0)
        out->path = REM_STR("/");
    return REM_OK;
}

static int split_connect(struct rem_str target, struct rem_target *out)
{
    struct rem_authority authority;

    if (rem_authority_split(target, &authority) != REM_OK || !authority.has_port)
        return REM_EINVAL;
    out->form = REM_TARGET_AUTHORITY;
    out->authority = target;
    return REM_OK;
}

int rem_target_split(struct rem_str target, bool is_connect, bool is_options,
                     struct rem_target *out)
{
    struct rem_target parts = {0};
    int rc = REM_OK;

    if (is_connect) {
        rc = split_connect(target, &parts);
    } else if (REM_LIKELY(target.n != 0 && target.p[0] == '/')) {
        parts.form = REM_TARGET_ORIGIN;
        split_path(target, &parts);
    } else if (target.n == 1 && target.p[0] == '*' && is_options) {
        parts.form = REM_TARGET_ASTERISK;
    } else {
        rc = split_absolute(target, &parts);
    }
    if (rc == REM_OK)
        *out = parts;
    return rc;
}

/* "[v6]" at the start of `text`; returns its bytes, brackets included, or 0. */
static size_t ipv6_size(struct rem_str text)
{
    const char *close = rem_str_chr(text, ']');
    char literal[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t n;

    if (close == NULL)
        return 0;
    n = (size_t)(close - text.p) - 1;
    if (n >= sizeof(literal))
        return 0;
    memcpy(literal, text.p + 1, n);
    literal[n] = '\0';
    /* A NUL inside would hide what follows it from inet_pton. */
    if (memchr(literal, '\0', n) != NULL || inet_pton(AF_INET6, literal, &address) != 1)
        return 0;
    return n + 2;
}

/* A reg-name at the start of `text`, without empty labels but maybe the first; returns its
 * bytes, or 0. */
static size_t name_size(struct rem_str text, bool *has_upper)
{
    size_t n = 0;

    for (; n < text.n && text.p[n] != ':'; n++) {
        char c = text.p[n];

        if (c == '%') {
            if (text.n - n < 3 || rem_hex_value(text.p[n + 1]) < 0 ||
                rem_hex_value(text.p[n + 2]) < 0)
                return 0;
        } else if (!rem_scan_is(c, REM_SCAN_HOST) || (c == '.' && n != 0 && text.p[n - 1] == '.')) {
            return 0;
        }
        *has_upper |= c >= 'A' && c <= 'Z';
    }
    return n;
}

static int take_port(struct rem_str text, struct rem_authority *out)
{
    uint64_t port;

    if (text.n == 0)
        return REM_OK;
    if (text.p[0] != ':')
        return REM_EINVAL;
    text = rem_str_skip(text, 1);
    if (text.n == 0)
        return REM_OK;
    if (rem_str_to_u64(text, UINT16_MAX, &port) != REM_OK)
        return REM_EINVAL;
    out->port = (uint16_t)port;
    out->has_port = true;
    return REM_OK;
}

int rem_authority_split(struct rem_str text, struct rem_authority *out)
{
    struct rem_authority parts = {.text = text};
    size_t n;

    if (text.n != 0 && text.p[0] == '[') {
        parts.kind = REM_HOST_IPV6;
        n = ipv6_size(text);
        for (size_t i = 0; i < n; i++)
            parts.has_upper |= text.p[i] >= 'A' && text.p[i] <= 'Z';
    } else {
        n = name_size(text, &parts.has_upper);
    }
    if (n == 0 || take_port(rem_str_skip(text, n), &parts) != REM_OK)
        return REM_EINVAL;
    parts.host = rem_str_make(text.p, n);
    if (parts.kind == REM_HOST_NAME && text.p[n - 1] == '.')
        parts.host.n--;
    if (parts.host.n == 0)
        return REM_EINVAL;
    *out = parts;
    return REM_OK;
}

int rem_host_lower(const struct rem_authority *authority, struct rem_arena *arena,
                   struct rem_str *out)
{
    struct rem_str host = authority->host;
    char *p;

    if (!authority->has_upper) {
        *out = host;
        return REM_OK;
    }
    p = rem_arena_alloc(arena, host.n);
    if (p == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < host.n; i++)
        p[i] = rem_lower(host.p[i]);
    *out = rem_str_make(p, host.n);
    return REM_OK;
}

bool rem_uri_arg(struct rem_str args, struct rem_str name, struct rem_str *value)
{
    while (args.n != 0) {
        const char *amp = rem_str_chr(args, '&');
        size_t n = amp != NULL ? (size_t)(amp - args.p) : args.n;
        struct rem_str item = rem_str_make(args.p, n);

        if (rem_str_has_prefix(item, name) && (n == name.n || item.p[name.n] == '=')) {
            *value = n == name.n ? rem_str_skip(item, n) : rem_str_skip(item, name.n + 1);
            return true;
        }
        args = rem_str_skip(args, amp != NULL ? n + 1 : n);
    }
    return false;
}
