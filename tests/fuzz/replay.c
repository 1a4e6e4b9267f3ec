/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - runs a fuzz target without libFuzzer: `x_fuzz SEEDS` on a file of seeds, what they
 * begin with, and thousands of variations of them, the same ones each time.
 *
 * A line is a seed, # a comment; \n \r \t \\ \xHH as in C.  */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEEDS = 256, SEED_MAX = 65536, PREFIXES = 150, VARIATIONS = 60 };

struct seed {
    uint8_t *p;
    size_t n;
};

static struct seed seeds[SEEDS];
static size_t seed_count;
static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % n;
}

/* In memory of just that size, so that reading on is noticed. */
static void run(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n != 0 ? n : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, p, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static uint8_t unescape(const char **at)
{
    const char *p = *at;
    char hex[3] = {0};

    *at += 1;
    if (*p != '\\')
        return (uint8_t)*p;
    *at += 1;
    switch (p[1]) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'x':
        memcpy(hex, p + 2, strnlen(p + 2, 2));
        *at += strlen(hex);
        return (uint8_t)strtoul(hex, NULL, 16);
    default:
        return (uint8_t)p[1];
    }
}

static void add_seed(const char *line)
{
    struct seed *seed = &seeds[seed_count];

    if (*line == '#' || *line == '\0')
        return;
    if (seed_count == SEEDS || (seed->p = malloc(strlen(line))) == NULL) {
        fprintf(stderr, "too many seeds\n");
        exit(1);
    }
    seed_count++;
    while (*line != '\0')
        seed->p[seed->n++] = unescape(&line);
}

static void read_seeds(const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    while ((n = getline(&line, &room, f)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        add_seed(line);
    }
    free(line);
    fclose(f);
}

/* Some bytes of one seed are others, are gone, are there twice, or are another seed's. */
static size_t vary(uint8_t out[SEED_MAX], size_t n)
{
    static const char interesting[] = "\0\xff\r\n :;,=\"\\/?#%$&*0-\x7f\x80{}[]";
    const struct seed *other = &seeds[below(seed_count)];
    size_t at = n != 0 ? below(n) : 0, end = at + (n != 0 ? below(n - at) + 1 : 0), from;

    switch (below(5)) {
    case 0:
        out[at] = (uint8_t)below(256);
        return n > at ? n : at + 1;
    case 1:
        out[at] = (uint8_t)interesting[below(sizeof(interesting))];
        return n > at ? n : at + 1;
    case 2: /* gone */
        memmove(out + at, out + end, n - end);
        return n - (end - at);
    case 3: /* twice */
        if (n + end - at > SEED_MAX)
            return n;
        memmove(out + end, out + at, n - at);
        return n + end - at;
    default:
        if (other->n == 0)
            return n;
        from = below(other->n);
        if (at + other->n - from > SEED_MAX)
            return n;
        memcpy(out + at, other->p + from, other->n - from);
        return at + other->n - from;
    }
}

int main(int argc, char **argv)
{
    static uint8_t varied[SEED_MAX];

    if (argc != 2) {
        fprintf(stderr, "usage: %s SEEDS\n", argv[0]);
        return 1;
    }
    read_seeds(argv[1]);
    for (size_t i = 0; i < seed_count; i++) {
        struct seed *seed = &seeds[i];
        size_t step = seed->n / PREFIXES + 1;

        for (size_t n = seed->n % step; n <= seed->n; n += step)
            run(seed->p, n);
        for (int k = 0; k < VARIATIONS; k++) {
            size_t n = seed->n < SEED_MAX ? seed->n : SEED_MAX;

            memcpy(varied, seed->p, n);
            for (size_t times = 1 + below(4); times > 0; times--)
                n = vary(varied, n);
            run(varied, n);
        }
    }
    for (size_t i = 0; i < seed_count; i++)
        free(seeds[i].p);
    return seed_count != 0 ? 0 : 1;
}
