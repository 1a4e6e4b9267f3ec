/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/put.h"

#include "proto/wire/scan.h"

/* Writes digits backwards from `end`; returns their start. */
static char *decimal(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return end;
}

void rem_put_u64(struct rem_put *put, uint64_t value)
{
    char digits[REM_PUT_U64_MAX];
    char *end = digits + sizeof(digits);
    char *at = decimal(end, value);

    rem_put_bytes(put, at, (size_t)(end - at));
}

size_t rem_json_code(char *code, char c)
{
    static const char digits[] = "0123456789ABCDEF", letters[] = "btn?fr";
    unsigned char byte = (unsigned char)c;

    if (byte >= 0x20 && c != '"' && c != '\\')
        return 0;
    code[0] = '\\';
    if (c == '"' || c == '\\' || (c >= '\b' && c <= '\r' && c != '\v')) {
        code[1] = c == '"' || c == '\\' ? c : letters[c - '\b'];
        return 2;
    }
    memcpy(code + 1, "u00", 3);
    code[4] = digits[byte >> 4];
    code[5] = digits[byte & 15];
    return 6;
}

void rem_put_field_u64(struct rem_put *put, struct rem_str name, uint64_t value)
{
    char digits[REM_PUT_U64_MAX];
    char *end = digits + sizeof(digits);
    char *at = decimal(end, value);

    rem_put_field(put, name, rem_str_make(at, (size_t)(end - at)));
}

void rem_put_hex(struct rem_put *put, uint64_t value)
{
    char digits[16];
    char *end = digits + sizeof(digits);
    char *at = end;

    do {
        *--at = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value != 0);
    rem_put_bytes(put, at, (size_t)(end - at));
}

void rem_put_status_line(struct rem_put *put, unsigned code, struct rem_str reason)
{
    char *at;

    if (reason.n == 0)
        reason = rem_status_reason(code);
    at = rem_put_claim(put, sizeof("HTTP/1.1 200 \r\n") - 1 + reason.n);
    if (at == NULL)
        return;
    memcpy(at, "HTTP/1.1 ", 9);
    at[9] = (char)('0' + code / 100 % 10);
    at[10] = (char)('0' + code / 10 % 10);
    at[11] = (char)('0' + code % 10);
    at[12] = ' ';
    if (reason.n != 0)
        memcpy(at + 13, reason.p, reason.n);
    memcpy(at + 13 + reason.n, "\r\n", 2);
}

void rem_put_request_line(struct rem_put *put, struct rem_str method, struct rem_str target,
                          unsigned minor)
{
    rem_put_add(put, method);
    rem_put_char(put, ' ');
    rem_put_add(put, target);
    if (minor == 0)
        REM_PUT(put, " HTTP/1.0\r\n");
    else
        REM_PUT(put, " HTTP/1.1\r\n");
}

void rem_put_fields(struct rem_put *put, const struct rem_fields *fields)
{
    for (uint32_t i = 0; i < fields->n; i++)
        if (!(fields->v[i].flags & REM_FIELD_HOP))
            rem_put_field(put, fields->v[i].name, fields->v[i].value);
}

size_t rem_put_fields_size(const struct rem_fields *fields)
{
    size_t size = 0;

    for (uint32_t i = 0; i < fields->n; i++)
        size += rem_put_field_size(fields->v[i].name, fields->v[i].value);
    return size;
}

struct phrase {
    uint16_t code;
    uint8_t n;
    const char *text;
};

#define PHRASE(code, text)                                                                         \
    {                                                                                              \
        code, sizeof(text) - 1, text                                                               \
    }
static const struct phrase phrases[] = {
    PHRASE(100, "Continue"),
    PHRASE(101, "Switching Protocols"),
    PHRASE(102, "Processing"),
    PHRASE(103, "Early Hints"),
    PHRASE(200, "OK"),
    PHRASE(201, "Created"),
    PHRASE(202, "Accepted"),
    PHRASE(203, "Non-Authoritative Information"),
    PHRASE(204, "No Content"),
    PHRASE(205, "Reset Content"),
    PHRASE(206, "Partial Content"),
    PHRASE(207, "Multi-Status"),
    PHRASE(300, "Multiple Choices"),
    PHRASE(301, "Moved Permanently"),
    PHRASE(302, "Moved Temporarily"),
    PHRASE(303, "See Other"),
    PHRASE(304, "Not Modified"),
    PHRASE(307, "Temporary Redirect"),
    PHRASE(308, "Permanent Redirect"),
    PHRASE(400, "Bad Request"),
    PHRASE(401, "Unauthorized"),
    PHRASE(402, "Payment Required"),
    PHRASE(403, "Forbidden"),
    PHRASE(404, "Not Found"),
    PHRASE(405, "Not Allowed"),
    PHRASE(406, "Not Acceptable"),
    PHRASE(407, "Proxy Authentication Required"),
    PHRASE(408, "Request Time-out"),
    PHRASE(409, "Conflict"),
    PHRASE(410, "Gone"),
    PHRASE(411, "Length Required"),
    PHRASE(412, "Precondition Failed"),
    PHRASE(413, "Request Entity Too Large"),
    PHRASE(414, "Request-URI Too Large"),
    PHRASE(415, "Unsupported Media Type"),
    PHRASE(416, "Requested Range Not Satisfiable"),
    PHRASE(417, "Expectation Failed"),
    PHRASE(421, "Misdirected Request"),
    PHRASE(422, "Unprocessable Entity"),
    PHRASE(423, "Locked"),
    PHRASE(424, "Failed Dependency"),
    PHRASE(425, "Too Early"),
    PHRASE(426, "Upgrade Required"),
    PHRASE(428, "Precondition Required"),
    PHRASE(429, "Too Many Requests"),
    PHRASE(431, "Request Header Fields Too Large"),
    PHRASE(451, "Unavailable For Legal Reasons"),
    PHRASE(500, "Internal Server Error"),
    PHRASE(501, "Not Implemented"),
    PHRASE(502, "Bad Gateway"),
    PHRASE(503, "Service Temporarily Unavailable"),
    PHRASE(504, "Gateway Time-out"),
    PHRASE(505, "HTTP Version Not Supported"),
    PHRASE(507, "Insufficient Storage"),
    PHRASE(508, "Loop Detected"),
    PHRASE(511, "Network Authentication Required"),
};
#undef PHRASE

struct rem_str rem_status_reason(unsigned code)
{
    size_t low = 0;
    size_t high = REM_COUNT(phrases);

    if (code == 200)
        return REM_STR("OK");
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (phrases[middle].code == code)
            return rem_str_make(phrases[middle].text, phrases[middle].n);
        if (phrases[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return REM_STR("");
}

bool rem_put_is_value(struct rem_str s)
{
    return rem_scan_value(s.p, s.n) == s.n;
}

bool rem_put_is_token(struct rem_str s)
{
    return s.n != 0 && rem_scan_run(s.p, 0, s.n, REM_SCAN_TOKEN) == s.n;
}
