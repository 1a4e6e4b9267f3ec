/* SPDX-License-Identifier: Apache-2.0 */
/* A document that says how upstreams, shares and key-value zones shall be:
 *
 *   {"upstreams": {"app":  {"servers": [...], "method": "least_conn"},   made or changed
 *                  "old":  null,                                          removed
 *                  "web":  [{"server": "10.0.0.1:80"}, "10.0.0.2:80"]},   servers alone
 *    "splits": {"version": {"v1": 90, "v2": "*"}},                       shares
 *    "keyvals": {"routes": {"/a": "blue", "/b": null}}}                  entries; null removes one
 *
 * or what `list --json` prints, whose "upstreams" is a list.  What the document does not say is
 * left as it is.  All of it is one transaction, which holds for the revision that was looked at. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"
#include "api/remoractl_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 5 };

/* Members that GET shows of an upstream and that say nothing to a write. */
static const char *const shown[] = {"revision", "zone",     "static",  "idle",
                                    "zombies",  "requests", "no_live", "applied",
                                    "counters", "runtime",  "name",    "responses"};

/* ---- the document ---- */

/* A list of upstreams with names as an object of them.  Owns: *out is the caller's. */
static int by_name(const char *file, const json_t *list, json_t **out)
{
    *out = json_object();
    for (size_t i = 0; *out != NULL && i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name != NULL && json_object_get(*out, name) == NULL &&
            json_object_set(*out, name, one) == 0)
            continue;
        json_decref(*out);
        *out = NULL;
        return rem_ctl_complain("%s: upstream %zu has no name of its own", file, i);
    }
    return *out != NULL ? REM_CTL_OK : rem_ctl_no_memory();
}

/* Is a member of the document one of ours, and of its kind? */
static int check_member(const char *file, const char *key, const json_t *value)
{
    if (strcmp(key, "revision") == 0)
        return REM_CTL_OK;
    if (strcmp(key, "upstreams") == 0 && json_is_array(value))
        return REM_CTL_OK;
    if (strcmp(key, "upstreams") != 0 && strcmp(key, "splits") != 0 && strcmp(key, "keyvals") != 0)
        return rem_ctl_complain("%s: unknown member \"%s\"", file, key);
    return json_is_object(value) ? REM_CTL_OK
                                 : rem_ctl_complain("%s: \"%s\" must be an object", file, key);
}

/* *out: the document, its upstreams an object; the caller's. */
static int read_document(const char *file, json_t **out)
{
    const char *key;
    json_t *value, *upstreams;
    int rc = rem_ctl_read_json(file, out);

    if (rc != REM_CTL_OK)
        return rc;
    if (json_object_size(*out) == 0)
        rc = rem_ctl_complain("%s: an object with \"upstreams\" is meant", file);
    json_object_foreach(*out, key, value)
    {
        if (rc == REM_CTL_OK)
            rc = check_member(file, key, value);
    }
    if (rc == REM_CTL_OK && json_is_array(json_object_get(*out, "upstreams"))) {
        rc = by_name(file, json_object_get(*out, "upstreams"), &upstreams);
        if (rc == REM_CTL_OK && json_object_set_new(*out, "upstreams", upstreams) != 0)
            rc = rem_ctl_no_memory();
    }
    return rc;
}

/* ---- the transaction ---- */

/* The running upstream of that name; NULL: there is none. */
static const json_t *find(const json_t *running, const char *name)
{
    const json_t *list = json_object_get(running, "upstreams");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(rem_ctl_text(json_array_get(list, i), "name"), name) == 0)
            return json_array_get(list, i);
    return NULL;
}

/* What is to be sent of an upstream.  Owns: the caller; NULL without memory. */
static json_t *value_of(const json_t *wanted)
{
    json_t *value = json_is_array(wanted) ? json_pack("{s:O}", "servers", wanted)
                                          : json_copy((json_t *)(uintptr_t)wanted);
    json_t *servers = json_deep_copy(json_object_get(value, "servers"));

    for (size_t i = 0; i < REM_COUNT(shown); i++)
        (void)json_object_del(value, shown[i]);
    if (servers != NULL) {
        rem_ctl_args_strip(servers);
        (void)json_object_set_new(value, "servers", servers);
    }
    return value;
}

static json_t *operation_for(const char *name, const json_t *wanted, const json_t *now)
{
    if (json_is_null(wanted))
        return json_pack("{s:s,s:s}", "op", "delete_upstream", "upstream", name);
    return json_pack("{s:s,s:s,s:o}", "op", now != NULL ? "patch_upstream" : "create_upstream",
                     "upstream", name, "value", value_of(wanted));
}

/* Upstreams made at run time that the document does not name. */
static int prune(const json_t *running, const json_t *wanted, json_t *operations)
{
    const json_t *list = json_object_get(running, "upstreams");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = rem_ctl_text(one, "name");
        if (!json_is_true(json_object_get(one, "runtime")) || json_object_get(wanted, name) != NULL)
            continue;
        if (json_array_append_new(
                operations, json_pack("{s:s,s:s}", "op", "delete_upstream", "upstream", name)) != 0)
            return rem_ctl_no_memory();
    }
    return REM_CTL_OK;
}

/* The operation `op` for each member of `values`, which it has under the name `what`. */
static int operations_on(const char *op, const char *what, json_t *values, json_t *operations)
{
    const char *name;
    json_t *one;

    json_object_foreach(values, name, one)
    {
        if (json_array_append_new(
                operations, json_pack("{s:s,s:s,s:O}", "op", op, what, name, "value", one)) != 0)
            return rem_ctl_no_memory();
    }
    return REM_CTL_OK;
}

static int operations_for(const struct rem_ctl_args *args, const json_t *running, json_t *document,
                          json_t *operations)
{
    json_t *wanted = json_object_get(document, "upstreams");
    const char *name;
    json_t *one;

    if (operations_on("put_split", "split", json_object_get(document, "splits"), operations) !=
            REM_CTL_OK ||
        operations_on("patch_keyval", "keyval", json_object_get(document, "keyvals"), operations) !=
            REM_CTL_OK)
        return REM_CTL_FAILED;
    json_object_foreach(wanted, name, one)
    {
        const json_t *now = find(running, name);
        if (!json_is_object(one) && !json_is_array(one) && !json_is_null(one))
            return rem_ctl_complain("%s: upstream \"%s\" is no object, list or null", args->file,
                                    name);
        if (json_is_null(one) && now == NULL)
            continue;
        if (json_array_append_new(operations, operation_for(name, one, now)) != 0)
            return rem_ctl_no_memory();
    }
    return rem_ctl_given(args, REM_CTL_PRUNE) ? prune(running, wanted, operations) : REM_CTL_OK;
}

/* ---- sending it ---- */

/* The transaction that brings what is running to what is wanted, and the revision it is for. */
static int build(const struct rem_ctl_args *args, json_t *wanted, char revision[32], json_t **out)
{
    json_t *running, *operations = json_array();
    int rc = rem_ctl_ask_json(args, "GET", "/v1/http/upstreams", NULL, &running);

    if (rc == REM_CTL_OK)
        rc = operations_for(args, running, wanted, operations);
    (void)snprintf(revision, 32, "%" JSON_INTEGER_FORMAT, rem_ctl_number(running, "revision"));
    json_decref(running);
    *out = json_pack("{s:o}", "operations", operations);
    return rc == REM_CTL_OK && *out == NULL ? rem_ctl_no_memory() : rc;
}

/* *status is that of an answer; 0: there was none, and that was told. */
static int submit(const struct rem_ctl_args *args, bool dry_run, const char *revision,
                  const json_t *send, int *status, struct rem_sbuf *body)
{
    struct rem_ctl_request request = {
        .method = "POST",
        .path = dry_run ? "/v1/transactions?dry_run=true" : "/v1/transactions",
        .if_match = args->if_match != NULL ? args->if_match : revision,
    };

    return rem_ctl_send(args, &request, send, status, body);
}

/* *again: something has changed since it was looked at. */
static int send_once(const struct rem_ctl_args *args, json_t *wanted, bool dry_run, json_t **answer,
                     bool *again)
{
    char revision[32];
    struct rem_sbuf body;
    json_t *transaction = NULL;
    int status = 0;
    int rc = build(args, wanted, revision, &transaction);

    *again = false;
    *answer = NULL;
    rem_sbuf_init(&body);
    if (rc == REM_CTL_OK)
        rc = submit(args, dry_run, revision, transaction, &status, &body);
    if (rc == REM_CTL_OK && status == 412 && args->if_match == NULL)
        *again = true;
    else if (rc == REM_CTL_OK && (status < 200 || status >= 300))
        rc = rem_ctl_refused(status, rem_sbuf_str(&body), transaction);
    else if (rc == REM_CTL_OK)
        *answer = json_loadb(body.n != 0 ? body.p : "", body.n, 0, NULL);
    if (rc == REM_CTL_OK && !*again && *answer == NULL)
        rc = rem_ctl_complain("the answer is not JSON");
    json_decref(transaction);
    rem_sbuf_fini(&body);
    return rc;
}

static int send(const struct rem_ctl_args *args, json_t *wanted, bool dry_run, json_t **answer)
{
    bool again = true;
    int rc = REM_CTL_OK;

    *answer = NULL;
    for (int tries = 0; rc == REM_CTL_OK && again && tries < TRIES; tries++)
        rc = send_once(args, wanted, dry_run, answer, &again);
    if (rc == REM_CTL_OK && again) {
        (void)rem_ctl_complain("others go on changing it; tried %d times", TRIES);
        rc = REM_CTL_REFUSED;
    }
    return rc;
}

int rem_ctl_apply(const struct rem_ctl_args *args)
{
    json_t *answer = NULL, *wanted = NULL;
    int rc = read_document(args->file, &wanted);

    if (rc == REM_CTL_OK)
        rc = send(args, wanted, true, &answer);
    /* Applied again and again, a document must not fill the history with revisions of nothing. */
    if (answer != NULL && !rem_ctl_given(args, REM_CTL_DRY_RUN) && rem_ctl_diff_any(answer)) {
        json_decref(answer);
        rc = send(args, wanted, false, &answer);
    }
    json_decref(wanted);
    if (answer == NULL)
        return rc;
    if (args->json)
        rem_ctl_print_json(answer);
    else
        rem_ctl_print_change(answer);
    json_decref(answer);
    return rc;
}

int rem_ctl_diff(const struct rem_ctl_args *args)
{
    bool differs;
    json_t *answer = NULL, *wanted = NULL;
    int rc = read_document(args->file, &wanted);

    if (rc == REM_CTL_OK)
        rc = send(args, wanted, true, &answer);
    json_decref(wanted);
    if (answer == NULL)
        return rc;
    differs = rem_ctl_diff_any(answer);
    if (args->json)
        rem_ctl_print_json(answer);
    else
        (void)rem_ctl_diff_print(answer);
    json_decref(answer);
    return differs ? REM_CTL_DIFFERS : REM_CTL_OK;
}
