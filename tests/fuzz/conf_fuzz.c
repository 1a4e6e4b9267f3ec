/* SPDX-License-Identifier: Apache-2.0 */
/* conf_fuzz.c - whole configurations, with all modules; or the state file of an upstream in one.
 *
 * Input:      'S' and a state file, or anything else: the configuration.
 * Checked:    reading it ends; where it fails, somebody has been told why.  Nothing is opened, made
 *             or asked for: texts that name other files are left out, names do not resolve.  */
#include "proxy/process/generation.h"
#include "tests/fuzz/memfile.h"

#include <netdb.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stands for libc's: nobody is asked. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)name, (void)service, (void)hints, (void)out;
    return EAI_NONAME;
}

static bool names_files(struct rem_str text)
{
    static const char *const words[] = {"include", "/dev", "/proc", "state"};

    for (size_t i = 0; i < REM_COUNT(words); i++)
        if (memmem(text.p, text.n, words[i], strlen(words[i])) != NULL)
            return true;
    return false;
}

static void load(const char *conf, const char *globals)
{
    const struct rem_options options = {.prefix = "/nowhere", .conf = conf, .globals = globals};
    struct rem_generation *gen = NULL;
    struct rem_reporter to = {.log = NULL};
    char *told = NULL;
    size_t n = 0;

    to.terminal = open_memstream(&told, &n);
    REM_CHECK(to.terminal != NULL);
    if (rem_generation_load(&options, &to, &gen) != REM_OK)
        REM_CHECK(fflush(to.terminal) == 0 && n != 0);
    rem_generation_free(gen);
    (void)fclose(to.terminal);
    free(told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[MEMFILE_PATH], globals[128];

    if (size != 0 && data[0] == 'S') {
        memfile_set(&fd, path, data + 1, size - 1);
        (void)snprintf(globals, sizeof(globals),
                       "http { upstream u { zone u 64k; state %s; } } events {}", path);
        load("/dev/null", globals);
        return 0;
    }
    if (names_files(rem_str_make((const char *)data, size)))
        return 0;
    memfile_set(&fd, path, data, size);
    load(path, NULL);
    return 0;
}
