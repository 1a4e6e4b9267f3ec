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

/* The first row is the headings.  Cells are texts, integers or booleans (yes, -). */
struct rem_ctl_table {
    json_t *rows; /* array of arrays */
};

void rem_ctl_table_init(struct rem_ctl_table *table);
void rem_ctl_table_fini(struct rem_ctl_table *table);

/* Takes `row`, an array (json_pack). */
void rem_ctl_table_add(struct rem_ctl_table *table, json_t *row);

/* Numbers stand right, the rest left. */
void rem_ctl_table_print(const struct rem_ctl_table *table, FILE *out);

#endif
