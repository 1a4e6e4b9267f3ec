/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/title.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static struct {
    char *at; /* NULL: no room */
    size_t size;
    char **args, **env; /* the copies, held for as long as the process lives */
} title;

/* A copy of a vector of strings: the vector, and the strings behind it. */
static char **copy(char **from, size_t n)
{
    size_t size = (n + 1) * sizeof(*from);
    char **to;
    char *at;

    for (size_t i = 0; i < n; i++)
        size += strlen(from[i]) + 1;
    to = calloc(1, size);
    if (to == NULL)
        return NULL;
    at = (char *)(to + n + 1);
    for (size_t i = 0; i < n; i++) {
        to[i] = at;
        at = stpcpy(at, from[i]) + 1;
    }
    return to;
}

char **rem_title_init(int argc, char **argv)
{
    char **args, **env;
    char *end = argv[0];
    size_t n = 0;

    for (int i = 0; i < argc; i++)
        if (argv[i] == end)
            end += strlen(argv[i]) + 1;
    for (; environ != NULL && environ[n] != NULL; n++)
        if (environ[n] == end)
            end += strlen(environ[n]) + 1;
    args = copy(argv, (size_t)argc);
    env = n > 0 ? copy(environ, n) : environ;
    if (args == NULL || (n > 0 && env == NULL))
        return argv;
    title.args = args;
    title.env = env;
    title.at = argv[0];
    title.size = (size_t)(end - argv[0]);
    environ = env;
    return args;
}

void rem_title_set(const char *text)
{
    int n;

    if (title.at == NULL)
        return;
    memset(title.at, 0, title.size);
    n = snprintf(title.at, title.size, "remora: %s", text);
    (void)n; /* cut where the room ends */
}
