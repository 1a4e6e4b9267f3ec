/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_commands.h"

#include "api/remoractl_http.h"
#include "api/remoractl_table.h"
#include "proto/wire/uri.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

static int complain(const struct rem_err *err)
{
    (void)fprintf(stderr, "remoractl: %s\n", err->text);
    return REM_CTL_FAILED;
}

static int out_of_memory(void)
{
    return complain(&(struct rem_err){.text = "out of memory"});
}

/* ---- asking ---- */

/* Prints why the API refused. */
static void print_refusal(int status, struct rem_str body)
{
    json_t *problem = json_loadb(body.p != NULL ? body.p : "", body.n, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *code = json_string_value(json_object_get(problem, "code"));

    if (detail != NULL)
        (void)fprintf(stderr, "remoractl: %s (%d %s)\n", detail, status, code != NULL ? code : "");
    else
        (void)fprintf(stderr, "remoractl: the API answered with status %d\n", status);
    json_decref(problem);
}

/* Sends a request; with 0 *body holds the answer of a success. */
static int ask(const struct rem_ctl_args *args, const char *method, const char *path,
               const json_t *send, struct rem_sbuf *body)
{
    char *text = send != NULL ? json_dumps(send, JSON_COMPACT) : NULL;
    struct rem_ctl_request request = {
        .server = args->server,
        .method = method,
        .path = path,
        .if_match = send != NULL ? args->if_match : NULL,
        .body = rem_str_from(text),
    };
    struct rem_err err = {0};
    int status = 0;
    int rc;

    if (send != NULL && text == NULL)
        return out_of_memory();
    rc = rem_ctl_http(&request, &status, body, &err);
    free(text);
    if (rc != 0)
        return complain(&err);
    if (body->failed)
        return out_of_memory();
    if (status >= 200 && status < 300)
        return REM_CTL_OK;
    print_refusal(status, rem_sbuf_str(body));
    return REM_CTL_REFUSED;
}

/* As ask, with JSON for an answer; --json prints it and leaves *out NULL. */
static int ask_json(const struct rem_ctl_args *args, const char *method, const char *path,
                    const json_t *send, json_t **out)
{
    struct rem_sbuf body;
    json_error_t error;
    json_t *answer = NULL;
    int rc;

    *out = NULL;
    rem_sbuf_init(&body);
    rc = ask(args, method, path, send, &body);
    if (rc == REM_CTL_OK) {
        answer = json_loadb(body.p != NULL ? body.p : "", body.n, 0, &error);
        if (answer == NULL)
            rc = complain(&(struct rem_err){.text = "the answer is not JSON"});
    }
    rem_sbuf_fini(&body);
    if (rc == REM_CTL_OK && args->json) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(2));
        (void)fputc('\n', stdout);
        json_decref(answer);
        answer = NULL;
    }
    *out = answer;
    return rc;
}

/* "/v1/http/upstreams/NAME" + tail, with the name escaped. */
static char *upstream_path(const char *name, const char *tail)
{
    static const char base[] = "/v1/http/upstreams/";
    struct rem_str s = rem_str_from(name);
    size_t size = sizeof(base) + rem_uri_escape_size(s, REM_URI_ESCAPE_COMPONENT) + strlen(tail);
    char *path = malloc(size);
    char *at;

    if (path == NULL)
        return NULL;
    memcpy(path, base, sizeof(base) - 1);
    at = rem_uri_escape_to(path + sizeof(base) - 1, s, REM_URI_ESCAPE_COMPONENT);
    memcpy(at, tail, strlen(tail) + 1);
    return path;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value != NULL ? value : "";
}

/* ---- looking ---- */

static int count_state(const json_t *servers, const char *state)
{
    int n = 0;

    for (size_t i = 0; i < json_array_size(servers); i++)
        n += strcmp(text(json_array_get(servers, i), "state"), state) == 0;
    return n;
}

static json_int_t sum(const json_t *servers, const char *key)
{
    json_int_t n = 0;

    for (size_t i = 0; i < json_array_size(servers); i++)
        n += number(json_array_get(servers, i), key);
    return n;
}

static int run_list(const struct rem_ctl_args *args)
{
    struct rem_ctl_table table;
    json_t *answer, *upstreams, *upstream;
    size_t i;
    int rc = ask_json(args, "GET", "/v1/http/upstreams", NULL, &answer);

    if (answer == NULL)
        return rc;
    upstreams = json_object_get(answer, "upstreams");
    rem_ctl_table_init(&table);
    rem_ctl_table_add(&table, json_pack("[s,s,s,s,s,s,s,s]", "UPSTREAM", "ZONE", "SERVERS", "UP",
                                        "DRAINING", "DOWN", "ACTIVE", "REQUESTS"));
    json_array_foreach(upstreams, i, upstream)
    {
        json_t *servers = json_object_get(upstream, "servers");
        rem_ctl_table_add(
            &table, json_pack("[s,s,i,i,i,i,I,I]", text(upstream, "name"), text(upstream, "zone"),
                              (int)json_array_size(servers), count_state(servers, "up"),
                              count_state(servers, "draining"), count_state(servers, "down"),
                              sum(servers, "active"), number(upstream, "requests")));
    }
    rem_ctl_table_print(&table, stdout);
    rem_ctl_table_fini(&table);
    json_decref(answer);
    return rc;
}

static void print_servers(const json_t *servers)
{
    struct rem_ctl_table table;

    rem_ctl_table_init(&table);
    rem_ctl_table_add(&table, json_pack("[s,s,s,s,s,s,s,s,s]", "ID", "SERVER", "STATE", "WEIGHT",
                                        "BACKUP", "ACTIVE", "REQUESTS", "5XX", "FAILS"));
    for (size_t i = 0; i < json_array_size(servers); i++) {
        const json_t *s = json_array_get(servers, i);
        rem_ctl_table_add(
            &table,
            json_pack("[I,s,s,I,b,I,I,I,I]", number(s, "id"), text(s, "server"), text(s, "state"),
                      number(s, "weight"), json_is_true(json_object_get(s, "backup")),
                      number(s, "active"), number(s, "requests"),
                      number(json_object_get(s, "responses"), "5xx"), number(s, "fails")));
    }
    rem_ctl_table_print(&table, stdout);
    rem_ctl_table_fini(&table);
}

static int run_show(const struct rem_ctl_args *args)
{
    char *path = upstream_path(args->words[0], "");
    json_t *answer;
    int rc;

    if (path == NULL)
        return out_of_memory();
    rc = ask_json(args, "GET", path, NULL, &answer);
    free(path);
    if (answer != NULL)
        print_servers(json_object_get(answer, "servers"));
    json_decref(answer);
    return rc;
}

static void print_workers(const json_t *workers)
{
    struct rem_ctl_table table;

    rem_ctl_table_init(&table);
    rem_ctl_table_add(&table,
                      json_pack("[s,s,s,s,s]", "WORKER", "PID", "GENERATION", "REVISION", "IDLE"));
    for (size_t i = 0; i < json_array_size(workers); i++) {
        const json_t *w = json_array_get(workers, i);
        rem_ctl_table_add(&table, json_pack("[I,I,I,I,b]", number(w, "slot"), number(w, "pid"),
                                            number(w, "generation"), number(w, "revision"),
                                            json_is_true(json_object_get(w, "idle"))));
    }
    rem_ctl_table_print(&table, stdout);
    rem_ctl_table_fini(&table);
}

static int run_revision(const struct rem_ctl_args *args)
{
    json_t *answer;
    int rc = ask_json(args, "GET", "/v1/revision", NULL, &answer);

    if (answer == NULL)
        return rc;
    (void)printf("revision %" JSON_INTEGER_FORMAT "\n", number(answer, "revision"));
    print_workers(json_object_get(answer, "workers"));
    json_decref(answer);
    return rc;
}

static int run_status(const struct rem_ctl_args *args)
{
    json_t *answer;
    const json_t *memory, *connections, *requests;
    int rc = ask_json(args, "GET", "/v1/status", NULL, &answer);

    if (answer == NULL)
        return rc;
    memory = json_object_get(answer, "memory");
    connections = json_object_get(answer, "connections");
    requests = json_object_get(answer, "requests");
    (void)printf("remora %s, up %" JSON_INTEGER_FORMAT " s%s%s\n", text(answer, "version"),
                 number(answer, "uptime"),
                 json_is_true(json_object_get(answer, "draining")) ? ", draining" : "",
                 json_is_true(json_object_get(answer, "write")) ? "" : ", read-only");
    (void)printf("revision %" JSON_INTEGER_FORMAT ", configuration %" JSON_INTEGER_FORMAT
                 ", respawned workers %" JSON_INTEGER_FORMAT "\n",
                 number(answer, "revision"), number(answer, "generation"),
                 number(answer, "worker_respawns"));
    (void)printf("connections: %" JSON_INTEGER_FORMAT " active, %" JSON_INTEGER_FORMAT
                 " idle; requests: %" JSON_INTEGER_FORMAT "\n",
                 number(connections, "active"), number(connections, "idle"),
                 number(requests, "total"));
    (void)printf("shared memory: %.1f of %.0f MiB used\n", (double)number(memory, "used") / MIB,
                 (double)number(memory, "size") / MIB);
    print_workers(json_object_get(answer, "workers"));
    json_decref(answer);
    return rc;
}

static int run_metrics(const struct rem_ctl_args *args)
{
    struct rem_sbuf body;
    int rc;

    rem_sbuf_init(&body);
    rc = ask(args, "GET", args->detail ? "/metrics?detail=server" : "/metrics", NULL, &body);
    if (rc == REM_CTL_OK)
        (void)fwrite(body.p, 1, body.n, stdout);
    rem_sbuf_fini(&body);
    return rc;
}

/* ---- changing ---- */

/* Says what came of a change. */
static void print_change(const json_t *answer)
{
    (void)printf("revision %" JSON_INTEGER_FORMAT ", %s\n", number(answer, "revision"),
                 json_is_true(json_object_get(answer, "applied"))
                     ? "used by all workers"
                     : "published, not yet used by all workers");
}

/* Sends a change (taken; NULL: out of memory). */
static int change(const struct rem_ctl_args *args, const char *method, const char *path,
                  json_t *send)
{
    json_t *answer = NULL;
    int rc = send != NULL ? ask_json(args, method, path, send, &answer) : out_of_memory();

    json_decref(send);
    if (answer != NULL)
        print_change(answer);
    json_decref(answer);
    return rc;
}

/* Sends one operation (taken) as a transaction. */
static int operate(const struct rem_ctl_args *args, json_t *operation)
{
    return change(args, "POST", "/v1/transactions", json_pack("{s:[o]}", "operations", operation));
}

/* Reads the settings from word `from` on into `server`. */
static int read_settings(const struct rem_ctl_args *args, int from, json_t *server)
{
    struct rem_err err = {0};

    for (int i = from; i < args->word_count; i++)
        if (rem_ctl_args_setting(args->words[i], server, &err) != 0)
            return complain(&err);
    return REM_CTL_OK;
}

static int run_add(const struct rem_ctl_args *args)
{
    json_t *server = json_pack("{s:s}", "server", args->words[1]);
    int rc;

    if (server == NULL)
        return complain(&(struct rem_err){.text = "invalid address"});
    rc = read_settings(args, 2, server);
    if (rc != REM_CTL_OK) {
        json_decref(server);
        return rc;
    }
    return operate(args, json_pack("{s:s,s:s,s:o}", "op", "add", "upstream", args->words[0],
                                   "server", server));
}

/* An operation on the server that words[0] and words[1] name; `server` (taken) says what to
 * change, NULL: nothing. */
static int operate_on(const struct rem_ctl_args *args, const char *op, json_t *server)
{
    struct rem_err err = {0};
    json_t *operation = json_pack("{s:s,s:s}", "op", op, "upstream", args->words[0]);

    if (operation == NULL) {
        json_decref(server);
        return complain(&(struct rem_err){.text = "invalid upstream name"});
    }
    if ((server != NULL && json_object_set_new(operation, "server", server) != 0) ||
        rem_ctl_args_target(args->words[1], operation, &err) != 0) {
        json_decref(operation);
        return complain(&err);
    }
    return operate(args, operation);
}

static int run_set(const struct rem_ctl_args *args)
{
    json_t *server = json_object();
    int rc = server != NULL ? read_settings(args, 2, server) : out_of_memory();

    if (rc != REM_CTL_OK) {
        json_decref(server);
        return rc;
    }
    return operate_on(args, "update", server);
}

static int run_drain(const struct rem_ctl_args *args)
{
    return operate_on(args, "update", json_pack("{s:b}", "drain", 1));
}

static int run_down(const struct rem_ctl_args *args)
{
    return operate_on(args, "update", json_pack("{s:b}", "down", 1));
}

static int run_up(const struct rem_ctl_args *args)
{
    return operate_on(args, "update", json_pack("{s:b,s:b}", "down", 0, "drain", 0));
}

static int run_remove(const struct rem_ctl_args *args)
{
    return operate_on(args, "remove", NULL);
}

/* Reads a file or stdin. */
static int read_file(const char *name, struct rem_sbuf *out)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    struct rem_err err = {0};
    char chunk[4096];
    size_t n;

    if (file == NULL) {
        (void)rem_err_set(&err, REM_EIO, "%s: %s", name, strerror(errno));
        return complain(&err);
    }
    while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
        rem_sbuf_add(out, rem_str_make(chunk, n));
    if (ferror(file))
        (void)rem_err_set(&err, REM_EIO, "%s: %s", name, strerror(errno));
    else if (out->failed)
        (void)rem_err_set(&err, REM_ENOMEM, "out of memory");
    if (file != stdin)
        (void)fclose(file);
    return err.code == 0 ? REM_CTL_OK : complain(&err);
}

static int run_replace(const struct rem_ctl_args *args)
{
    char *path = upstream_path(args->words[0], "/servers");
    struct rem_sbuf content;
    struct rem_err err = {0};
    json_t *servers = NULL;
    int rc;

    rem_sbuf_init(&content);
    rc = path != NULL ? read_file(args->file, &content) : out_of_memory();
    rem_sbuf_addc(&content, '\0');
    if (rc == REM_CTL_OK && content.failed)
        rc = out_of_memory();
    if (rc == REM_CTL_OK && rem_ctl_args_servers(content.p, content.n - 1, &servers, &err) != 0)
        rc = complain(&err);
    if (rc == REM_CTL_OK)
        rc = change(args, "PUT", path, servers);
    rem_sbuf_fini(&content);
    free(path);
    return rc;
}

static const struct rem_ctl_command commands[] = {
    {"list", 0, 0, run_list, "list"},
    {"show", 1, 1, run_show, "show UPSTREAM"},
    {"add", 2, -1, run_add, "add UPSTREAM ADDRESS [SETTING...]"},
    {"set", 3, -1, run_set, "set UPSTREAM SERVER SETTING..."},
    {"drain", 2, 2, run_drain, "drain UPSTREAM SERVER"},
    {"down", 2, 2, run_down, "down UPSTREAM SERVER"},
    {"up", 2, 2, run_up, "up UPSTREAM SERVER"},
    {"remove", 2, 2, run_remove, "remove UPSTREAM SERVER"},
    {"replace", 1, 1, run_replace, "replace UPSTREAM -f FILE"},
    {"status", 0, 0, run_status, "status"},
    {"revision", 0, 0, run_revision, "revision"},
    {"metrics", 0, 0, run_metrics, "metrics [--detail]"},
};

const struct rem_ctl_command *rem_ctl_command_find(const char *name)
{
    for (size_t i = 0; i < REM_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}
