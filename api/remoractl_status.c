/* SPDX-License-Identifier: Apache-2.0 */
/* The instance: how it does, what it runs, and what of that is kept. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"
#include "api/remoractl_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIB (1024.0 * 1024.0)
#define INT JSON_INTEGER_FORMAT

static void print_workers(const json_t *workers)
{
    struct rem_ctl_table table;

    rem_ctl_table_init(&table,
                       json_pack("[s,s,s,s,s]", "WORKER", "PID", "GENERATION", "REVISION", "IDLE"));
    for (size_t i = 0; i < json_array_size(workers); i++) {
        const json_t *w = json_array_get(workers, i);
        rem_ctl_table_add(
            &table, json_pack("[I,I,I,I,b]", rem_ctl_number(w, "slot"), rem_ctl_number(w, "pid"),
                              rem_ctl_number(w, "generation"), rem_ctl_number(w, "revision"),
                              json_is_true(json_object_get(w, "idle"))));
    }
    rem_ctl_table_finish(&table, stdout);
}

int rem_ctl_revision(const struct rem_ctl_args *args)
{
    json_t *answer;
    int rc = rem_ctl_ask_shown(args, "GET", "/v1/revision", NULL, &answer);

    if (answer == NULL)
        return rc;
    (void)printf("revision %" INT "\n", rem_ctl_number(answer, "revision"));
    print_workers(json_object_get(answer, "workers"));
    json_decref(answer);
    return rc;
}

int rem_ctl_status(const struct rem_ctl_args *args)
{
    json_t *answer;
    const json_t *memory, *connections, *requests;
    int rc = rem_ctl_ask_shown(args, "GET", "/v1/status", NULL, &answer);

    if (answer == NULL)
        return rc;
    memory = json_object_get(answer, "memory");
    connections = json_object_get(answer, "connections");
    requests = json_object_get(answer, "requests");
    (void)printf("remora %s, up %" INT " s%s%s\n", rem_ctl_text(answer, "version"),
                 rem_ctl_number(answer, "uptime"),
                 json_is_true(json_object_get(answer, "draining")) ? ", draining" : "",
                 json_is_true(json_object_get(answer, "write")) ? "" : ", read-only");
    (void)printf("revision %" INT ", configuration %" INT ", respawned workers %" INT "\n",
                 rem_ctl_number(answer, "revision"), rem_ctl_number(answer, "generation"),
                 rem_ctl_number(answer, "worker_respawns"));
    (void)printf("connections: %" INT " active, %" INT " idle; requests: %" INT "\n",
                 rem_ctl_number(connections, "active"), rem_ctl_number(connections, "idle"),
                 rem_ctl_number(requests, "total"));
    (void)printf("shared memory: %.1f of %.0f MiB used\n",
                 (double)rem_ctl_number(memory, "used") / MIB,
                 (double)rem_ctl_number(memory, "size") / MIB);
    print_workers(json_object_get(answer, "workers"));
    json_decref(answer);
    return rc;
}

/* `path` and behind it the words, the first and each other one by its pattern. */
static int make_path(const struct rem_ctl_args *args, const char *path, const char *first,
                     const char *other, struct rem_sbuf *out)
{
    rem_sbuf_adds(out, path);
    for (int i = 0; i < args->word_count; i++) {
        char *one = rem_ctl_path(args, i == 0 ? first : other, args->words[i]);

        if (one == NULL)
            return rem_ctl_no_memory();
        rem_sbuf_adds(out, one);
        free(one);
    }
    rem_sbuf_addc(out, '\0');
    return out->failed ? rem_ctl_no_memory() : REM_CTL_OK;
}

int rem_ctl_metrics(const struct rem_ctl_args *args)
{
    const char *start =
        rem_ctl_given(args, REM_CTL_DETAIL) ? "/metrics?detail=server" : "/metrics?";
    struct rem_sbuf path, body;
    int rc;

    rem_sbuf_init(&path);
    rem_sbuf_init(&body);
    rc = make_path(args, start, "&name=%s", ",%s", &path);
    if (rc == REM_CTL_OK)
        rc = rem_ctl_ask(args, "GET", path.p, NULL, &body);
    if (rc == REM_CTL_OK && body.n != 0)
        (void)fwrite(body.p, 1, body.n, stdout);
    rem_sbuf_fini(&path);
    rem_sbuf_fini(&body);
    return rc;
}

/* The answer to a probe; in text it says what is missing, a line each. */
static int tell_ready(const struct rem_ctl_args *args, int status, struct rem_str body)
{
    while (body.n != 0 && body.p[body.n - 1] == '\n')
        body.n--;
    if (status != 200 && status != 503)
        return rem_ctl_refused(status, body, NULL);
    if (args->json)
        (void)printf("%.*s\n", REM_STR_ARG(body));
    else if (status == 200)
        (void)puts("ready");
    else
        (void)rem_ctl_complain("not ready: %.*s", REM_STR_ARG(body));
    return status == 200 ? REM_CTL_OK : REM_CTL_REFUSED;
}

int rem_ctl_ready(const struct rem_ctl_args *args)
{
    struct rem_ctl_request request = {.method = "GET"};
    struct rem_sbuf path, body;
    int status, rc;

    rem_sbuf_init(&path);
    rem_sbuf_init(&body);
    rc = make_path(args, args->json ? "/readyz?verbose" : "/readyz?", "&upstream=%s",
                   "&upstream=%s", &path);
    request.path = path.p;
    if (rc == REM_CTL_OK)
        rc = rem_ctl_send(args, &request, NULL, &status, &body);
    if (rc == REM_CTL_OK)
        rc = tell_ready(args, status, rem_sbuf_str(&body));
    rem_sbuf_fini(&path);
    rem_sbuf_fini(&body);
    return rc;
}

/* ---- state ---- */

static void print_parts(const char *heading, const json_t *list)
{
    struct rem_ctl_table table;

    if (json_array_size(list) == 0)
        return;
    rem_ctl_table_init(&table, json_pack("[s,s,s,s]", heading, "IN EFFECT", "AT RESTART", "WHY"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        rem_ctl_table_add(&table,
                          json_pack("[s,s,s,s]", rem_ctl_text(one, "name"),
                                    rem_ctl_text(one, "in_effect"), rem_ctl_text(one, "at_restart"),
                                    rem_ctl_text(one, "why")));
    }
    rem_ctl_table_finish(&table, stdout);
    (void)fputc('\n', stdout);
}

static void print_changes(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (rem_ctl_text(one, "changes")[0] != '\0')
            (void)printf("%s: %s\n", rem_ctl_text(one, "name"), rem_ctl_text(one, "changes"));
    }
}

static void print_drops(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        time_t at = (time_t)rem_ctl_number(one, "time");
        char text[32] = "";
        struct tm tm;

        if (gmtime_r(&at, &tm) != NULL)
            (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
        (void)printf("dropped at %s: %s: %s: %s\n", text, rem_ctl_text(one, "name"),
                     rem_ctl_text(one, "why"), rem_ctl_text(one, "changes"));
    }
}

int rem_ctl_state(const struct rem_ctl_args *args)
{
    const char *file;
    json_t *answer;
    int rc;

    if (args->word_count == 1 && strcmp(args->words[0], "explain") != 0)
        return rem_ctl_complain("usage: remoractl %s", args->command->usage);
    rc = rem_ctl_ask_shown(args, "GET", "/v1/state", NULL, &answer);
    if (answer == NULL)
        return rc;
    file = json_string_value(json_object_get(answer, "file"));
    if (file == NULL)
        (void)puts(
            "No directory (admin { state DIR; }): changes made at run time are lost at a restart.");
    else
        (void)printf("%s: %s\n", file,
                     json_is_true(json_object_get(answer, "saved")) ? "all is saved"
                                                                    : "not all is saved");
    (void)printf("%s\n\n", rem_ctl_text(answer, "rule"));
    print_parts("UPSTREAM", json_object_get(answer, "upstreams"));
    print_parts("TABLE", json_object_get(answer, "tables"));
    print_changes(json_object_get(answer, "upstreams"));
    print_drops(json_object_get(answer, "dropped"));
    json_decref(answer);
    return rc;
}
