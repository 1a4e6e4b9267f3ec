/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_table.h - rows of text with columns as wide as they need to be.
 *
 * Runs in:    remoractl.  */
#ifndef REM_API_REMORACTL_TABLE_H
#define REM_API_REMORACTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { REM_CTL_COLUMNS = 12 };

/* The first row is the headings.  Cells are texts, numbers (reals with one decimal), booleans (yes,
 * -) or null (-). */
struct rem_ctl_table {
    json_t *rows; /* array of arrays */
    size_t whole; /* a column that is never shortened */
};

/* Takes `headings`, an array of texts (json_pack). */
void rem_ctl_table_init(struct rem_ctl_table *table, json_t *headings);

/* Takes `row`, an array. */
void rem_ctl_table_add(struct rem_ctl_table *table, json_t *row);

/* Prints the table, numbers right, the rest left, and frees it.  Where stdout is a terminal, texts
 * that are too long for its lines are shortened. */
void rem_ctl_table_finish(struct rem_ctl_table *table, FILE *out);

/* The columns of the terminal that stdout is, and its lines; 0: it is none. */
int rem_ctl_table_terminal(int *lines);

#endif
