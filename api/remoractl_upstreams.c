/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams as a whole. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"

#include <stdlib.h>
#include <string.h>

/* A word as an upstream's member: "method=least_conn", "limits.max_requests=7"; a value that is
 * JSON is taken as such, any other is a text. */
static int set_member(json_t *object, const char *word)
{
    const char *equals = strchr(word, '='), *dot = strchr(word, '.');
    char key[64], inner[64];
    json_t *value, *outer;

    if (equals == NULL || equals == word || equals - word >= (long)sizeof(key))
        return rem_ctl_complain("invalid setting \"%s\": NAME=VALUE is meant", word);
    memcpy(key, word, (size_t)(equals - word));
    key[equals - word] = '\0';
    value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (value == NULL)
        value = json_string(equals + 1);
    if (value == NULL)
        return rem_ctl_complain("invalid setting \"%s\"", word);
    if (dot == NULL || dot > equals)
        return json_object_set_new(object, key, value) == 0 ? REM_CTL_OK : rem_ctl_no_memory();
    strcpy(inner, key + (dot - word) + 1);
    key[dot - word] = '\0';
    outer = json_object_get(object, key);
    if (!json_is_object(outer)) {
        outer = json_object();
        (void)json_object_set_new(object, key, outer);
    }
    return json_object_set_new(outer, inner, value) == 0 ? REM_CTL_OK : rem_ctl_no_memory();
}

/* The body of -f, or an empty one, with what the words say on top. */
static int read_body(const struct rem_ctl_args *args, json_t **out)
{
    int rc = REM_CTL_OK;

    *out = NULL;
    if (args->file != NULL)
        rc = rem_ctl_read_json(args->file, out);
    else
        *out = json_object();
    if (rc != REM_CTL_OK)
        return rc;
    if (!json_is_object(*out))
        rc = rem_ctl_complain("%s: an upstream is an object", args->file);
    for (int i = 1; rc == REM_CTL_OK && i < args->word_count; i++)
        rc = set_member(*out, args->words[i]);
    if (rc != REM_CTL_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int rem_ctl_create(const struct rem_ctl_args *args)
{
    json_t *body;
    int rc = read_body(args, &body);

    if (rc != REM_CTL_OK)
        return rc;
    if (json_object_set_new(body, "name", json_string(args->words[0])) != 0) {
        json_decref(body);
        return rem_ctl_complain("invalid upstream name");
    }
    rem_ctl_args_strip(json_object_get(body, "servers"));
    return rem_ctl_change(args, "POST", rem_ctl_path(args, "/v1/http/upstreams", NULL), body);
}

int rem_ctl_update(const struct rem_ctl_args *args)
{
    json_t *body;
    int rc = read_body(args, &body);

    if (rc != REM_CTL_OK)
        return rc;
    if (json_object_size(body) == 0) {
        json_decref(body);
        return rem_ctl_complain("usage: remoractl %s", args->command->usage);
    }
    rem_ctl_args_strip(json_object_get(body, "servers"));
    return rem_ctl_change(args, "PATCH",
                          rem_ctl_path(args, "/v1/http/upstreams/%s", args->words[0]), body);
}

int rem_ctl_delete(const struct rem_ctl_args *args)
{
    char *path = rem_ctl_path(args, "/v1/http/upstreams/%s", args->words[0]);
    json_t *answer;
    int rc = rem_ctl_ask_path(args, "DELETE", path, &answer);

    if (answer != NULL)
        rem_ctl_print_change(answer);
    json_decref(answer);
    return rc;
}
