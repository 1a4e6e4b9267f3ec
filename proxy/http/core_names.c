/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/core_names.h"

/* Maps keep pointers without const; the servers themselves are never changed through them. */
static void *as_value(const struct rem_http_server_conf *server)
{
    return (void *)(uintptr_t)server;
}

void rem_http_names_init(struct rem_http_names *names, struct rem_arena *arena)
{
    *names = (struct rem_http_names){.arena = arena};
    rem_strmap_init(&names->exact, arena, false);
    rem_strmap_init(&names->head, arena, false);
    rem_strmap_init(&names->tail, arena, false);
}

static int add_regex(struct rem_http_names *names, const struct rem_capture *regex,
                     const struct rem_http_server_conf *server)
{
    if (names->n_regexes == names->room_regexes) {
        uint32_t room = names->room_regexes != 0 ? names->room_regexes * 2 : 4;
        struct rem_http_names_regex *more =
            rem_arena_alloc(names->arena, room * sizeof(struct rem_http_names_regex));

        if (more == NULL)
            return REM_ENOMEM;
        if (names->n_regexes != 0)
            memcpy(more, names->regexes, names->n_regexes * sizeof(*more));
        names->regexes = more;
        names->room_regexes = room;
    }
    names->regexes[names->n_regexes++] = (struct rem_http_names_regex){regex, server};
    return 0;
}

static int add_head(struct rem_http_names *names, struct rem_str key,
                    const struct rem_http_server_conf *server)
{
    int rc = rem_strmap_add(&names->head, key, as_value(server));

    if (rc == 0 && key.n > names->head_longest)
        names->head_longest = key.n;
    return rc;
}

static int add_tail(struct rem_http_names *names, struct rem_str key,
                    const struct rem_http_server_conf *server)
{
    int rc = rem_strmap_add(&names->tail, key, as_value(server));

    if (rc == 0 && key.n > names->tail_longest)
        names->tail_longest = key.n;
    return rc;
}

/* ".x" is "x" and "*.x" at once: it is taken only if both are free. */
static int add_both(struct rem_http_names *names, struct rem_str key,
                    const struct rem_http_server_conf *server)
{
    int rc;

    if (rem_strmap_get(&names->exact, key) != NULL || rem_strmap_get(&names->head, key) != NULL)
        return REM_EEXIST;
    rc = rem_strmap_add(&names->exact, key, as_value(server));
    return rc != 0 ? rc : add_head(names, key, server);
}

static bool has_empty_label(struct rem_str s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] == '.' && s.p[i + 1] == '.')
            return true;
    }
    return false;
}

int rem_http_names_add(struct rem_http_names *names, const struct rem_http_server_name *name,
                       const struct rem_http_server_conf *server)
{
    struct rem_str s = name->name;
    bool head, tail, both;

    if (name->regex != NULL)
        return add_regex(names, name->regex, server);

    both = s.n > 1 && s.p[0] == '.';
    head = s.n > 2 && s.p[0] == '*' && s.p[1] == '.';
    tail = s.n > 2 && s.p[s.n - 1] == '*' && s.p[s.n - 2] == '.';
    if (both)
        s = rem_str_skip(s, 1);
    else if (head)
        s = rem_str_skip(s, 2);
    else if (tail)
        s.n -= 2;
    if (rem_str_chr(s, '*') != NULL || has_empty_label(s) ||
        ((both || head || tail) && (s.n == 0 || s.p[0] == '.')))
        return REM_EINVAL;

    if (both)
        return add_both(names, s, server);
    if (head)
        return add_head(names, s, server);
    if (tail)
        return add_tail(names, s, server);
    return rem_strmap_add(&names->exact, s, as_value(server));
}

/* The ends of the host behind its dots, the longest first. */
static const struct rem_http_server_conf *find_head(const struct rem_http_names *names,
                                                    struct rem_str host)
{
    for (size_t i = 1; i + 1 < host.n; i++) {
        struct rem_str rest = rem_str_skip(host, i + 1);
        const struct rem_http_server_conf *server;

        if (host.p[i] != '.' || rest.n > names->head_longest)
            continue;
        server = rem_strmap_get(&names->head, rest);
        if (server != NULL)
            return server;
    }
    return NULL;
}

/* The beginnings of the host before its dots, the longest first. */
static const struct rem_http_server_conf *find_tail(const struct rem_http_names *names,
                                                    struct rem_str host)
{
    for (size_t i = host.n; i-- > 1;) {
        const struct rem_http_server_conf *server;

        if (host.p[i] != '.' || i > names->tail_longest || i + 1 == host.n)
            continue;
        server = rem_strmap_get(&names->tail, rem_str_make(host.p, i));
        if (server != NULL)
            return server;
    }
    return NULL;
}

int rem_http_names_find(const struct rem_http_names *names, struct rem_str host,
                        struct rem_eval *eval, const struct rem_http_server_conf **out)
{
    const struct rem_http_server_conf *server = rem_strmap_get(&names->exact, host);

    if (server == NULL && names->head_longest != 0)
        server = find_head(names, host);
    if (server == NULL && names->tail_longest != 0)
        server = find_tail(names, host);

    if (server == NULL && eval != NULL && host.n != 0) {
        for (uint32_t i = 0; i < names->n_regexes; i++) {
            int rc = rem_capture_match(names->regexes[i].regex, eval, host);

            if (rc < 0)
                return rc;
            if (rc > 0) {
                server = names->regexes[i].server;
                break;
            }
        }
    }
    *out = server;
    return 0;
}
