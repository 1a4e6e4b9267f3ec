/* SPDX-License-Identifier: Apache-2.0 */
/* Key-value zones, and the shares of split_clients blocks. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"
#include "api/remoractl_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- key-value zones ---- */

static void print_zones(const json_t *zones)
{
    struct rem_ctl_table table;

    rem_ctl_table_init(&table, json_pack("[s,s,s,s]", "ZONE", "TYPE", "USED", "SIZE"));
    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t *zone = json_array_get(zones, i);
        rem_ctl_table_add(
            &table, json_pack("[s,s,I,I]", rem_ctl_text(zone, "name"), rem_ctl_text(zone, "type"),
                              rem_ctl_number(zone, "used"), rem_ctl_number(zone, "size")));
    }
    rem_ctl_table_finish(&table, stdout);
}

/* "key  value", and how long it lives yet. */
static void print_entries(json_t *entries)
{
    struct rem_ctl_table table;
    const char *key;
    json_t *value;

    rem_ctl_table_init(&table, json_pack("[s,s,s]", "KEY", "SECONDS LEFT", "VALUE"));
    json_object_foreach(entries, key, value)
    {
        const char *text =
            json_is_object(value) ? rem_ctl_text(value, "value") : json_string_value(value);
        char left[32] = "";
        if (json_is_object(value))
            (void)snprintf(left, sizeof(left), "%.1f",
                           (double)rem_ctl_number(value, "expire") / 1000);
        rem_ctl_table_add(&table, json_pack("[s,s,s]", key, left, text != NULL ? text : ""));
    }
    rem_ctl_table_finish(&table, stdout);
}

int rem_ctl_keyvals(const struct rem_ctl_args *args)
{
    bool one = args->word_count == 1;
    char *path =
        rem_ctl_path(args, one ? "/v1/http/keyvals/%s" : "/v1/http/keyvals", args->words[0]);
    json_t *answer;
    int rc = rem_ctl_ask_path(args, "GET", path, &answer);

    if (answer != NULL && one)
        print_entries(json_object_get(answer, "entries"));
    else if (answer != NULL)
        print_zones(json_object_get(answer, "keyvals"));
    json_decref(answer);
    return rc;
}

static int patch_zone(const struct rem_ctl_args *args, json_t *entries)
{
    return rem_ctl_change(args, "PATCH", rem_ctl_path(args, "/v1/http/keyvals/%s", args->words[0]),
                          entries);
}

int rem_ctl_keyval_set(const struct rem_ctl_args *args)
{
    json_t *entries = json_object();

    for (int i = 1; entries != NULL && i < args->word_count; i++) {
        const char *equals = strchr(args->words[i], '=');
        size_t n = equals != NULL ? (size_t)(equals - args->words[i]) : 0;
        json_t *value = equals != NULL ? json_string(equals + 1) : NULL;
        if (value != NULL && rem_ctl_given(args, REM_CTL_TTL))
            value = json_pack("{s:o,s:I}", "value", value, "expire", (json_int_t)args->ttl_ms);
        if (n == 0 || value == NULL ||
            json_object_setn_new(entries, args->words[i], n, value) != 0) {
            json_decref(entries);
            return rem_ctl_complain("invalid entry \"%s\": KEY=VALUE is meant", args->words[i]);
        }
    }
    return patch_zone(args, entries);
}

int rem_ctl_keyval_delete(const struct rem_ctl_args *args)
{
    json_t *entries = json_object();

    for (int i = 1; entries != NULL && i < args->word_count; i++) {
        if (json_object_set_new(entries, args->words[i], json_null()) == 0)
            continue;
        json_decref(entries);
        return rem_ctl_complain("invalid key \"%s\"", args->words[i]);
    }
    return patch_zone(args, entries);
}

/* ---- splits ---- */

static void add_parts(struct rem_ctl_table *table, const json_t *split)
{
    const json_t *parts = json_object_get(split, "parts");

    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        char percent[32];
        (void)snprintf(percent, sizeof(percent), "%.4g%%%s",
                       json_number_value(json_object_get(part, "percent")),
                       json_is_true(json_object_get(part, "rest")) ? " (the rest)" : "");
        rem_ctl_table_add(table, json_pack("[s,s,s]", i == 0 ? rem_ctl_text(split, "name") : " ",
                                           rem_ctl_text(part, "value"), percent));
    }
}

int rem_ctl_splits(const struct rem_ctl_args *args)
{
    bool one = args->word_count == 1;
    char *path = rem_ctl_path(args, one ? "/v1/http/splits/%s" : "/v1/http/splits", args->words[0]);
    struct rem_ctl_table table;
    json_t *answer;
    int rc = rem_ctl_ask_path(args, "GET", path, &answer);

    if (answer == NULL)
        return rc;
    rem_ctl_table_init(&table, json_pack("[s,s,s]", "SPLIT", "VALUE", "SHARE"));
    if (one)
        add_parts(&table, answer);
    for (size_t i = 0; !one && i < json_array_size(json_object_get(answer, "splits")); i++)
        add_parts(&table, json_array_get(json_object_get(answer, "splits"), i));
    rem_ctl_table_finish(&table, stdout);
    json_decref(answer);
    return rc;
}

int rem_ctl_split_set(const struct rem_ctl_args *args)
{
    json_t *parts = json_array();

    for (int i = 1; parts != NULL && i < args->word_count; i++) {
        const char *equals = strrchr(args->words[i], '=');
        char *end = NULL;
        json_t *percent = NULL;
        if (equals != NULL && strcmp(equals + 1, "*") == 0) {
            percent = json_string("*");
        } else if (equals != NULL) {
            double n = strtod(equals + 1, &end);
            if (end != equals + 1 && (*end == '\0' || strcmp(end, "%") == 0))
                percent = n == (double)(json_int_t)n ? json_integer((json_int_t)n) : json_real(n);
        }
        json_t *part = percent != NULL
                           ? json_pack("{s:s%,s:o}", "value", args->words[i],
                                       (size_t)(equals - args->words[i]), "percent", percent)
                           : NULL;
        if (json_array_append_new(parts, part) != 0) {
            json_decref(parts);
            return rem_ctl_complain("invalid share \"%s\": VALUE=PERCENT or VALUE=* is meant",
                                    args->words[i]);
        }
    }
    return rem_ctl_change(args, "PUT", rem_ctl_path(args, "/v1/http/splits/%s", args->words[0]),
                          parts);
}
