/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "api/diff.h"
#include "api/plus.h"
#include "api/precondition.h"
#include "api/record.h"
#include "api/route.h"
#include "proto/shm/space.h"

#include <stdlib.h>

void rem_api_init(struct rem_api *api, const struct rem_region *region, struct rem_writer *writer,
                  const struct rem_clock *clock, bool write)
{
    *api = (struct rem_api){
        .region = region,
        .writer = writer,
        .clock = clock,
        .write = write,
        .max_series = REM_API_SERIES,
        .max_upstream_series = REM_API_UPSTREAM_SERIES,
        .made_ms = clock->mono_ms,
        .history = REM_JOURNAL_HISTORY,
    };
    rem_sbuf_init(&api->causes);
    rem_sbuf_init(&api->record);
}

void rem_api_fini(struct rem_api *api)
{
    rem_change_free(&api->change);
    rem_sbuf_fini(&api->causes);
    rem_sbuf_fini(&api->record);
    free(api->by_name);
}

static int by_name(const void *a, const void *b, void *data)
{
    const struct rem_upstream_spec *specs = data;

    return rem_str_cmp(specs[*(const uint32_t *)a].name, specs[*(const uint32_t *)b].name);
}

static bool sort_names(struct rem_api *api)
{
    size_t count = api->configured_count;

    api->by_name = calloc(count, sizeof(*api->by_name));
    if (api->by_name == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        api->by_name[i] = (uint32_t)i;
    qsort_r(api->by_name, count, sizeof(*api->by_name), by_name,
            (void *)(uintptr_t)api->configured);
    return true;
}

const struct rem_upstream_spec *rem_api_conf(struct rem_api *api, struct rem_str name)
{
    size_t low = 0, high = api->configured_count;

    if (high == 0 || (api->by_name == NULL && !sort_names(api)))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct rem_upstream_spec *spec = &api->configured[api->by_name[middle]];
        int order = rem_str_cmp(spec->name, name);

        if (order == 0)
            return spec;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- what endpoints share ---- */

int rem_call_fault(struct rem_api_call *call, int rc, const struct rem_err *err)
{
    const char *text = err != NULL && err->text[0] != '\0' ? err->text : rem_err_text(rc);
    enum rem_fault_code code;

    switch (rc) {
    case REM_EFULL:
        code = REM_FAULT_OUT_OF_MEMORY;
        break;
    case REM_EEXIST:
        code = REM_FAULT_ENTRY_EXISTS;
        break;
    case REM_ENOTFOUND:
        code = REM_FAULT_UPSTREAM_NOT_FOUND;
        break;
    case REM_EUNSUPPORTED: /* only ever of backup servers */
        code = REM_FAULT_NO_BACKUP;
        break;
    case REM_EINVAL:
        code = REM_FAULT_FORMAT;
        break;
    default:
        code = REM_FAULT_INTERNAL;
    }
    return rem_fault_set(&call->fault, code, "%s", text);
}

int rem_call_change(struct rem_api_call *call)
{
    int rc = 0;

    if (call->api->change == NULL)
        rc = rem_change_new(call->api->writer, &call->api->change);
    return rc == 0 ? 0 : rem_call_fault(call, rc, NULL);
}

static int upstream_missing(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_NOT_FOUND, "upstream not found");
}

int rem_call_find(struct rem_api_call *call, struct rem_str name, size_t *index, uint32_t *flags)
{
    struct rem_space_upstream upstream;

    if (rem_writer_find(call->api->writer, name, index) != 0)
        return upstream_missing(call);
    rem_space_upstream(call->api->writer, *index, &upstream);
    *flags = upstream.flags;
    return rem_call_flags_are_shown(*flags) ? 0 : upstream_missing(call);
}

int rem_call_read(struct rem_api_call *call, size_t index, struct rem_upstream_spec *spec)
{
    int rc = rem_writer_spec(call->api->writer, index, &call->arena, spec);

    return rc == REM_OK ? 0 : rem_call_fault(call, rc, NULL);
}

int rem_call_find_staged(struct rem_api_call *call, struct rem_str name,
                         struct rem_upstream_spec *spec)
{
    const struct rem_upstream_spec *found;
    int rc = rem_call_change(call);

    if (rc != 0)
        return rc;
    rc = rem_change_get(call->api->change, name, &found);
    if (rc == REM_ENOTFOUND || (rc == 0 && !rem_call_is_shown(found)))
        return upstream_missing(call);
    if (rc == 0)
        rc = rem_upstream_spec_copy(&call->arena, found, spec);
    return rc == 0 ? 0 : rem_call_fault(call, rc, NULL);
}

/* ---- dispatch ---- */

static bool is_plus(struct rem_str path)
{
    return rem_str_has_prefix(path, REM_STR("/api")) && (path.n == 4 || path.p[4] == '/');
}

static void answer_fault(const struct rem_fault *fault, struct rem_str path,
                         struct rem_api_response *response)
{
    if (is_plus(path))
        rem_fault_answer_plus(fault, response);
    else
        rem_fault_answer_problem(fault, response);
}

/* Finds the route of a path.  Errors: REM_EINVAL with the fault. */
static int find_route(struct rem_api_call *call, const struct rem_route **out)
{
    static const struct rem_route versions = {
        .pattern = "api", .get = rem_plus_versions, .allow = "GET, HEAD"};
    struct rem_route_path path;
    int rc = rem_route_split(call->request->path, &call->arena, &path);

    if (rc == REM_ENOMEM)
        return rem_call_fault(call, rc, NULL);
    if (rc != 0) {
        *out = NULL;
    } else if (path.count != 0 && rem_str_is(path.segments[0], "api")) {
        struct rem_str version = path.count > 1 ? path.segments[1] : REM_STR("9");
        if (version.n != 1 || version.p[0] < '1' || version.p[0] > '9')
            return rem_fault_set(&call->fault, REM_FAULT_UNKNOWN_VERSION, "unknown version");
        *out = path.count == 1 ? &versions : rem_route_plus(&path, 2, call->params);
    } else {
        *out = rem_route_own(&path, call->params);
    }
    if (*out == NULL)
        return rem_fault_set(&call->fault, REM_FAULT_PATH_NOT_FOUND, "path not found");
    return 0;
}

/* Who is not known is told nothing, not even which paths there are.
 * Errors: REM_EINVAL with the fault. */
static int check_known(struct rem_api_call *call, const struct rem_route *route)
{
    const struct rem_api_request *request = call->request;

    if (request->role != REM_ROLE_NONE ||
        (route != NULL && rem_route_role(route, request->method) == REM_ROLE_NONE))
        return 0;
    if (request->hopeless)
        return rem_fault_set(&call->fault, REM_FAULT_FORBIDDEN, "%.*s has no role here",
                             REM_STR_ARG(request->who));
    return rem_fault_set(&call->fault, REM_FAULT_UNAUTHORIZED, "authentication required");
}

/* Errors: REM_EINVAL with the fault. */
static int check_role(struct rem_api_call *call, const struct rem_route *route)
{
    enum rem_api_role need = rem_route_role(route, call->request->method);

    if (call->request->role >= need)
        return 0;
    if (call->request->strange_host)
        return rem_fault_set(&call->fault, REM_FAULT_HOST,
                             "the Host field has neither an address nor a name of the \"host\" "
                             "directive, and there is no token");
    return rem_fault_set(&call->fault, REM_FAULT_FORBIDDEN,
                         "this needs the role \"%s\", the client has \"%s\"", rem_role_name(need),
                         rem_role_name(call->request->role));
}

/* "application/json", "application/merge-patch+json", with parameters or without. */
static bool is_json(struct rem_str type)
{
    const char *end = rem_str_chr(type, ';');
    struct rem_str suffix = REM_STR("+json");

    if (end != NULL)
        type.n = (size_t)(end - type.p);
    type = rem_str_trim(type);
    return rem_str_eq_nocase(type, REM_STR("application/json")) ||
           (type.n > suffix.n && rem_str_eq_nocase(rem_str_skip(type, type.n - suffix.n), suffix));
}

/* Forms and plain texts are what a page may send to other origins without asking.  Clients of the
 * Plus API send any type, or none.  Errors: REM_EINVAL with the fault. */
static int check_type(struct rem_api_call *call)
{
    if (call->request->body.n == 0 || is_plus(call->request->path) ||
        is_json(call->request->content_type))
        return 0;
    return rem_fault_set(&call->fault, REM_FAULT_MEDIA_TYPE,
                         "the body must be declared as application/json");
}

/* What a request to our own API makes its answer depend on.  With call->flush set, it has to wait.
 * Errors: REM_EINVAL with the fault. */
static int check_preconditions(struct rem_api_call *call, const struct rem_route *route)
{
    const struct rem_api_request *request = call->request;
    int rc = rem_precondition_dry_run(call, &call->dry_run);

    if (rc != 0)
        return rc;
    call->flush =
        (route->alone || call->dry_run || request->has_if_match || request->has_if_none_match) &&
        call->api->change != NULL;
    if (call->flush)
        return 0;
    rc = rem_precondition_match(call);
    return rc == 0 ? rem_precondition_none_match(call) : rc;
}

static int answer_not_modified(struct rem_api_call *call)
{
    rem_api_response_reset(call->response);
    call->response->status = 304;
    call->response->etag = rem_writer_revision(call->api->writer);
    call->response->has_etag = true;
    return 0;
}

/* What the client has already is not made anew for it, where nothing has to be found first. */
static int run_reader(struct rem_api_call *call, const struct rem_route *route,
                      rem_api_handler_fn handler)
{
    bool same = route->revised && rem_precondition_not_modified(call);
    int rc;

    if (same && call->params[0].p == NULL && call->request->args.n == 0)
        return answer_not_modified(call);
    rc = handler(call);
    return rc == 0 && same ? answer_not_modified(call) : rc;
}

/* What is unknown is refused, as in a body: "dryrun=true" must not do what dry_run would only show.
 * Errors: REM_EINVAL with the fault. */
static int check_args(struct rem_api_call *call, const struct rem_route *route)
{
    struct rem_str unknown;

    if (rem_route_args(route, call->request->args, &unknown))
        return 0;
    return rem_fault_set(&call->fault, REM_FAULT_BAD_REQUEST, "unknown argument \"%.*s\"",
                         (int)(unknown.n < 100 ? unknown.n : 100), unknown.p);
}

/* A dry run finds out as well whether there is room for what it would bring. */
static int try_change(struct rem_api_call *call)
{
    int rc = rem_change_try(call->api->change);

    return rc == REM_OK ? 0 : rem_call_fault(call, rc, NULL);
}

static int run_writer(struct rem_api_call *call, const struct rem_route *route,
                      rem_api_handler_fn handler)
{
    int rc;

    if (is_plus(call->request->path))
        return handler(call);
    rc = check_args(call, route);
    if (rc == 0)
        rc = check_preconditions(call, route);
    if (rc == 0 && !call->flush)
        rc = handler(call);
    if (rc != 0 || !call->is_staged)
        return rc;
    rc = rem_precondition_absent(call);
    return rc == 0 && call->dry_run ? try_change(call) : rc;
}

/* Instead of the change itself: the difference it makes, and what the answer would show. */
static void answer_difference(struct rem_api_call *call)
{
    struct rem_api *api = call->api;
    struct rem_sbuf *out = &call->response->body;
    json_t *body = call->staged->body, *value;
    const char *key;

    call->staged->body = NULL;
    rem_api_response_reset(call->response);
    call->is_staged = false;
    call->response->content_type = REM_API_JSON;
    rem_sbuf_addf(out, "{\"dry_run\":true,\"revision\":%llu,",
                  (unsigned long long)rem_writer_revision(api->writer));
    if (rem_diff_write(api->writer, api->change, false, out) != 0)
        out->failed = true;
    json_object_foreach(body, key, value)
    {
        if (strcmp(key, "revision") == 0 || strcmp(key, "applied") == 0 ||
            strcmp(key, "upstreams") == 0)
            continue;
        rem_sbuf_addc(out, ',');
        rem_json_put(out, rem_str_from(key));
        rem_sbuf_addc(out, ':');
        rem_json_dump(out, value);
    }
    json_decref(body);
    rem_sbuf_addc(out, '}');
}

/* Runs the request's handler.  Errors: REM_EINVAL with the fault. */
static int run(struct rem_api_call *call, const char **allow)
{
    enum rem_method method = call->request->method;
    bool reads = method == REM_METHOD_GET || method == REM_METHOD_HEAD;
    bool read_only = rem_call_is_read_only(call);
    const struct rem_route *route = NULL;
    rem_api_handler_fn handler;
    int rc = find_route(call, &route);

    call->response->route = route;
    if (check_known(call, route) != 0)
        return REM_EINVAL;
    if (rc != 0)
        return rc;
    handler = rem_route_handler(route, method);
    if (handler == NULL || (!reads && read_only)) {
        *allow = read_only && route->get != NULL ? "GET, HEAD" : route->allow;
        return rem_fault_set(&call->fault, REM_FAULT_METHOD_DISABLED, "method disabled");
    }
    if (!reads && call->request->foreign_origin)
        return rem_fault_set(&call->fault, REM_FAULT_ORIGIN,
                             "pages of other origins may not write");
    rc = check_role(call, route);
    if (rc == 0 && !reads)
        rc = check_type(call);
    if (rc != 0)
        return rc;
    return reads ? run_reader(call, route, handler) : run_writer(call, route, handler);
}

enum rem_api_outcome rem_api_handle(struct rem_api *api, const struct rem_api_request *request,
                                    struct rem_api_response *response,
                                    struct rem_api_staged *staged)
{
    struct rem_api_call call = {
        .api = api, .request = request, .response = response, .staged = staged};
    bool fresh = api->change == NULL;
    const char *allow = NULL;
    int rc;

    *staged = (struct rem_api_staged){.base = rem_writer_revision(api->writer)};
    response->route = NULL;
    rem_arena_init(&call.arena, NULL);
    rc = run(&call, &allow);
    if (rc != 0) {
        call.is_staged = false; /* whatever steps it took before one failed */
        rem_api_forget(staged);
        answer_fault(&call.fault, request->path, response);
        response->allow = allow;
    }
    if (call.is_staged && call.dry_run)
        answer_difference(&call);
    rem_arena_reset(&call.arena);
    if (call.flush)
        return REM_API_FLUSH;
    staged->is_change = call.is_staged;
    if (!call.is_staged && fresh)
        rem_change_free(&api->change);
    if (!call.is_staged)
        return REM_API_DONE;
    rem_record_cause(api, request->who, request->method_text, request->path);
    return REM_API_STAGED;
}

int rem_api_publish(struct rem_api *api, struct rem_commit *out)
{
    struct rem_err err = {0};
    int rc;

    *out = (struct rem_commit){rem_writer_revision(api->writer), rem_writer_epoch(api->writer)};
    if (api->change == NULL)
        return 0;
    rc = api->spoiled ? REM_ENOMEM : rem_change_commit(api->change, REM_REVISION_ANY, out, &err);
    if (rc == REM_EFULL)
        rem_api_count_full(&api->counts, api->region->header);
    rem_change_free(&api->change);
    rem_record_forget(api);
    api->spoiled = false;
    return rc;
}

void rem_api_finish(struct rem_api_staged *staged, bool applied, struct rem_api_response *response)
{
    json_t *body = staged->body;
    struct rem_sbuf more = response->body;

    staged->body = NULL;
    if (body == NULL)
        return;
    response->etag = staged->commit.revision;
    response->has_etag = true;
    if (json_object_set_new(body, "revision",
                            json_integer(rem_json_count(staged->commit.revision))) != 0 ||
        json_object_set_new(body, "applied", json_boolean(applied)) != 0) {
        json_decref(body);
        body = NULL;
    }
    rem_sbuf_init(&response->body);
    rem_json_answer(response, body);
    if (more.n != 0 && !response->body.failed) {
        response->body.p[response->body.n - 1] = ',';
        rem_sbuf_add(&response->body, rem_sbuf_str(&more));
        rem_sbuf_addc(&response->body, '}');
    }
    response->body.failed = response->body.failed || more.failed;
    rem_sbuf_fini(&more);
}

void rem_api_finish_failed(struct rem_api_staged *staged, const struct rem_api_request *request,
                           int error, struct rem_api_response *response)
{
    struct rem_fault fault = {0};

    rem_api_forget(staged);
    if (error == REM_EIO)
        (void)rem_fault_set(&fault, REM_FAULT_STATE_NOT_SAVED,
                            "the change is in effect, but it is not in the state file and will "
                            "be lost at a restart");
    else
        (void)rem_fault_set(&fault,
                            error == REM_EFULL ? REM_FAULT_OUT_OF_MEMORY : REM_FAULT_INTERNAL, "%s",
                            rem_err_text(error));
    answer_fault(&fault, request->path, response);
}

void rem_api_forget(struct rem_api_staged *staged)
{
    json_decref(staged->body);
    staged->body = NULL;
}

void rem_api_refuse(const struct rem_api_request *request, int status,
                    struct rem_api_response *response)
{
    struct rem_fault fault = {.code = rem_fault_of_status(status)};

    if (status == 400 && is_plus(request->path)) /* known once the head has been read */
        fault.code = REM_FAULT_BODY;
    if (request->why != NULL)
        (void)rem_fault_set(&fault, fault.code, "%s", request->why);
    answer_fault(&fault, request->path, response);
    if (status == 405) /* CONNECT, TRACE: whatever the path is */
        response->allow = "GET, HEAD, POST, PUT, PATCH, DELETE";
}
