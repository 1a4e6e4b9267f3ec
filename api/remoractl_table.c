/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_table.h"

#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
    CELL = 32,
    NARROW = 16, /* columns that are no wider stay what they are */
    LAST = 12,   /* what the last one is given at least */
    GAP = 2,     /* between two columns */
};

void rem_ctl_table_init(struct rem_ctl_table *table, json_t *headings)
{
    table->rows = json_array();
    table->whole = REM_CTL_COLUMNS;
    rem_ctl_table_add(table, headings);
}

void rem_ctl_table_add(struct rem_ctl_table *table, json_t *row)
{
    (void)json_array_append_new(table->rows, row);
}

/* A cell's text; borrowed from the cell or `buf`. */
static const char *cell_text(const json_t *cell, char buf[CELL])
{
    if (json_is_string(cell) && json_string_length(cell) != 0)
        return json_string_value(cell);
    if (json_is_integer(cell)) {
        (void)snprintf(buf, CELL, "%" JSON_INTEGER_FORMAT, json_integer_value(cell));
        return buf;
    }
    if (json_is_real(cell)) {
        (void)snprintf(buf, CELL, "%.1f", json_real_value(cell));
        return buf;
    }
    return json_is_true(cell) ? "yes" : "-";
}

/* The character at `text`: its bytes, and the columns that it takes; -1: what a terminal would
 * obey, or no character at all.  Keys and values of zones may hold anything. */
static size_t next_char(const char *text, int *columns)
{
    mbstate_t state = {0};
    wchar_t c;
    size_t n = mbrtowc(&c, text, strlen(text), &state);
    bool valid = n != (size_t)-1 && n != (size_t)-2;

    *columns = valid ? wcwidth(c) : -1;
    return valid ? n : 1;
}

/* How many columns the text takes; \xNN stands for each byte of what is not shown. */
static int text_width(const char *text)
{
    int width = 0, columns;

    while (*text != '\0') {
        size_t n = next_char(text, &columns);

        width += columns >= 0 ? columns : 4 * (int)n;
        text += n;
    }
    return width;
}

/* What is wider than `room` loses its middle: names that are alike differ at either end. */
static void print_text(const char *text, int room, FILE *out)
{
    int all = text_width(text), at = 0, columns;
    int tail = all > room ? (room - 1) / 2 : 0, head = all > room ? room - 1 - tail : all;
    bool cut = false;

    while (*text != '\0') {
        size_t n = next_char(text, &columns);
        int width = columns >= 0 ? columns : 4 * (int)n;
        bool shown = at + width <= head || at >= all - tail;

        if (!shown && !cut)
            (void)fputs("…", out);
        cut = cut || !shown;
        for (size_t i = 0; shown && i < n; i++)
            (void)fprintf(out, columns >= 0 ? "%c" : "\\x%02x", (unsigned char)text[i]);
        at += width;
        text += n;
    }
}

static void measure(const struct rem_ctl_table *table, int widths[REM_CTL_COLUMNS])
{
    size_t r, c;
    json_t *row, *cell;
    char buf[CELL];

    json_array_foreach(table->rows, r, row)
    {
        json_array_foreach(row, c, cell)
        {
            int n = text_width(cell_text(cell, buf));
            if (c < REM_CTL_COLUMNS && n > widths[c])
                widths[c] = n;
        }
    }
}

int rem_ctl_table_terminal(int *lines)
{
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return 0;
    *lines = size.ws_row;
    return size.ws_col;
}

/* How wide a row is.  The last column may run over the line's end, which disarranges nothing. */
static int row_width(const int *widths, size_t count)
{
    int all = (int)(count - 1) * GAP;

    for (size_t c = 0; c + 1 < count; c++)
        all += widths[c];
    return all + (widths[count - 1] < LAST ? widths[count - 1] : LAST);
}

/* Makes the widest columns narrower until a row fits into the terminal's line. */
static void fit(const struct rem_ctl_table *table, int widths[REM_CTL_COLUMNS])
{
    size_t count = json_array_size(json_array_get(table->rows, 0));
    int lines, room = rem_ctl_table_terminal(&lines);

    if (room == 0 || count < 2 || count > REM_CTL_COLUMNS)
        return;
    while (row_width(widths, count) > room) {
        size_t widest = count;

        for (size_t c = 0; c + 1 < count; c++)
            if (c != table->whole && (widest == count || widths[c] > widths[widest]))
                widest = c;
        if (widest == count || widths[widest] <= NARROW)
            return;
        widths[widest]--;
    }
}

/* `numbers`: a row whose cells tell which columns are numbers. */
static void print_row(const json_t *row, const json_t *numbers, const int widths[REM_CTL_COLUMNS],
                      FILE *out)
{
    size_t last = json_array_size(row) - 1;
    char buf[CELL];

    for (size_t c = 0; c <= last; c++) {
        const char *text = cell_text(json_array_get(row, c), buf);
        int width = text_width(text), blanks = c < REM_CTL_COLUMNS ? widths[c] - width : 0;
        bool number = json_is_number(json_array_get(numbers, c));
        if (number)
            (void)fprintf(out, "%*s", blanks, "");
        print_text(text, blanks < 0 && c != last ? widths[c] : width, out);
        if (!number && c != last && blanks > 0) /* no blanks at the end of a line */
            (void)fprintf(out, "%*s", blanks, "");
        (void)fputs(c == last ? "\n" : "  ", out);
    }
}

void rem_ctl_table_finish(struct rem_ctl_table *table, FILE *out)
{
    int widths[REM_CTL_COLUMNS] = {0};
    size_t r;
    json_t *row;

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* what the API speaks, whatever the user does */
    measure(table, widths);
    fit(table, widths);
    json_array_foreach(table->rows, r, row)
    {
        print_row(row, json_array_get(table->rows, r != 0 ? r : 1), widths, out);
    }
    json_decref(table->rows);
    table->rows = NULL;
}
