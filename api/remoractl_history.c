/* SPDX-License-Identifier: Apache-2.0 */
/* What has been changed, by whom, as it happens, and the way back. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"
#include "api/remoractl_diff.h"
#include "api/remoractl_events.h"
#include "api/remoractl_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAUSE = 256, CHANGE = 80 };

/* "who", or "what", of all that a revision was caused by; one that comes twice is told once. */
static void causes_text(const json_t *record, const char *key, char *out, size_t size)
{
    const json_t *causes = json_object_get(record, "causes");
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(causes) && n < size; i++) {
        const char *text = rem_ctl_text(json_array_get(causes, i), key);
        if (i != 0 && strcmp(text, rem_ctl_text(json_array_get(causes, i - 1), key)) == 0)
            continue;
        n += (size_t)snprintf(out + n, size - n, "%s%s", n != 0 ? ", " : "", text);
    }
    if (json_object_get(record, "more_causes") != NULL && n < size)
        (void)snprintf(out + n, size - n, " and %" JSON_INTEGER_FORMAT " more",
                       rem_ctl_number(record, "more_causes"));
}

/* ---- history ---- */

/* A list that is no longer than a table bears. */
static void cut(char *line)
{
    char *end = NULL;

    if (strlen(line) <= CHANGE)
        return;
    for (char *comma = strchr(line, ','); comma != NULL && comma - line <= CHANGE - 5;
         comma = strchr(comma + 1, ','))
        end = comma;
    if (end != NULL)
        memcpy(end, ", ...", sizeof(", ..."));
}

/* What a revision changed, in a line.  Owns: the caller frees; NULL: that is no longer known. */
static char *change_text(const struct rem_ctl_args *args, json_int_t revision)
{
    char path[64], *line = NULL;
    struct rem_ctl_request request = {.method = "GET", .path = path};
    struct rem_sbuf body;
    json_t *record = NULL;
    int status;

    (void)snprintf(path, sizeof(path), "/v1/history/%" JSON_INTEGER_FORMAT, revision);
    rem_sbuf_init(&body);
    if (rem_ctl_send(args, &request, NULL, &status, &body) == REM_CTL_OK && status == 200)
        record = json_loadb(body.n != 0 ? body.p : "", body.n, 0, NULL);
    if (record != NULL)
        line = rem_ctl_diff_line(record);
    if (line != NULL)
        cut(line);
    json_decref(record);
    rem_sbuf_fini(&body);
    return line;
}

/* "2026-08-21T10:00:00.123Z" without its fraction: a table is not wide. */
static json_t *seconds_json(const char *at)
{
    return json_sprintf("%.*s%s", (int)strcspn(at, "."), at, strchr(at, '.') != NULL ? "Z" : "");
}

static void print_list(const struct rem_ctl_args *args, const json_t *list)
{
    struct rem_ctl_table table;

    rem_ctl_table_init(&table,
                       json_pack("[s,s,s,s,s]", "REVISION", "AT", "WHO", "WHAT", "CHANGED"));
    table.whole = 1; /* the time */
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        char who[CAUSE], what[CAUSE];
        char *change = change_text(args, rem_ctl_number(one, "revision"));
        causes_text(one, "who", who, sizeof(who));
        causes_text(one, "what", what, sizeof(what));
        rem_ctl_table_add(&table, json_pack("[I,o,s,s,s]", rem_ctl_number(one, "revision"),
                                            seconds_json(rem_ctl_text(one, "at")), who, what,
                                            change != NULL ? change : ""));
        free(change);
    }
    rem_ctl_table_finish(&table, stdout);
}

static int history_one(const struct rem_ctl_args *args)
{
    char *path = rem_ctl_path(args, "/v1/history/%s", args->words[0]);
    char who[CAUSE], what[CAUSE];
    json_t *answer;
    int rc = rem_ctl_ask_path(args, "GET", path, &answer);

    if (answer == NULL)
        return rc;
    causes_text(answer, "who", who, sizeof(who));
    causes_text(answer, "what", what, sizeof(what));
    (void)printf("revision %" JSON_INTEGER_FORMAT " at %s, by %s: %s\n",
                 rem_ctl_number(answer, "revision"), rem_ctl_text(answer, "at"), who, what);
    (void)rem_ctl_diff_print(answer);
    json_decref(answer);
    return rc;
}

int rem_ctl_history(const struct rem_ctl_args *args)
{
    char path[64] = "/v1/history";
    json_t *answer;
    int rc;

    if (args->word_count == 1)
        return history_one(args);
    if (rem_ctl_given(args, REM_CTL_LIMIT))
        (void)snprintf(path, sizeof(path), "/v1/history?limit=%" PRIu64, args->limit);
    rc = rem_ctl_ask_shown(args, "GET", path, NULL, &answer);
    if (answer != NULL)
        print_list(args, json_object_get(answer, "history"));
    json_decref(answer);
    return rc;
}

/* What could not be brought back, and why. */
static void print_refused(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *upstream = rem_ctl_text(one, "upstream"), *table = rem_ctl_text(one, "table");
        (void)printf("not restored: %s%s: %s\n", upstream[0] != '\0' ? "upstream " : "table ",
                     upstream[0] != '\0' ? upstream : table, rem_ctl_text(one, "reason"));
    }
}

int rem_ctl_rollback(const struct rem_ctl_args *args)
{
    char *path = rem_ctl_path(args, "/v1/rollback/%s", args->words[0]);
    json_t *answer;
    int rc = rem_ctl_ask_path(args, "POST", path, &answer);

    if (answer == NULL)
        return rc;
    rem_ctl_print_change(answer);
    print_refused(json_object_get(answer, "not_restored"));
    json_decref(answer);
    return rc;
}

/* ---- events ---- */

/* What an event says besides what all say, "key=value" each. */
static void print_rest(const json_t *data)
{
    static const char *const known[] = {"sequence",  "at",     "revision",
                                        "upstreams", "tables", "causes"};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)data, key, value)
    {
        bool skip = false;
        char *text;
        for (size_t i = 0; i < REM_COUNT(known); i++)
            skip = skip || strcmp(key, known[i]) == 0;
        if (skip || (json_is_string(value) && json_string_length(value) == 0))
            continue;
        text = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        (void)printf(" %s=%s", key, text != NULL ? text : rem_ctl_text(data, key));
        free(text);
    }
}

static void print_event(const struct rem_ctl_args *args, const struct rem_ctl_event *event)
{
    char *line;

    if (args->json) {
        json_t *whole =
            json_pack("{s:s,s:s,s:O}", "id", event->id, "event", event->kind, "data", event->data);
        (void)json_dumpf(whole, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
        json_decref(whole);
    } else {
        const char *at = rem_ctl_text(event->data, "at"); /* a gap has none */
        char who[CAUSE];
        causes_text(event->data, "who", who, sizeof(who));
        line = rem_ctl_diff_line(event->data);
        (void)printf("%s %s %s revision=%" JSON_INTEGER_FORMAT, event->id, at[0] != '\0' ? at : "-",
                     event->kind, rem_ctl_number(event->data, "revision"));
        if (who[0] != '\0')
            (void)printf(" by %s", who);
        print_rest(event->data);
        (void)printf("%s%s\n", line != NULL && line[0] != '\0' ? ": " : "",
                     line != NULL ? line : "");
        free(line);
    }
    (void)fflush(stdout); /* somebody may be looking, or reading line by line */
}

int rem_ctl_events(const struct rem_ctl_args *args)
{
    struct rem_ctl_events events;
    struct rem_ctl_event event;
    char since[32] = "";
    uint64_t n = 0;
    int rc, ended = 0;

    if (rem_ctl_given(args, REM_CTL_SINCE))
        (void)snprintf(since, sizeof(since), "%" PRIu64, args->since);
    rc = rem_ctl_events_open(args, since[0] != '\0' ? since : NULL, false, &events);
    while (rc == REM_CTL_OK && (args->count == 0 || n < args->count)) {
        ended = rem_ctl_events_next(&events, -1, &event);
        if (ended == REM_EAGAIN ||
            (ended != REM_OK && rem_ctl_events_again(args, &events) == REM_CTL_OK))
            continue;
        if (ended != REM_OK)
            break;
        print_event(args, &event);
        json_decref(event.data);
        if (ferror(stdout))
            break;
        n++;
    }
    rem_ctl_events_close(&events);
    if (rc == REM_CTL_OK && ended != REM_OK)
        rc = rem_ctl_complain("%s: the events ended", args->server);
    return rc;
}
