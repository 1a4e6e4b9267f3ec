/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_ask.h"

#include "api/remoractl_diff.h"
#include "proto/wire/uri.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rem_ctl_complain(const char *format, ...)
{
    va_list list;

    (void)fflush(stdout);
    (void)fputs("remoractl: ", stderr);
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    va_end(list);
    (void)fputc('\n', stderr);
    return REM_CTL_FAILED;
}

int rem_ctl_no_memory(void)
{
    return rem_ctl_complain("out of memory");
}

json_int_t rem_ctl_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

const char *rem_ctl_text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value != NULL ? value : "";
}

void rem_ctl_print_json(const json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
}

/* ---- files ---- */

int rem_ctl_read_file(const char *name, struct rem_sbuf *out)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    char chunk[4096];
    bool failed;
    size_t n;

    if (file == NULL)
        return rem_ctl_complain("%s: %s", name, strerror(errno));
    while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
        rem_sbuf_add(out, rem_str_make(chunk, n));
    failed = ferror(file) != 0;
    int error = errno;
    if (file != stdin)
        (void)fclose(file);
    if (failed)
        return rem_ctl_complain("%s: %s", name, strerror(error));
    return out->failed ? rem_ctl_no_memory() : REM_CTL_OK;
}

int rem_ctl_read_json(const char *name, json_t **out)
{
    struct rem_sbuf text;
    json_error_t error;
    int rc;

    rem_sbuf_init(&text);
    rc = rem_ctl_read_file(name, &text);
    *out = NULL;
    if (rc == REM_CTL_OK) {
        *out = json_loadb(text.n != 0 ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);
        if (*out == NULL)
            rc = rem_ctl_complain("%s: line %d: %s", name, error.line, error.text);
    }
    rem_sbuf_fini(&text);
    return rc;
}

/* The token's file holds nothing but the token. */
static int read_token(const char *name, char token[REM_CTL_TOKEN_MAX])
{
    struct rem_sbuf text;
    struct rem_str s;
    int rc;

    rem_sbuf_init(&text);
    rc = rem_ctl_read_file(name, &text);
    s = rem_sbuf_str(&text);
    while (s.n != 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
        s.n--;
    for (size_t i = 0; rc == REM_CTL_OK && i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
            rc = rem_ctl_complain("%s: a token has no blanks and no control characters", name);
    if (rc == REM_CTL_OK && (s.n == 0 || s.n >= REM_CTL_TOKEN_MAX))
        rc = rem_ctl_complain("%s: %s", name, s.n == 0 ? "no token in it" : "too long for a token");
    if (rc == REM_CTL_OK) {
        memcpy(token, s.p, s.n);
        token[s.n] = '\0';
    }
    rem_sbuf_fini(&text);
    return rc;
}

/* ---- asking ---- */

char *rem_ctl_path(const struct rem_ctl_args *args, const char *pattern, const char *name)
{
    const char *tail = rem_ctl_given(args, REM_CTL_DRY_RUN) ? "?dry_run=true" : "";
    const char *mark = strstr(pattern, "%s");
    size_t lead = mark != NULL ? (size_t)(mark - pattern) : strlen(pattern);
    struct rem_str s = rem_str_from(mark != NULL ? name : "");
    size_t room =
        rem_uri_escape_size(s, REM_URI_ESCAPE_COMPONENT) + strlen(pattern) + strlen(tail) + 1;
    char *path = malloc(room), *at;

    if (path == NULL)
        return NULL;
    memcpy(path, pattern, lead);
    at = rem_uri_escape_to(path + lead, s, REM_URI_ESCAPE_COMPONENT);
    (void)snprintf(at, room - (size_t)(at - path), "%s%s", mark != NULL ? mark + 2 : "", tail);
    return path;
}

int rem_ctl_request_init(const struct rem_ctl_args *args, struct rem_ctl_request *request,
                         char token[REM_CTL_TOKEN_MAX])
{
    *request = (struct rem_ctl_request){.server = args->server, .method = "GET"};
    if (args->token_file == NULL)
        return REM_CTL_OK;
    request->token = token;
    return read_token(args->token_file, token);
}

/* Users know of upstreams, not of the operations that we made of their words: "operation 2: text"
 * becomes "upstream "a": text".  *about: what to say of the name, or NULL.  Returns: the text. */
static const char *explain(const char *detail, const json_t *sent, const char **about,
                           const char **name)
{
    static const char *const kinds[] = {"upstream", "split", "keyval"};
    const json_t *operation;
    unsigned n;
    int used = 0;

    *about = NULL;
    if (sscanf(detail, "operation %u: %n", &n, &used) != 1 || used == 0)
        return detail;
    operation = json_array_get(json_object_get(sent, "operations"), n);
    for (size_t i = 0; i < REM_COUNT(kinds); i++) {
        *name = json_string_value(json_object_get(operation, kinds[i]));
        if (*name == NULL)
            continue;
        if (strstr(detail + used, *name) == NULL)
            *about = kinds[i];
        return detail + used;
    }
    return detail;
}

int rem_ctl_refused(int status, struct rem_str body, const json_t *sent)
{
    json_t *problem = json_loadb(body.n != 0 ? body.p : "", body.n, 0, NULL);
    const json_t *plus = json_object_get(problem, "error");
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *code = rem_ctl_text(plus != NULL ? plus : problem, "code");
    const char *hint = status == 401 || status == 403 ? "; see --token-file" : "";
    const char *about = NULL, *name = "";

    if (detail == NULL)
        detail = json_string_value(json_object_get(plus, "text"));
    if (detail != NULL)
        detail = explain(detail, sent, &about, &name);
    if (about != NULL)
        (void)rem_ctl_complain("%s \"%s\": %s (%d %s)%s", about, name, detail, status, code, hint);
    else if (detail != NULL)
        (void)rem_ctl_complain("%s (%d %s)%s", detail, status, code, hint);
    else
        (void)rem_ctl_complain("the API answered with status %d%s", status, hint);
    json_decref(problem);
    return REM_CTL_REFUSED;
}

int rem_ctl_send(const struct rem_ctl_args *args, struct rem_ctl_request *request,
                 const json_t *send, int *status, struct rem_sbuf *body)
{
    const struct rem_ctl_request given = *request;
    char token[REM_CTL_TOKEN_MAX];
    struct rem_err err = {0};
    char *text = NULL;
    int rc = rem_ctl_request_init(args, request, token);

    *status = 0;
    if (rc != REM_CTL_OK)
        return rc;
    if (send != NULL) {
        text = json_dumps(send, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text == NULL)
            return rem_ctl_no_memory();
    }
    request->method = given.method;
    request->path = given.path;
    request->if_match = given.if_match;
    request->body = rem_str_from(text);
    rc = rem_ctl_http(request, status, body, &err);
    request->token = NULL;
    free(text);
    if (rc != 0)
        return rem_ctl_complain("%s", err.text);
    return body->failed ? rem_ctl_no_memory() : REM_CTL_OK;
}

int rem_ctl_ask(const struct rem_ctl_args *args, const char *method, const char *path,
                const json_t *send, struct rem_sbuf *body)
{
    struct rem_ctl_request request = {
        .method = method,
        .path = path,
        .if_match = strcmp(method, "GET") != 0 ? args->if_match : NULL,
    };
    int status;
    int rc = rem_ctl_send(args, &request, send, &status, body);

    if (rc != REM_CTL_OK || (status >= 200 && status < 300))
        return rc;
    return rem_ctl_refused(status, rem_sbuf_str(body), send);
}

int rem_ctl_ask_json(const struct rem_ctl_args *args, const char *method, const char *path,
                     const json_t *send, json_t **out)
{
    struct rem_sbuf body;
    int rc;

    *out = NULL;
    rem_sbuf_init(&body);
    rc = rem_ctl_ask(args, method, path, send, &body);
    if (rc == REM_CTL_OK) {
        *out = body.n != 0 ? json_loadb(body.p, body.n, 0, NULL) : json_object();
        if (*out == NULL)
            rc = rem_ctl_complain("the answer is not JSON");
    }
    rem_sbuf_fini(&body);
    return rc;
}

int rem_ctl_ask_shown(const struct rem_ctl_args *args, const char *method, const char *path,
                      const json_t *send, json_t **out)
{
    int rc = rem_ctl_ask_json(args, method, path, send, out);

    if (*out != NULL && args->json) {
        rem_ctl_print_json(*out);
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int rem_ctl_ask_path(const struct rem_ctl_args *args, const char *method, char *path, json_t **out)
{
    int rc;

    *out = NULL;
    rc = path != NULL ? rem_ctl_ask_shown(args, method, path, NULL, out) : rem_ctl_no_memory();
    free(path);
    return rc;
}

/* ---- changing ---- */

void rem_ctl_print_change(const json_t *answer)
{
    const json_t *applied = json_object_get(answer, "applied");

    if (json_is_true(json_object_get(answer, "dry_run"))) {
        if (!rem_ctl_diff_print(answer))
            (void)puts("nothing would change");
        return;
    }
    (void)printf("revision %" JSON_INTEGER_FORMAT "%s\n", rem_ctl_number(answer, "revision"),
                 applied == NULL         ? ""
                 : json_is_true(applied) ? ", used by all workers"
                                         : ", published, not yet used by all workers");
}

int rem_ctl_change(const struct rem_ctl_args *args, const char *method, char *path, json_t *send)
{
    json_t *answer = NULL;
    int rc = send != NULL && path != NULL ? rem_ctl_ask_shown(args, method, path, send, &answer)
                                          : rem_ctl_no_memory();

    json_decref(send);
    free(path);
    if (answer != NULL)
        rem_ctl_print_change(answer);
    json_decref(answer);
    return rc;
}
