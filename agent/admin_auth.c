/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/admin_auth.h"

#include "agent/browser.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { GROUPS_AT_FIRST = 64 };

int rem_admin_auth_init(struct rem_admin_auth *auth, const struct rem_admin_spec *spec,
                        const struct rem_log *log, const struct rem_clock *clock)
{
    auth->spec = spec;
    auth->clock = clock;
    rem_failures_init(&auth->failures, spec->failures, spec->failures_ms);
    return rem_tokens_init(&auth->tokens, spec->tokens, log, clock);
}

void rem_admin_auth_fini(struct rem_admin_auth *auth)
{
    rem_tokens_fini(&auth->tokens);
}

/* ---- when a client connects ---- */

/* All groups of the process at the other end: its own and the supplementary ones. */
struct groups {
    gid_t *ids;
    size_t count;
    gid_t room[GROUPS_AT_FIRST];
};

/* Without memory or support by the system only the first group counts. */
static void get_groups(int fd, gid_t own, struct groups *out)
{
    socklen_t size = sizeof(out->room) - sizeof(gid_t);
    gid_t *more = NULL;

    out->ids = out->room;
    out->count = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, out->room + 1, &size) == 0) {
        out->count = size / sizeof(gid_t);
    } else if (errno == ERANGE) {
        more = malloc(size + sizeof(gid_t));
        if (more != NULL && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, more + 1, &size) == 0) {
            out->ids = more;
            out->count = size / sizeof(gid_t);
        } else {
            free(more);
        }
    }
    out->ids[0] = own;
    out->count++;
}

static bool is_peer(const struct rem_admin_peer *peer, const struct ucred *cred,
                    const struct groups *groups)
{
    if (!peer->group)
        return peer->id == cred->uid;
    for (size_t i = 0; i < groups->count; i++)
        if (peer->id == groups->ids[i])
            return true;
    return false;
}

static void meet_local(const struct rem_admin_auth *auth, int fd, struct rem_admin_client *out)
{
    struct ucred cred = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof(cred);
    struct groups groups;

    out->local = true;
    (void)snprintf(out->address, sizeof(out->address), "unix:");
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0) {
        (void)snprintf(out->who, sizeof(out->who), "uid:?");
        return;
    }
    (void)snprintf(out->who, sizeof(out->who), "uid:%u(pid %d)", (unsigned)cred.uid, (int)cred.pid);
    out->failures_key = rem_failures_key(&auth->failures, &cred.uid, sizeof(cred.uid));
    if (auth->spec->peers == NULL) {
        out->role = REM_ROLE_ADMIN;
        return;
    }
    get_groups(fd, cred.gid, &groups);
    for (const struct rem_admin_peer *peer = auth->spec->peers; peer != NULL; peer = peer->next)
        if (peer->role > out->role && is_peer(peer, &cred, &groups))
            out->role = peer->role;
    if (groups.ids != groups.room)
        free(groups.ids);
}

/* What is said of an IPv6 address is said of its network: a host has a whole one to choose from. */
static void meet_remote(const struct rem_admin_auth *auth, const struct rem_addr *peer,
                        struct rem_admin_client *out)
{
    bool loopback = rem_addr_is_loopback(peer);
    bool network = rem_addr_family(peer) == AF_INET6 && !loopback &&
                   !IN6_IS_ADDR_V4MAPPED(&peer->u.in6.sin6_addr);

    (void)rem_addr_text(peer, out->address, sizeof(out->address));
    (void)snprintf(out->who, sizeof(out->who), loopback ? "loopback" : "anonymous");
    if (network)
        out->failures_key = rem_failures_key(&auth->failures, &peer->u.in6.sin6_addr, 8);
    else if (rem_addr_family(peer) == AF_INET6)
        out->failures_key = rem_failures_key(&auth->failures, &peer->u.in6.sin6_addr, 16);
    else
        out->failures_key = rem_failures_key(&auth->failures, &peer->u.in.sin_addr, 4);
    if (out->most == REM_ROLE_METRICS)
        out->role = REM_ROLE_METRICS;
    else if (loopback && auth->spec->tokens == NULL)
        out->role = REM_ROLE_ADMIN;
}

void rem_admin_auth_meet(const struct rem_admin_auth *auth, int fd, enum rem_api_role most,
                         const struct rem_addr *peer, struct rem_admin_client *out)
{
    *out = (struct rem_admin_client){.most = most != REM_ROLE_NONE ? most : REM_ROLE_ADMIN};
    if (rem_addr_family(peer) == AF_INET || rem_addr_family(peer) == AF_INET6)
        meet_remote(auth, peer, out);
    else
        meet_local(auth, fd, out);
    if (out->role > out->most)
        out->role = out->most;
}

/* ---- when it asks ---- */

/* The token of an Authorization field; .p is NULL where there is none, or another scheme. */
static struct rem_str bearer(const struct rem_h1_request *head)
{
    const struct rem_field *field = rem_fields_find(&head->head.fields, REM_FIELD_AUTHORIZATION);
    struct rem_str scheme = REM_STR("bearer ");

    if (field == NULL || field->value.n <= scheme.n ||
        !rem_str_eq_nocase(rem_str_make(field->value.p, scheme.n), scheme))
        return (struct rem_str){NULL, 0};
    return rem_str_trim(rem_str_skip(field->value, scheme.n));
}

/* A page may write only where it came from, and only as somebody else's name did not lead here.
 * A token is proof enough: the browser adds none by itself. */
static void look_for_pages(const struct rem_admin_auth *auth, const struct rem_admin_client *client,
                           const struct rem_h1_request *head, bool proven,
                           struct rem_api_request *request)
{
    const struct rem_field *origin = rem_fields_find(&head->head.fields, REM_FIELD_ORIGIN);
    bool known = proven;

    if (origin == NULL && (client->local || proven))
        return;
    known = known || rem_browser_knows_host(auth->spec->hosts, &head->host);
    request->foreign_origin =
        origin != NULL && !(known && rem_browser_same_origin(origin->value, &head->host));
    request->strange_host = !known && !client->local;
    if (request->strange_host && request->role > REM_ROLE_METRICS)
        request->role = REM_ROLE_METRICS;
}

int rem_admin_auth_ask(struct rem_admin_auth *auth, struct rem_admin_client *client,
                       const struct rem_h1_request *head, struct rem_api_request *request,
                       unsigned *retry_sec)
{
    struct rem_str text = auth->tokens.count != 0 ? bearer(head) : (struct rem_str){NULL, 0};
    const struct rem_token *token = NULL;
    uint64_t wait;

    request->role = client->role;
    request->who = rem_str_from(client->who);
    request->address = rem_str_from(client->address);
    request->hopeless = auth->tokens.count == 0;
    if (text.p != NULL) {
        request->role = REM_ROLE_NONE;
        wait = client->proven
                   ? 0
                   : rem_failures_wait(&auth->failures, client->failures_key, auth->clock->mono_ms);
        *retry_sec = (unsigned)((wait + 999) / 1000);
        if (wait != 0)
            return 429;
        token = rem_tokens_find(&auth->tokens, text);
        if (token == NULL) {
            rem_failures_add(&auth->failures, client->failures_key, auth->clock->mono_ms);
            client->proven = false;
            request->wrong_token = true;
            return 401;
        }
        client->proven = true;
        request->role = token->spec->role < client->most ? token->spec->role : client->most;
        request->who = rem_str_from(token->who);
    }
    look_for_pages(auth, client, head, token != NULL, request);
    return 0;
}
