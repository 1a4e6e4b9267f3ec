/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_table.h"

#include <string.h>

void rem_ctl_table_init(struct rem_ctl_table *table)
{
    table->rows = json_array();
}

void rem_ctl_table_fini(struct rem_ctl_table *table)
{
    json_decref(table->rows);
}

void rem_ctl_table_add(struct rem_ctl_table *table, json_t *row)
{
    (void)json_array_append_new(table->rows, row);
}

/* A cell's text; borrowed from the cell or `buf`. */
static const char *cell_text(const json_t *cell, char buf[32])
{
    if (json_is_string(cell) && json_string_length(cell) != 0)
        return json_string_value(cell);
    if (json_is_integer(cell)) {
        (void)snprintf(buf, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(cell));
        return buf;
    }
    return json_is_true(cell) ? "yes" : "-";
}

void rem_ctl_table_print(const struct rem_ctl_table *table, FILE *out)
{
    int widths[REM_CTL_COLUMNS] = {0};
    size_t r, c;
    json_t *row, *cell;
    char buf[32];

    json_array_foreach(table->rows, r, row)
    {
        json_array_foreach(row, c, cell)
        {
            int n = (int)strlen(cell_text(cell, buf));
            if (c < REM_CTL_COLUMNS && n > widths[c])
                widths[c] = n;
        }
    }
    json_array_foreach(table->rows, r, row)
    {
        size_t last = json_array_size(row) - 1;
        const json_t *below = json_array_get(table->rows, r != 0 ? r : 1);
        json_array_foreach(row, c, cell)
        {
            const char *text = cell_text(cell, buf);
            int width = c < REM_CTL_COLUMNS ? widths[c] : 0;
            bool number = json_is_integer(json_array_get(below, c));
            if (c == last && !number)
                width = 0; /* no blanks at the end of a line */
            (void)fprintf(out, "%*s%s", number ? width : -width, text, c == last ? "\n" : "  ");
        }
    }
}
