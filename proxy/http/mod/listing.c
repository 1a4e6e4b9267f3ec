/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/listing.h"
#include "proto/wire/date.h"
#include "proto/wire/uri.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_COLUMNS = 50, /* columns of a page's names */
    CUT_COLUMNS = 47,  /* what a longer one is cut to, for "..>" */
    EXACT_COLUMNS = 19,
    SHORT_COLUMNS = 7,
    EXACT_BELOW = 10000, /* such a size fits its column as it is */
    ENTRY_MAX = 200,     /* beside the name, in any format */
    FRAME_MAX = 300,     /* before and behind the entries */
    ESCAPED_MAX = 6,     /* of one byte: &quot; \u001F */
    HREF_MAX = 3,        /* of one byte: %22 */
};

static int compare(const void *a, const void *b)
{
    const struct rem_listing_entry *x = a, *y = b;
    bool x_first = x->type == REM_LISTING_DIRECTORY, y_first = y->type == REM_LISTING_DIRECTORY;

    if (x_first != y_first)
        return x_first ? -1 : 1;
    return rem_str_cmp(x->name, y->name);
}

void rem_listing_sort(struct rem_listing *listing)
{
    if (listing->n > 1)
        qsort(listing->entries, listing->n, sizeof(*listing->entries), compare);
}

size_t rem_listing_size(const struct rem_listing *listing)
{
    size_t size = FRAME_MAX + 2 * ESCAPED_MAX * listing->uri.n + listing->callback.n;

    for (size_t i = 0; i < listing->n; i++)
        size += ENTRY_MAX + (ESCAPED_MAX + HREF_MAX) * listing->entries[i].name.n;
    return size;
}

/* ---- pieces ---- */

static void put_markup(struct rem_put *put, struct rem_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '<':
            REM_PUT(put, "&lt;");
            break;
        case '>':
            REM_PUT(put, "&gt;");
            break;
        case '&':
            REM_PUT(put, "&amp;");
            break;
        case '"':
            REM_PUT(put, "&quot;");
            break;
        default:
            rem_put_char(put, s.p[i]);
        }
    }
}

static void put_json(struct rem_put *put, struct rem_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char code[REM_JSON_CODE_MAX];
        size_t n = rem_json_code(code, s.p[i]);

        if (n != 0)
            rem_put_bytes(put, code, n);
        else
            rem_put_char(put, s.p[i]);
    }
}

static void put_href(struct rem_put *put, struct rem_str s)
{
    char *at = rem_put_claim(put, rem_uri_escape_size(s, REM_URI_ESCAPE_COMPONENT));

    if (at != NULL)
        rem_uri_escape_to(at, s, REM_URI_ESCAPE_COMPONENT);
}

static void put_spaces(struct rem_put *put, size_t n)
{
    while (n-- > 0)
        rem_put_char(put, ' ');
}

/* Aligned to the right of a column. */
static void put_right(struct rem_put *put, const char *text, size_t n, size_t width)
{
    put_spaces(put, n < width ? width - n : 0);
    rem_put_bytes(put, text, n);
}

/* ---- a page ---- */

static bool starts_column(const struct rem_listing *listing, char c)
{
    return !listing->utf8 || ((unsigned char)c & 0xc0) != 0x80;
}

static size_t width_of(const struct rem_listing *listing, struct rem_str name)
{
    size_t width = 0;

    for (size_t i = 0; i < name.n; i++)
        width += starts_column(listing, name.p[i]);
    return width;
}

static struct rem_str cut(const struct rem_listing *listing, struct rem_str name)
{
    size_t width = 0, i = 0;

    for (; i < name.n; i++) {
        if (starts_column(listing, name.p[i]) && width++ == CUT_COLUMNS)
            break;
    }
    return rem_str_make(name.p, i);
}

static void put_link(struct rem_put *put, const struct rem_listing *listing,
                     const struct rem_listing_entry *entry)
{
    bool directory = entry->type == REM_LISTING_DIRECTORY;
    size_t width = width_of(listing, entry->name);

    REM_PUT(put, "<a href=\"");
    put_href(put, entry->name);
    if (directory)
        rem_put_char(put, '/');
    REM_PUT(put, "\">");
    if (width > NAME_COLUMNS) {
        put_markup(put, cut(listing, entry->name));
        REM_PUT(put, "..&gt;");
        width = NAME_COLUMNS;
    } else {
        put_markup(put, entry->name);
        if (directory && width < NAME_COLUMNS) {
            rem_put_char(put, '/');
            width++;
        }
    }
    REM_PUT(put, "</a>");
    put_spaces(put, NAME_COLUMNS + 1 - width);
}

/* Rounded, in the largest unit that it has one of. */
static size_t short_size(char *text, size_t room, int64_t size)
{
    static const struct unit {
        int64_t bytes;
        const char *letter;
    } units[] = {{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}};
    const struct unit *unit = units;

    if (size < EXACT_BELOW)
        return (size_t)snprintf(text, room, "%lld", (long long)size);
    while (size < unit->bytes)
        unit++;
    return (size_t)snprintf(
        text, room, "%lld%s",
        (long long)(size / unit->bytes + (size % unit->bytes >= unit->bytes / 2)), unit->letter);
}

static void put_size(struct rem_put *put, const struct rem_listing *listing,
                     const struct rem_listing_entry *entry)
{
    size_t width = listing->exact_size ? EXACT_COLUMNS : SHORT_COLUMNS, n;
    char text[24];

    if (entry->type == REM_LISTING_DIRECTORY)
        n = (size_t)snprintf(text, sizeof(text), "-");
    else if (listing->exact_size)
        n = (size_t)snprintf(text, sizeof(text), "%lld", (long long)entry->size);
    else
        n = short_size(text, sizeof(text), entry->size);
    put_right(put, text, n, width);
}

static void put_row(struct rem_put *put, const struct rem_listing *listing,
                    const struct rem_listing_entry *entry)
{
    struct tm tm = {0};
    char text[40];
    size_t n;

    if (listing->local_time)
        localtime_r(&entry->modified, &tm);
    else
        gmtime_r(&entry->modified, &tm);
    n = strftime(text, sizeof(text), "%d-%b-%Y %H:%M ", &tm);
    put_link(put, listing, entry);
    rem_put_bytes(put, text, n);
    put_size(put, listing, entry);
    rem_put_crlf(put);
}

static void put_page(struct rem_put *put, const struct rem_listing *listing)
{
    REM_PUT(put, "<html>\r\n<head><title>Index of ");
    put_markup(put, listing->uri);
    REM_PUT(put, "</title></head>\r\n<body>\r\n<h1>Index of ");
    put_markup(put, listing->uri);
    REM_PUT(put, "</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for (size_t i = 0; i < listing->n; i++)
        put_row(put, listing, &listing->entries[i]);
    REM_PUT(put, "</pre><hr></body>\r\n</html>\r\n");
}

/* ---- for programs ---- */

static const char *type_name(const struct rem_listing_entry *entry)
{
    static const char *const names[] = {"directory", "file", "other"};

    return names[entry->type];
}

static void put_element(struct rem_put *put, const struct rem_listing_entry *entry)
{
    const char *type = type_name(entry);
    struct tm tm = {0};
    char text[100];
    int n;

    gmtime_r(&entry->modified, &tm);
    n = snprintf(text, sizeof(text), "<%s mtime=\"%d-%02d-%02dT%02d:%02d:%02dZ\"", type,
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    rem_put_bytes(put, text, (size_t)n);
    if (entry->type == REM_LISTING_FILE) {
        n = snprintf(text, sizeof(text), " size=\"%lld\"", (long long)entry->size);
        rem_put_bytes(put, text, (size_t)n);
    }
    rem_put_char(put, '>');
    put_markup(put, entry->name);
    n = snprintf(text, sizeof(text), "</%s>\r\n", type);
    rem_put_bytes(put, text, (size_t)n);
}

static void put_xml(struct rem_put *put, const struct rem_listing *listing)
{
    REM_PUT(put, "<?xml version=\"1.0\"?>\r\n<list>\r\n");
    for (size_t i = 0; i < listing->n; i++)
        put_element(put, &listing->entries[i]);
    REM_PUT(put, "</list>\r\n");
}

static void put_object(struct rem_put *put, const struct rem_listing_entry *entry)
{
    char date[REM_DATE_SIZE], text[100];
    int n;

    rem_date_format(date, entry->modified);
    REM_PUT(put, "{ \"name\":\"");
    put_json(put, entry->name);
    n = snprintf(text, sizeof(text), "\", \"type\":\"%s\", \"mtime\":\"%.*s\"", type_name(entry),
                 (int)sizeof(date), date);
    rem_put_bytes(put, text, (size_t)n);
    if (entry->type == REM_LISTING_FILE) {
        n = snprintf(text, sizeof(text), ", \"size\":%lld", (long long)entry->size);
        rem_put_bytes(put, text, (size_t)n);
    }
    REM_PUT(put, " }");
}

static void put_array(struct rem_put *put, const struct rem_listing *listing)
{
    REM_PUT(put, "[");
    for (size_t i = 0; i < listing->n; i++) {
        if (i != 0)
            rem_put_char(put, ',');
        rem_put_crlf(put);
        put_object(put, &listing->entries[i]);
    }
    REM_PUT(put, "\r\n]");
}

void rem_listing_put(const struct rem_listing *listing, struct rem_put *put)
{
    bool call = listing->format == REM_LISTING_JSONP && listing->callback.n != 0;

    switch (listing->format) {
    case REM_LISTING_HTML:
        put_page(put, listing);
        return;
    case REM_LISTING_XML:
        put_xml(put, listing);
        return;
    default:
        break;
    }
    if (call) {
        /* The comment keeps a browser from taking the name for the start of something else. */
        REM_PUT(put, "/* callback */\r\n");
        rem_put_add(put, listing->callback);
        rem_put_char(put, '(');
    }
    put_array(put, listing);
    if (call)
        REM_PUT(put, ");");
}
