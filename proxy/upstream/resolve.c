/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.c - the state RESOLVE: the addresses of a name that a variable gave. */
#include "proxy/http/mod/resolver.h"
#include "proxy/net/resolver.h"
#include "proxy/upstream/upstream_priv.h"

struct rem_upstream_resolve {
    struct rem_str host;
    uint16_t port;
    struct rem_dns_query *query; /* NULL: not asked, or answered */
    bool asked;
    bool answered;
    int code;               /* enum rem_dns_code */
    struct rem_addr *addrs; /* in the request's arena */
    uint32_t count;
};

int rem_resolve_init(struct rem_upstream_exchange *x, struct rem_str host, uint16_t port)
{
    struct rem_upstream_resolve *resolve = rem_arena_zalloc(&x->request->arena, sizeof(*resolve));

    if (resolve == NULL)
        return REM_ENOMEM;
    resolve->host = host;
    resolve->port = port;
    x->resolve = resolve;
    return 0;
}

void rem_resolve_fini(struct rem_upstream_exchange *x)
{
    if (x->resolve != NULL)
        rem_dns_cancel(&x->resolve->query);
}

/* The addresses in another order for each request, so that the first one does not get them all. */
static void keep_addrs(struct rem_upstream_exchange *x, const struct rem_dns_answer *answer)
{
    struct rem_upstream_resolve *resolve = x->resolve;
    size_t first = (size_t)(x->request->worker->next_number % answer->count);

    resolve->addrs = rem_arena_alloc(&x->request->arena, answer->count * sizeof(*resolve->addrs));
    if (resolve->addrs == NULL)
        return;
    for (size_t i = 0; i < answer->count; i++)
        resolve->addrs[i] = answer->targets[(first + i) % answer->count].addr;
    resolve->count = (uint32_t)answer->count;
}

static void on_answer(void *data, int code, const struct rem_dns_answer *answer)
{
    struct rem_upstream_exchange *x = data;

    x->resolve->query = NULL;
    x->resolve->answered = true;
    x->resolve->code = code;
    if (answer != NULL && answer->count != 0)
        keep_addrs(x, answer);
    rem_upstream_run(x);
}

static void resolve_failed(struct rem_upstream_exchange *x, int code)
{
    REM_LOG_IN(&x->request->log, REM_LOG_ERROR, 0, "%.*s could not be resolved (%d: %s)",
               REM_STR_ARG(x->resolve->host), code, rem_dns_code_text(code));
}

/* Returns REM_OK (asked, perhaps answered), or a status. */
static int resolve_ask(struct rem_upstream_exchange *x)
{
    const struct rem_resolver_conf *conf = rem_resolver_conf(x->request);
    struct rem_upstream_resolve *resolve = x->resolve;
    struct rem_dns *dns;
    int rc;

    if (conf->spec == NULL) {
        REM_LOG_IN(&x->request->log, REM_LOG_ERROR, 0, "no resolver defined to resolve %.*s",
                   REM_STR_ARG(resolve->host));
        return 502;
    }
    dns = rem_resolver_get(x->request->worker, conf->spec);
    if (dns == NULL)
        return 500;
    const struct rem_dns_question question = {
        .name = resolve->host,
        .port = resolve->port,
        .timeout_ms = (uint64_t)conf->timeout_ms,
        .done = on_answer,
        .data = x,
    };
    resolve->asked = true;
    rc = rem_dns_addrs(dns, &question, &resolve->query);
    if (rc == REM_EINVAL)
        resolve_failed(x, REM_DNS_FORMERR);
    return rc == 0 ? 0 : rc == REM_EINVAL ? 502 : 500;
}

enum rem_upstream_step rem_step_resolve(struct rem_upstream_exchange *x)
{
    struct rem_upstream_resolve *resolve = x->resolve;
    int rc;

    if (x->client_gone)
        return rem_upstream_end(x, 499);
    if (!resolve->asked) {
        rc = resolve_ask(x);
        if (rc != 0)
            return rem_upstream_end(x, rc);
    }
    if (!resolve->answered)
        return REM_STEP_WAIT;
    if (resolve->code != REM_DNS_OK) {
        resolve_failed(x, resolve->code);
        return rem_upstream_end(x, 502);
    }
    if (resolve->count == 0)
        return rem_upstream_end(x, 500);
    x->literals = resolve->addrs;
    x->literal_count = resolve->count;
    rem_upstream_goto(x, REM_UPSTREAM_PICK);
    return REM_STEP_NEXT;
}
