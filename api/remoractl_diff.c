/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_diff.h"

#include "api/remoractl_ask.h"

#include <stdio.h>
#include <string.h>

/* A value as it may stand in a line. */
static void print_value(const json_t *value)
{
    char *text;

    if (json_is_string(value)) {
        (void)fputs(json_string_value(value), stdout);
        return;
    }
    if (value == NULL || json_is_null(value)) {
        (void)fputs("none", stdout);
        return;
    }
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)fputs(text != NULL ? text : "?", stdout);
    free(text);
}

/* "lead.key: before -> after" for each member that differs, objects by their members. */
static void print_members(const char *indent, const char *lead, const json_t *before,
                          const json_t *after)
{
    const json_t *both[2] = {before, after};

    for (int side = 0; side < 2; side++) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)both[side], key, value)
        {
            const json_t *was = json_object_get(before, key), *now = json_object_get(after, key);
            char path[128];
            if (side == 1 && was != NULL)
                continue; /* told already */
            if (was != NULL && now != NULL &&
                json_equal((json_t *)(uintptr_t)was, (json_t *)(uintptr_t)now))
                continue;
            (void)snprintf(path, sizeof(path), "%s%s%s", lead, lead[0] != '\0' ? "." : "", key);
            if (json_is_object(was) && json_is_object(now)) {
                print_members(indent, path, was, now);
                continue;
            }
            (void)printf("%s%s: ", indent, path);
            print_value(was);
            (void)fputs(" -> ", stdout);
            print_value(now);
            (void)fputc('\n', stdout);
        }
    }
}

/* "+ 10.0.0.1:80 weight=2" */
static void print_server(const char *sign, const json_t *server)
{
    const char *key;
    json_t *value;

    (void)printf("  %s server %s", sign, rem_ctl_text(server, "server"));
    json_object_foreach((json_t *)(uintptr_t)server, key, value)
    {
        if (strcmp(key, "server") == 0 || strcmp(key, "id") == 0 || strcmp(key, "at") == 0)
            continue;
        (void)printf(" %s=", key);
        print_value(value);
    }
    (void)fputc('\n', stdout);
}

static void print_servers(const json_t *servers)
{
    const json_t *removed = json_object_get(servers, "removed");
    const json_t *added = json_object_get(servers, "added");
    const json_t *changed = json_object_get(servers, "changed");

    for (size_t i = 0; i < json_array_size(removed); i++)
        print_server("-", json_array_get(removed, i));
    for (size_t i = 0; i < json_array_size(added); i++)
        print_server("+", json_array_get(added, i));
    for (size_t i = 0; i < json_array_size(changed); i++) {
        const json_t *one = json_array_get(changed, i);
        (void)printf("  ~ server %s\n", rem_ctl_text(one, "server"));
        print_members("      ", "", json_object_get(one, "before"), json_object_get(one, "after"));
    }
    if (json_object_get(servers, "order") != NULL)
        (void)puts("  ~ the order of the servers");
}

/* Touched, and as before. */
static bool is_same(const json_t *upstream)
{
    return strcmp(rem_ctl_text(upstream, "change"), "changed") == 0 &&
           json_object_size(upstream) == 1;
}

bool rem_ctl_diff_any(const json_t *difference)
{
    const char *name;
    json_t *upstream;

    json_object_foreach(json_object_get(difference, "upstreams"), name, upstream)
    {
        if (!is_same(upstream))
            return true;
    }
    return json_array_size(json_object_get(difference, "tables")) != 0;
}

/* "v1 90%, v2 10%" */
static void print_parts(const json_t *parts)
{
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        (void)printf("%s%s %.4g%%", i != 0 ? ", " : "", rem_ctl_text(part, "value"),
                     json_number_value(json_object_get(part, "percent")));
    }
    if (json_array_size(parts) == 0)
        (void)fputs("none", stdout);
}

static void print_table(const json_t *table)
{
    const json_t *before = json_object_get(table, "before"),
                 *after = json_object_get(table, "after");

    (void)printf("%s %s: %s\n", rem_ctl_text(table, "kind"), rem_ctl_text(table, "name"),
                 rem_ctl_text(table, "change"));
    if (before == NULL && after == NULL)
        return;
    (void)fputs("  ~ shares: ", stdout);
    print_parts(before);
    (void)fputs(" -> ", stdout);
    print_parts(after);
    (void)fputc('\n', stdout);
}

bool rem_ctl_diff_print(const json_t *difference)
{
    json_t *upstreams = json_object_get(difference, "upstreams"), *upstream;
    const json_t *tables = json_object_get(difference, "tables");
    const char *name;

    json_object_foreach(upstreams, name, upstream)
    {
        if (is_same(upstream))
            continue;
        (void)printf("upstream %s: %s\n", name, rem_ctl_text(upstream, "change"));
        if (json_is_true(json_object_get(upstream, "large")))
            (void)puts("  (too large to be shown)");
        print_members("  ~ ", "", json_object_get(upstream, "before"),
                      json_object_get(upstream, "after"));
        print_servers(json_object_get(upstream, "servers"));
    }
    for (size_t i = 0; i < json_array_size(tables); i++)
        print_table(json_array_get(tables, i));
    return rem_ctl_diff_any(difference);
}

/* ---- in a line ---- */

static void add_count(struct rem_sbuf *out, const char *sign, const json_t *list)
{
    if (json_array_size(list) != 0)
        rem_sbuf_addf(out, " %s%zu", sign, json_array_size(list));
}

char *rem_ctl_diff_line(const json_t *difference)
{
    json_t *upstreams = json_object_get(difference, "upstreams"), *upstream;
    const json_t *tables = json_object_get(difference, "tables");
    struct rem_sbuf out;
    const char *name;

    rem_sbuf_init(&out);
    json_object_foreach(upstreams, name, upstream)
    {
        const json_t *servers = json_object_get(upstream, "servers");
        const char *change = rem_ctl_text(upstream, "change");
        if (is_same(upstream))
            continue;
        rem_sbuf_addf(&out, "%s%s", out.n != 0 ? ", " : "", name);
        if (strcmp(change, "changed") != 0)
            rem_sbuf_addf(&out, " %s", change);
        add_count(&out, "+", json_object_get(servers, "added"));
        add_count(&out, "-", json_object_get(servers, "removed"));
        add_count(&out, "~", json_object_get(servers, "changed"));
    }
    for (size_t i = 0; i < json_array_size(tables); i++)
        rem_sbuf_addf(&out, "%s%s", out.n != 0 ? ", " : "",
                      rem_ctl_text(json_array_get(tables, i), "name"));
    rem_sbuf_addc(&out, '\0');
    if (!out.failed)
        return out.p;
    rem_sbuf_fini(&out);
    return NULL;
}
