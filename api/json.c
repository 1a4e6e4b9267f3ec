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
    if (value == NULL && error.line < 0) /* it says so when it got no memory for its reader */
        return REM_ENOMEM;
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

void rem_json_dump(struct rem_sbuf *out, const json_t *value)
{
    if (json_dump_callback(value, on_bytes, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        out->failed = true;
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

bool rem_json_is_utf8(struct rem_str s)
{
    bool ascii = true;
    json_t *value;

    for (size_t i = 0; i < s.n; i++)
        ascii = ascii && (unsigned char)s.p[i] < 0x80;
    if (ascii)
        return true;
    value = json_stringn(s.p, s.n);
    json_decref(value);
    return value != NULL;
}

json_t *rem_json_text(struct rem_str s)
{
    json_t *value = json_stringn(s.n != 0 ? s.p : "", s.n);
    char *copy;

    if (value != NULL)
        return value;
    /* Not UTF-8. */
    copy = malloc(s.n + 1);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < s.n; i++)
        copy[i] = (unsigned char)s.p[i] < 0x80 ? s.p[i] : '?';
    value = json_stringn(copy, s.n);
    free(copy);
    return value;
}

/* Appends a byte that JSON has to escape, or one that is not ASCII and not known to be UTF-8. */
static void put_odd(struct rem_sbuf *out, unsigned char c, bool utf8)
{
    if (c == '"' || c == '\\') {
        rem_sbuf_addc(out, '\\');
        rem_sbuf_addc(out, (char)c);
    } else if (c < 0x20) {
        rem_sbuf_addf(out, "\\u%04x", c);
    } else {
        rem_sbuf_addc(out, utf8 ? (char)c : '?');
    }
}

void rem_json_put(struct rem_sbuf *out, struct rem_str s)
{
    size_t from = 0;
    bool utf8 = rem_json_is_utf8(s);

    rem_sbuf_addc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\')
            continue;
        rem_sbuf_add(out, rem_str_make(s.p + from, i - from));
        put_odd(out, c, utf8);
        from = i + 1;
    }
    rem_sbuf_add(out, rem_str_make(s.p + from, s.n - from));
    rem_sbuf_addc(out, '"');
}

void rem_json_put_key(struct rem_sbuf *out, const char *key)
{
    rem_sbuf_adds(out, ",\"");
    rem_sbuf_adds(out, key);
    rem_sbuf_adds(out, "\":");
}

void rem_json_put_number(struct rem_sbuf *out, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    rem_sbuf_add(out, rem_str_make(digits + at, sizeof(digits) - at));
}

void rem_json_put_count(struct rem_sbuf *out, struct rem_str key, uint64_t n)
{
    rem_sbuf_add(out, key);
    rem_json_put_number(out, n < INT64_MAX ? n : INT64_MAX);
}

void rem_json_put_gauge(struct rem_sbuf *out, struct rem_str key, int64_t n)
{
    rem_json_put_count(out, key, (uint64_t)rem_json_gauge(n));
}

void rem_json_put_text(struct rem_sbuf *out, struct rem_str key, struct rem_str s)
{
    rem_sbuf_add(out, key);
    rem_json_put(out, s);
}

void rem_json_put_flag(struct rem_sbuf *out, struct rem_str key, bool value)
{
    rem_sbuf_add(out, key);
    rem_sbuf_add(out, value ? REM_STR("true") : REM_STR("false"));
}

void rem_json_put_classes(struct rem_sbuf *out, const uint64_t classes[REM_SHM_CLASSES])
{
    rem_json_put_count(out, REM_STR("{\"1xx\":"), classes[0]);
    rem_json_put_count(out, REM_JSON_KEY("2xx"), classes[1]);
    rem_json_put_count(out, REM_JSON_KEY("3xx"), classes[2]);
    rem_json_put_count(out, REM_JSON_KEY("4xx"), classes[3]);
    rem_json_put_count(out, REM_JSON_KEY("5xx"), classes[4]);
}

void rem_json_put_checks(struct rem_sbuf *out, uint64_t checks, uint64_t fails, uint64_t unhealthy)
{
    rem_json_put_count(out, REM_STR(",\"health_checks\":{\"checks\":"), checks);
    rem_json_put_count(out, REM_JSON_KEY("fails"), fails);
    rem_json_put_count(out, REM_JSON_KEY("unhealthy"), unhealthy);
}

void rem_json_put_comma(struct rem_sbuf *out)
{
    char last = out->n != 0 ? out->p[out->n - 1] : '{';

    if (last != '{' && last != '[')
        rem_sbuf_addc(out, ',');
}
