/* SPDX-License-Identifier: Apache-2.0 */
/* Servers of upstreams: shown and changed. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"
#include "api/remoractl_table.h"
#include "api/remoractl_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rem_ctl_list(const struct rem_ctl_args *args)
{
    json_t *answer;
    int rc = rem_ctl_ask_shown(args, "GET", "/v1/http/upstreams", NULL, &answer);

    if (answer != NULL)
        rem_ctl_view_upstreams(json_object_get(answer, "upstreams"), NULL, 0, stdout);
    json_decref(answer);
    return rc;
}

int rem_ctl_show(const struct rem_ctl_args *args)
{
    char *path = rem_ctl_path(args, "/v1/http/upstreams/%s", args->words[0]);
    json_t *answer;
    int rc = rem_ctl_ask_path(args, "GET", path, &answer);

    if (answer != NULL) {
        rem_ctl_view_servers(json_object_get(answer, "servers"), NULL, 0, stdout);
        rem_ctl_view_settings(answer, stdout);
    }
    json_decref(answer);
    return rc;
}

/* ---- changing ---- */

/* Sends one operation (taken) as a transaction. */
static int operate(const struct rem_ctl_args *args, json_t *operation)
{
    return rem_ctl_change(args, "POST", rem_ctl_path(args, "/v1/transactions", NULL),
                          json_pack("{s:[o]}", "operations", operation));
}

/* Reads the settings from word `from` on into `server`. */
static int read_settings(const struct rem_ctl_args *args, int from, json_t *server)
{
    struct rem_err err = {0};

    for (int i = from; i < args->word_count; i++)
        if (rem_ctl_args_setting(args->words[i], server, &err) != 0)
            return rem_ctl_complain("%s", err.text);
    return REM_CTL_OK;
}

int rem_ctl_add(const struct rem_ctl_args *args)
{
    json_t *server = json_pack("{s:s}", "server", args->words[1]);
    int rc;

    if (server == NULL)
        return rem_ctl_complain("invalid address");
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
        return rem_ctl_complain("invalid upstream name");
    }
    if ((server != NULL && json_object_set_new(operation, "server", server) != 0) ||
        rem_ctl_args_target(args->words[1], operation, &err) != 0) {
        json_decref(operation);
        return rem_ctl_complain("%s", err.text);
    }
    return operate(args, operation);
}

int rem_ctl_set(const struct rem_ctl_args *args)
{
    json_t *server = json_object();
    int rc = server != NULL ? read_settings(args, 2, server) : rem_ctl_no_memory();

    if (rc != REM_CTL_OK) {
        json_decref(server);
        return rc;
    }
    return operate_on(args, "update", server);
}

/* The instance: no more connections, then its end. */
static int drain_instance(const struct rem_ctl_args *args)
{
    char path[128];
    json_t *answer;
    int rc;

    if (args->word_count != 0)
        return rem_ctl_complain(
            "usage: remoractl drain --instance [--timeout TIME] [--delay TIME]");
    (void)snprintf(path, sizeof(path), "/v1/drain%s%.40s%s%s%.40s",
                   args->timeout != NULL ? "?timeout=" : "",
                   args->timeout != NULL ? args->timeout : "",
                   args->delay == NULL     ? ""
                   : args->timeout != NULL ? "&"
                                           : "?",
                   args->delay != NULL ? "delay=" : "", args->delay != NULL ? args->delay : "");
    rc = rem_ctl_ask_shown(args, "POST", path, NULL, &answer);
    if (answer != NULL)
        (void)printf("draining: %" JSON_INTEGER_FORMAT " connections, %" JSON_INTEGER_FORMAT
                     " requests\n",
                     rem_ctl_number(json_object_get(answer, "connections"), "active"),
                     rem_ctl_number(answer, "requests"));
    json_decref(answer);
    return rc;
}

int rem_ctl_drain(const struct rem_ctl_args *args)
{
    if (rem_ctl_given(args, REM_CTL_INSTANCE))
        return drain_instance(args);
    if (args->word_count != 2 || args->given & (REM_CTL_TIMEOUT | REM_CTL_DELAY))
        return rem_ctl_complain("usage: remoractl drain UPSTREAM SERVER");
    return operate_on(args, "update", json_pack("{s:b}", "drain", 1));
}

int rem_ctl_down(const struct rem_ctl_args *args)
{
    return operate_on(args, "update", json_pack("{s:b}", "down", 1));
}

int rem_ctl_up(const struct rem_ctl_args *args)
{
    return operate_on(args, "update", json_pack("{s:b,s:b}", "down", 0, "drain", 0));
}

int rem_ctl_remove(const struct rem_ctl_args *args)
{
    return operate_on(args, "remove", NULL);
}

int rem_ctl_replace(const struct rem_ctl_args *args)
{
    struct rem_sbuf content;
    struct rem_err err = {0};
    json_t *servers = NULL;
    int rc;

    rem_sbuf_init(&content);
    rc = rem_ctl_read_file(args->file, &content);
    rem_sbuf_addc(&content, '\0');
    if (rc == REM_CTL_OK && content.failed)
        rc = rem_ctl_no_memory();
    if (rc == REM_CTL_OK && rem_ctl_args_servers(content.p, content.n - 1, &servers, &err) != 0)
        rc = rem_ctl_complain("%s", err.text);
    if (rc == REM_CTL_OK)
        rc = rem_ctl_change(args, "PUT",
                            rem_ctl_path(args, "/v1/http/upstreams/%s/servers", args->words[0]),
                            servers);
    rem_sbuf_fini(&content);
    return rc;
}
