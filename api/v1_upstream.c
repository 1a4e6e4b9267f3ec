/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: upstreams as a whole, those that no configuration names among them. */
#include "api/server_json.h"
#include "api/upstream_json.h"
#include "api/v1.h"

/* What GET shows besides and what may be given back: it says nothing to a write. */
static const char *const shown_only[] = {
    "revision", "applied", "zone",     "static",  "runtime",
    "idle",     "zombies", "requests", "no_live", "counters",
};

static bool is_shown_only(const char *key)
{
    for (size_t i = 0; i < REM_COUNT(shown_only); i++)
        if (strcmp(shown_only[i], key) == 0)
            return true;
    return false;
}

/* A name that may stand where a host does: what `proxy_pass http://$name` looks for is in lower
 * case. */
static int check_name(struct rem_api_call *call, struct rem_str name)
{
    bool good = name.n != 0 && name.n <= REM_UPSTREAM_NAME_MAX;

    for (size_t i = 0; good && i < name.n; i++)
        good = (name.p[i] >= 'a' && name.p[i] <= 'z') || rem_is_digit(name.p[i]) ||
               (i != 0 && strchr("-._", name.p[i]) != NULL);
    if (good)
        return 0;
    return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                         "an upstream's name has lower-case letters, digits, \"-\", \".\" and "
                         "\"_\", and begins with none of the latter");
}

/* ---- steps ---- */

/* Does the configuration have a key for the upstream's hash, whatever its method is now? */
static bool is_keyed(struct rem_api *api, const struct rem_upstream_spec *now)
{
    const struct rem_upstream_spec *conf = rem_api_conf(api, now->name);

    return rem_upstream_json_keyed(conf != NULL ? conf->method : now->method);
}

/* The present upstream, or *exists == false and what a new one begins with.  *out borrows from the
 * change. */
static int begin(struct rem_api_call *call, struct rem_str name, struct rem_upstream_spec *out,
                 bool *exists)
{
    const struct rem_upstream_spec *now;
    int rc = rem_call_change(call);

    if (rc != 0)
        return rc;
    rc = rem_change_get(call->api->change, name, &now);
    *exists = rc == REM_OK && rem_call_is_shown(now);
    if (rc == REM_OK && now->flags & REM_UPSTREAM_IMPLICIT)
        return rem_fault_set(&call->fault, REM_FAULT_ENTRY_EXISTS,
                             "\"%.*s\" is an address in proxy_pass", REM_STR_ARG(name));
    if (rc != REM_OK && rc != REM_ENOTFOUND)
        return rem_call_fault(call, rc, NULL);
    if (*exists) {
        *out = *now;
        return 0;
    }
    *out = (struct rem_upstream_spec){.name = name, .zone = name, .flags = REM_UPSTREAM_RUNTIME};
    rem_upstream_json_defaults(out);
    return check_name(call, name);
}

/* Reads all members but the servers into *spec. */
static int read_members(struct rem_api_call *call, const json_t *object, bool keyed,
                        struct rem_upstream_spec *spec)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        int rc;
        if (strcmp(key, "servers") == 0 || is_shown_only(key))
            continue;
        if (strcmp(key, "name") == 0) {
            if (!json_is_string(value) || !rem_str_eq(rem_json_str(value), spec->name))
                return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                                     "\"name\" is not the upstream's");
            continue;
        }
        rc = rem_upstream_json_member(spec, keyed, key, value, &call->fault);
        if (rc == REM_ENOTFOUND)
            return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "unknown parameter \"%.100s\"",
                                 key);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static bool same_but_servers(const struct rem_upstream_spec *a, const struct rem_upstream_spec *b)
{
    return a->method == b->method && a->method_flags == b->method_flags &&
           memcmp(&a->keepalive, &b->keepalive, sizeof(a->keepalive)) == 0 &&
           memcmp(&a->limits, &b->limits, sizeof(a->limits)) == 0 &&
           memcmp(&a->outlier, &b->outlier, sizeof(a->outlier)) == 0;
}

/* A method without backup servers is refused while there are some; when all servers are replaced
 * in the same request, those are not what it is about. */
static int without_backups(struct rem_api_call *call, struct rem_upstream_spec *spec)
{
    struct rem_server_spec *servers =
        rem_arena_alloc(&call->arena, (spec->server_count + 1) * sizeof(*servers));

    if (servers == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    for (size_t i = 0; i < spec->server_count; i++) {
        servers[i] = spec->servers[i];
        servers[i].flags &= ~(uint32_t)REM_SERVER_BACKUP;
    }
    spec->servers = servers;
    return 0;
}

int rem_v1_put_upstream(struct rem_api_call *call, struct rem_str name, const json_t *object,
                        enum rem_v1_use use)
{
    const json_t *servers = json_object_get(object, "servers");
    struct rem_upstream_spec now, spec;
    struct rem_err err = {0};
    bool exists;
    int rc = begin(call, name, &now, &exists);

    if (rc != 0)
        return rc;
    if (!json_is_object(object))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "an upstream must be an object");
    if (exists && use == REM_V1_CREATE)
        return rem_fault_set(&call->fault, REM_FAULT_ENTRY_EXISTS, "upstream \"%.*s\" exists",
                             REM_STR_ARG(name));
    if (!exists && use == REM_V1_PATCH)
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_NOT_FOUND,
                             "upstream \"%.*s\" not found", REM_STR_ARG(name));
    if (servers == NULL && use == REM_V1_REPLACE)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "missing \"servers\"");
    spec = now;
    if (use == REM_V1_REPLACE) /* what is not given is as it is usually */
        rem_upstream_json_defaults(&spec);
    rc = read_members(call, object, is_keyed(call->api, &now), &spec);
    if (rc == 0 && servers != NULL && !rem_balance_has_backups(spec.method))
        rc = without_backups(call, &spec);
    if (rc != 0)
        return rc;
    if (!exists || !same_but_servers(&now, &spec))
        rc = rem_change_put(call->api->change, &spec, &err);
    if (rc != REM_OK)
        return rem_call_fault(call, rc, &err);
    return servers != NULL ? rem_v1_put_servers(call, name, servers) : 0;
}

int rem_v1_remove_upstream(struct rem_api_call *call, struct rem_str name)
{
    struct rem_upstream_spec head;
    int rc = rem_v1_head(call, name, &head);

    if (rc != 0)
        return rc;
    if (!(head.flags & REM_UPSTREAM_RUNTIME))
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_CONFIGURED,
                             "upstream \"%.*s\" is in the configuration", REM_STR_ARG(name));
    rc = rem_change_remove(call->api->change, name);
    return rc == REM_OK ? 0 : rem_call_fault(call, rc, NULL);
}

/* ---- endpoints ---- */

void rem_v1_put_staged(struct rem_api_call *call, struct rem_str name, struct rem_sbuf *out)
{
    struct rem_upstream_spec after;

    if (rem_change_list(call->api->change, name, &call->arena, &after) != REM_OK) {
        out->failed = true;
        return;
    }
    rem_sbuf_adds(out, "\"name\":");
    rem_json_put(out, after.name);
    rem_upstream_json_put(out, &after, NULL);
    rem_sbuf_adds(out, ",\"servers\":[");
    rem_server_json_put_list(out, after.servers, after.server_count, 0);
    rem_sbuf_addc(out, ']');
}

static int stage(struct rem_api_call *call, int status, struct rem_str name)
{
    if (!rem_v1_minimal(call))
        rem_v1_put_staged(call, name, &call->response->body);
    return rem_v1_stage(call, status, json_object());
}

int rem_v1_upstreams_post(struct rem_api_call *call)
{
    json_t *body = NULL;
    const json_t *name;
    int rc = rem_v1_body(call, &body);

    if (rc != 0)
        return rc;
    name = json_object_get(body, "name");
    if (!json_is_string(name))
        rc = rem_fault_set(&call->fault, REM_FAULT_FORMAT, "missing or invalid \"name\"");
    if (rc == 0)
        rc = rem_v1_put_upstream(call, rem_json_str(name), body, REM_V1_CREATE);
    if (rc == 0)
        rc = stage(call, 201, rem_json_str(name));
    json_decref(body);
    return rc;
}

/* PUT and PATCH.  A PUT may bring a new upstream. */
static int write_upstream(struct rem_api_call *call, enum rem_v1_use use)
{
    struct rem_upstream_spec head;
    json_t *body = NULL;
    bool exists;
    int rc = rem_v1_body(call, &body);

    if (rc != 0)
        return rc;
    exists = rem_v1_head(call, call->params[0], &head) == 0;
    rc = rem_v1_put_upstream(call, call->params[0], body, use);
    if (rc == 0)
        rc = stage(call, exists ? 200 : 201, call->params[0]);
    json_decref(body);
    return rc;
}

int rem_v1_upstream_put(struct rem_api_call *call)
{
    return write_upstream(call, REM_V1_REPLACE);
}

int rem_v1_upstream_patch(struct rem_api_call *call)
{
    return write_upstream(call, REM_V1_PATCH);
}

int rem_v1_upstream_delete(struct rem_api_call *call)
{
    int rc = rem_v1_remove_upstream(call, call->params[0]);

    return rc == 0 ? rem_v1_stage(call, 200, json_object()) : rc;
}
