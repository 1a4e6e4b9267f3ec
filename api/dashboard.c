/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dashboard.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

/* The one script that may run is known by its digest. */
#define POLICY                                                                                     \
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "           \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'sha256-%.*s'"

static struct rem_str script_of(struct rem_str page)
{
    const struct rem_str begin = REM_STR("<script>"), end = REM_STR("</script>");
    const char *from = memmem(page.p, page.n, begin.p, begin.n);
    struct rem_str rest;
    const char *to;

    if (from == NULL)
        return REM_STR("");
    rest = rem_str_skip(page, (size_t)(from - page.p) + begin.n);
    to = memmem(rest.p, rest.n, end.p, end.n);
    return to != NULL ? rem_str_make(rest.p, (size_t)(to - rest.p)) : REM_STR("");
}

/* Made once; one thread serves all. */
static const char *policy_of(struct rem_str page)
{
    static char policy[sizeof(POLICY) + 64];
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct rem_str script;
    unsigned char text[64];

    if (policy[0] == '\0') {
        script = script_of(page);
        (void)SHA256((const unsigned char *)script.p, script.n, digest);
        (void)snprintf(policy, sizeof(policy), POLICY,
                       EVP_EncodeBlock(text, digest, sizeof(digest)), (const char *)text);
    }
    return policy;
}

int rem_dashboard_get(struct rem_api_call *call)
{
    const struct rem_str page =
        rem_str_make((const char *)rem_dashboard_page, rem_dashboard_page_size);
    struct rem_api_response *response = call->response;

    /* Where no answer to it could be had, it would only look broken. */
    if (call->request->role < REM_ROLE_READ && call->request->hopeless)
        return rem_fault_set(&call->fault, REM_FAULT_PATH_NOT_FOUND, "path not found");
    response->status = 200;
    response->content_type = REM_API_HTML;
    response->policy = policy_of(page);
    rem_sbuf_add(&response->body, page);
    return 0;
}
