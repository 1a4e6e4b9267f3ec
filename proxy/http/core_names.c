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
    rem_hostmap_init(&names->hosts, arena);
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

int rem_http_names_add(struct rem_http_names *names, const struct rem_http_server_name *name,
                       const struct rem_http_server_conf *server)
{
    if (name->regex != NULL)
        return add_regex(names, name->regex, server);
    return rem_hostmap_add(&names->hosts, name->name, as_value(server));
}

int rem_http_names_find(const struct rem_http_names *names, struct rem_str host,
                        struct rem_eval *eval, const struct rem_http_server_conf **out)
{
    const struct rem_http_server_conf *server = rem_hostmap_find(&names->hosts, host);

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
