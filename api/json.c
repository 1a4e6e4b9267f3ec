/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json.h"

#include <stdlib.h>

/* Looks at the structure before anything is allocated for it.  Malformed text is left for the
 * parser to report. */
static int check_bounds(struct rem_str text, struct rem_fault *fault)
{
    size_t depth = 0, containers = 0, values = 1;
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
            continue;
        }
        if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            containers++;
            values++;
            if (++depth > REM_JSON_DEPTH)
                return rem_fault_set(fault, REM_FAULT_JSON, "nested deeper than %d levels",
                                     REM_JSON_DEPTH);
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
    }
    if (containers > REM_JSON_CONTAINERS || values > REM_JSON_VALUES)
        return rem_fault_set(fault, REM_FAULT_TOO_LARGE, "too many values");
    return 0;
}

int rem_json_parse(struct rem_str text, json_t **out, struct rem_fault *fault)
{
    json_error_t error;
    json_t *value;

    if (text.n == 0)
        return rem_fault_set(fault, REM_FAULT_JSON, "the request has no body");
    if (check_bounds(text, fault) != 0)
        return REM_EINVAL;
    value = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL)
        return rem_fault_set(fault, REM_FAULT_JSON, "line %d, column %d: %s", error.line,
                             error.column, error.text);
    *out = value;
    return 0;
}

static int on_bytes(const char *p, size_t n, void *data)
{
    rem_sbuf_add(data, rem_str_make(p, n));
    return 0;
}

void rem_json_answer(struct rem_api_response *response, json_t *value)
{
    rem_sbuf_clear(&response->body);
    response->content_type = REM_API_JSON;
    if (value == NULL || json_dump_callback(value, on_bytes, &response->body,
                                            JSON_COMPACT | JSON_REAL_PRECISION(12)) != 0)
        response->body.failed = true;
    json_decref(value);
}

json_t *rem_json_text(struct rem_str s)
{
    json_t *value = json_stringn(s.n != 0 ? s.p : "", s.n);
    char *copy;

    if (value != NULL)
        return value;
    /* Not UTF-8 (names in a configuration file may be anything). */
    copy = malloc(s.n + 1);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < s.n; i++)
        copy[i] = (unsigned char)s.p[i] < 0x80 ? s.p[i] : '?';
    value = json_stringn(copy, s.n);
    free(copy);
    return value;
}
