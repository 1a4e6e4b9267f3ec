/* SPDX-License-Identifier: Apache-2.0 */
/* A table that is drawn again and again: at every interval, and at once when a revision is
 * published. */
#include "api/remoractl_ask.h"
#include "api/remoractl_commands.h"
#include "api/remoractl_events.h"
#include "api/remoractl_table.h"
#include "api/remoractl_view.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SETTLE_MS = 50 }; /* changes that come together are drawn together */

struct watching {
    const struct rem_ctl_args *args;
    const char *key; /* of the list in the answer */
    char *path;
    struct rem_ctl_events events;
    json_t *before; /* the last answer */
    uint64_t before_ms;
    bool terminal;
};

static uint64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void print_list(const struct watching *w, const json_t *answer, double seconds, FILE *out)
{
    const json_t *list = json_object_get(answer, w->key);
    const json_t *before = json_object_get(w->before, w->key);

    if (before == NULL)
        before = list; /* the columns stand where they will stand */
    if (w->args->word_count == 1)
        rem_ctl_view_servers(list, before, seconds, out);
    else
        rem_ctl_view_upstreams(list, before, seconds, out);
}

/* As many lines as there is room for: what scrolls off the top of a terminal is not seen. */
static void print_screen(const char *text)
{
    int lines, left = 0;

    if (rem_ctl_table_terminal(&lines) == 0 || lines < 5)
        lines = INT_MAX;
    lines -= 3; /* the heading, the last line, and where the cursor goes */
    for (; *text != '\0' && lines > 0; lines--) {
        size_t n = strcspn(text, "\n");

        (void)printf("%.*s\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
    for (; *text != '\0'; text++)
        left += *text == '\n';
    if (left != 0)
        (void)printf("and %d more\n", left);
}

static void draw(struct watching *w, const json_t *answer, double seconds)
{
    char *screen = NULL;
    size_t size = 0;
    FILE *out = w->terminal ? open_memstream(&screen, &size) : NULL;
    time_t at = time(NULL);
    char text[16] = "";
    struct tm tm;

    if (localtime_r(&at, &tm) != NULL)
        (void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
    if (w->terminal)
        (void)fputs("\033[H\033[2J", stdout); /* home, clear */
    (void)printf("%s  revision %" JSON_INTEGER_FORMAT "%s%s\n", text,
                 rem_ctl_number(answer, "revision"), w->args->word_count == 1 ? "  " : "",
                 w->args->word_count == 1 ? w->args->words[0] : "");
    print_list(w, answer, seconds, out != NULL ? out : stdout);
    if (out != NULL && fclose(out) == 0)
        print_screen(screen);
    free(screen);
    if (!w->terminal)
        (void)fputc('\n', stdout);
    (void)fflush(stdout);
}

static int look(struct watching *w)
{
    uint64_t at = now_ms();
    json_t *answer;
    int rc = rem_ctl_ask_json(w->args, "GET", w->path, NULL, &answer);

    if (rc != REM_CTL_OK)
        return rc;
    if (w->args->json) {
        (void)json_dumpf(answer, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
        (void)fflush(stdout);
    } else {
        draw(w, answer, w->before != NULL ? (double)(at - w->before_ms) / 1000 : 0);
    }
    json_decref(w->before);
    w->before = answer;
    w->before_ms = at;
    return ferror(stdout) ? REM_CTL_FAILED : REM_CTL_OK;
}

/* Waits for the interval's end, or for a revision. */
static void wait_for_next(struct watching *w)
{
    uint64_t end = now_ms() + w->args->interval_ms, now;

    while ((now = now_ms()) < end) {
        struct rem_ctl_event event;
        int rc;
        if (w->events.stream == NULL) {
            (void)usleep((useconds_t)(end - now) * 1000);
            return;
        }
        rc = rem_ctl_events_next(&w->events, (int)(end - now), &event);
        if (rc == REM_OK) {
            json_decref(event.data);
            if (end > now + SETTLE_MS)
                end = now + SETTLE_MS;
        } else if (rc != REM_EAGAIN) {
            rem_ctl_events_close(&w->events);
        }
    }
}

int rem_ctl_watch(const struct rem_ctl_args *args)
{
    struct watching w = {.args = args,
                         .key = args->word_count == 1 ? "servers" : "upstreams",
                         .terminal = isatty(STDOUT_FILENO) != 0 && !args->json};
    int rc;

    w.path =
        rem_ctl_path(args, args->word_count == 1 ? "/v1/http/upstreams/%s" : "/v1/http/upstreams",
                     args->words[0]);
    if (w.path == NULL)
        return rem_ctl_no_memory();
    (void)rem_ctl_events_open(args, NULL, true, &w.events); /* without, the interval will do */
    rc = look(&w);
    for (uint64_t n = 1; rc == REM_CTL_OK && (args->count == 0 || n < args->count); n++) {
        wait_for_next(&w);
        rc = look(&w);
        if (w.events.stream == NULL) /* a reload has ended it */
            (void)rem_ctl_events_open(args, NULL, true, &w.events);
    }
    rem_ctl_events_close(&w.events);
    json_decref(w.before);
    free(w.path);
    return rc;
}
