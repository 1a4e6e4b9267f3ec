/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_view.h"

#include "api/remoractl_ask.h"
#include "api/remoractl_table.h"

#include <string.h>

static int count_state(const json_t *servers, const char *state)
{
    int n = 0;

    for (size_t i = 0; i < json_array_size(servers); i++)
        n += strcmp(rem_ctl_text(json_array_get(servers, i), "state"), state) == 0;
    return n;
}

/* That get no requests for a reason of their own. */
static int count_unwell(const json_t *servers)
{
    return count_state(servers, "unavail") + count_state(servers, "unhealthy") +
           count_state(servers, "checking") + count_state(servers, "ejected");
}

static json_int_t sum(const json_t *servers, const char *key)
{
    json_int_t n = 0;

    for (size_t i = 0; i < json_array_size(servers); i++)
        n += rem_ctl_number(json_array_get(servers, i), key);
    return n;
}

/* The element of an earlier list with the same identity, most likely at the same place; NULL: it is
 * new. */
static const json_t *find(const json_t *list, const char *key, const json_t *like, size_t place)
{
    const json_t *wanted = json_object_get(like, key);

    if (json_equal(json_object_get(json_array_get(list, place), key), (json_t *)(uintptr_t)wanted))
        return json_array_get(list, place);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (json_equal((json_t *)(uintptr_t)json_object_get(one, key), (json_t *)(uintptr_t)wanted))
            return one;
    }
    return NULL;
}

/* Requests a second. */
static json_t *rate(const json_t *now, const json_t *before, double seconds)
{
    json_int_t more = rem_ctl_number(now, "requests") - rem_ctl_number(before, "requests");

    if (before == NULL || seconds <= 0 || more < 0)
        return json_null();
    return json_real((double)more / seconds);
}

void rem_ctl_view_upstreams(const json_t *upstreams, const json_t *before, double seconds,
                            FILE *out)
{
    struct rem_ctl_table table;

    rem_ctl_table_init(&table, json_pack("[s,s,s,s,s,s,s,s,s]", "UPSTREAM", "ZONE", "SERVERS", "UP",
                                         "UNWELL", "DRAINING", "DOWN", "ACTIVE", "REQUESTS"));
    if (before != NULL)
        (void)json_array_append_new(json_array_get(table.rows, 0), json_string("PER SECOND"));
    for (size_t i = 0; i < json_array_size(upstreams); i++) {
        const json_t *upstream = json_array_get(upstreams, i);
        const json_t *servers = json_object_get(upstream, "servers");
        json_t *row = json_pack("[s,s,i,i,i,i,i,I,I]", rem_ctl_text(upstream, "name"),
                                rem_ctl_text(upstream, "zone"), (int)json_array_size(servers),
                                count_state(servers, "up"), count_unwell(servers),
                                count_state(servers, "draining"), count_state(servers, "down"),
                                sum(servers, "active"), rem_ctl_number(upstream, "requests"));
        if (before != NULL)
            (void)json_array_append_new(row,
                                        rate(upstream, find(before, "name", upstream, i), seconds));
        rem_ctl_table_add(&table, row);
    }
    rem_ctl_table_finish(&table, out);
}

void rem_ctl_view_servers(const json_t *servers, const json_t *before, double seconds, FILE *out)
{
    struct rem_ctl_table table;

    rem_ctl_table_init(&table, json_pack("[s,s,s,s,s,s,s,s,s]", "ID", "SERVER", "STATE", "WEIGHT",
                                         "BACKUP", "ACTIVE", "REQUESTS", "5XX", "FAILS"));
    if (before != NULL)
        (void)json_array_append_new(json_array_get(table.rows, 0), json_string("PER SECOND"));
    for (size_t i = 0; i < json_array_size(servers); i++) {
        const json_t *s = json_array_get(servers, i);
        json_t *row = json_pack(
            "[I,s,s,I,b,I,I,I,I]", rem_ctl_number(s, "id"), rem_ctl_text(s, "server"),
            rem_ctl_text(s, "state"), rem_ctl_number(s, "weight"),
            json_is_true(json_object_get(s, "backup")), rem_ctl_number(s, "active"),
            rem_ctl_number(s, "requests"), rem_ctl_number(json_object_get(s, "responses"), "5xx"),
            rem_ctl_number(s, "fails"));
        if (before != NULL)
            (void)json_array_append_new(row, rate(s, find(before, "id", s, i), seconds));
        rem_ctl_table_add(&table, row);
    }
    rem_ctl_table_finish(&table, out);
}

/* " name=value" for each member that is set. */
static void print_group(const json_t *group, FILE *out)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)group, key, value)
    {
        if (json_is_string(value))
            (void)fprintf(out, " %s=%s", key, json_string_value(value));
        else if (json_is_integer(value) && json_integer_value(value) != 0)
            (void)fprintf(out, " %s=%" JSON_INTEGER_FORMAT, key, json_integer_value(value));
    }
}

void rem_ctl_view_settings(const json_t *upstream, FILE *out)
{
    static const char *const groups[] = {"keepalive", "limits", "outlier_detection"};

    (void)fprintf(out, "\nmethod: %s\n", rem_ctl_text(upstream, "method"));
    for (size_t i = 0; i < REM_COUNT(groups); i++) {
        const json_t *group = json_object_get(upstream, groups[i]);
        if (!json_is_object(group))
            continue;
        (void)fprintf(out, "%s:", groups[i]);
        print_group(group, out);
        (void)fputc('\n', out);
    }
}
