/* SPDX-License-Identifier: Apache-2.0 */
/* split_clients.c - split_clients: a variable that divides requests into shares, by the hash of
 * a text.
 *
 * The hash is MurmurHash2 (32 bits, seed 0), whose range the shares divide in the order of the
 * file: a client keeps its share as long as the shares before it stay the same.
 * The shares are a table of the registry, named as the variable is, which the API may replace; the
 * file's are what it begins with.  */
#include "proxy/http/mod/split_clients.h"
#include "proto/shm/split.h"
#include "proxy/conf/array.h"
#include "proxy/conf/value.h"
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"
#include "proxy/net/setup.h"

#include <stdlib.h>

enum { WHOLE = REM_SPLIT_WHOLE };

struct split {
    struct rem_value source;
    struct rem_array parts;   /* of struct rem_split_part; while reading */
    uint32_t total;           /* of the parts so far, in hundredths of a percent */
    struct rem_str bytes;     /* of the file's shares */
    struct rem_table_ref ref; /* each worker's own, as all memory of a configuration is */
};

extern struct rem_module rem_split_clients_module;

/* Four bytes of the text, lowest first whatever the machine. */
static uint32_t read_word(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t rem_murmur2(struct rem_str s, uint32_t seed)
{
    const uint32_t multiplier = 0x5bd1e995;
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t hash = seed ^ (uint32_t)s.n;
    size_t left = s.n;

    for (; left >= 4; left -= 4, p += 4) {
        uint32_t word = read_word(p) * multiplier;

        word = (word ^ word >> 24) * multiplier;
        hash = hash * multiplier ^ word;
    }
    if (left != 0) {
        for (size_t i = 0; i < left; i++)
            hash ^= (uint32_t)p[i] << (8 * i);
        hash *= multiplier;
    }
    hash = (hash ^ hash >> 13) * multiplier;
    return hash ^ hash >> 15;
}

static int get_split(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct split *split = (struct split *)(uintptr_t)v->data;
    struct rem_request *request = rem_core_var_request(e);
    const void *table;
    struct rem_str text;
    size_t size;
    int rc = rem_value_eval(&split->source, e, &text);

    if (rc != 0)
        return rc;
    table = rem_reader_table(&request->worker->reader, &split->ref, &size);
    if (table == NULL ||
        !rem_split_valid(rem_str_make(table, size))) /* given up by a later configuration */
        return rem_core_var_text(out, rem_split_lookup(split->bytes.p, rem_murmur2(text, 0)));
    return rem_core_var_copy(e, out, rem_split_lookup(table, rem_murmur2(text, 0)));
}

/* ---- configuration ---- */

/* "0.5%" is 50 hundredths.  Errors: REM_EINVAL. */
static int parse_share(struct rem_str s, uint32_t *out)
{
    uint32_t share = 0, decimals = 0;
    bool point = false;

    if (s.n < 2 || s.p[s.n - 1] != '%')
        return REM_EINVAL;
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (!rem_is_digit(s.p[i]) || share > WHOLE || (point && decimals == 2))
            return REM_EINVAL;
        share = share * 10 + (uint32_t)(s.p[i] - '0');
        decimals += point;
    }
    for (; decimals < 2; decimals++) {
        if (share > WHOLE)
            return REM_EINVAL;
        share *= 10;
    }
    if (share == 0)
        return REM_EINVAL;
    *out = share;
    return 0;
}

static int on_line(struct rem_conf *cf, void *data)
{
    struct split *split = data;
    struct rem_split_part *part;
    uint32_t share;

    if (cf->n_args < 2)
        return rem_conf_error(cf, "invalid number of the split_clients parameters");
    part = rem_array_push(cf->arena, &split->parts);
    if (part == NULL)
        return rem_conf_nomem(cf);
    part->value = cf->args[1];
    part->rest = rem_str_is(cf->args[0], "*");
    if (part->rest)
        share = split->total < WHOLE ? WHOLE - split->total : 0;
    else if (parse_share(cf->args[0], &share) != 0)
        return rem_conf_error(cf, "invalid percent value \"%.*s\"", REM_STR_ARG(cf->args[0]));
    split->total += share;
    if (split->total > WHOLE)
        return rem_conf_error(cf, "percent total is greater than 100%%");
    part->share = share;
    if (part->value.n > REM_SPLIT_VALUE_MAX || split->parts.n > REM_SPLIT_PARTS_MAX)
        return rem_conf_error(cf, "too many or too long values of \"split_clients\"");
    return 0;
}

/* The shares as a table, which bears the variable's name. */
static int declare(struct rem_conf *cf, struct split *split, struct rem_str name)
{
    struct rem_table_spec spec = {.kind = REM_TABLE_SPLIT, .name = name};
    struct rem_str bytes;

    if (name.n > REM_TABLE_NAME_MAX)
        return rem_conf_error(cf, "too long variable name \"%.*s\"", REM_STR_ARG(name));
    if (rem_split_build(REM_ARRAY_OF(&split->parts, struct rem_split_part), split->parts.n,
                        &bytes) != 0)
        return rem_conf_nomem(cf);
    split->bytes.n = bytes.n;
    split->bytes.p = rem_arena_alloc(cf->arena, bytes.n);
    if (split->bytes.p != NULL)
        memcpy((char *)(uintptr_t)split->bytes.p, bytes.p, bytes.n);
    free((void *)(uintptr_t)bytes.p);
    spec.bytes = split->bytes;
    spec.config_hash = rem_hash(split->bytes.p, split->bytes.n) | 1;
    rem_table_ref_init(&split->ref, REM_TABLE_SPLIT, name);
    if (split->bytes.p == NULL || rem_setup_add_table(cf->user, &spec) != 0)
        return rem_conf_nomem(cf);
    return 0;
}

static int set_split(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct split *split = rem_arena_zalloc(cf->arena, sizeof(*split));
    struct rem_str name;
    struct rem_var *var;
    int rc;

    (void)d;
    (void)conf;
    if (split == NULL)
        return rem_conf_nomem(cf);
    rem_array_init(&split->parts, sizeof(struct rem_split_part));
    rc = rem_conf_var_name(cf, cf->args[2], &name);
    if (rc == 0)
        rc = rem_value_compile(cf, cf->args[1], &split->source);
    if (rc == 0)
        rc = rem_conf_var_add(cf, name, get_split, split, REM_VAR_CHANGEABLE, &var);
    if (rc == 0)
        rc = rem_conf_block_lines(cf, on_line, split);
    return rc != 0 ? rc : declare(cf, split, var->name);
}

static const struct rem_directive directives[] = {
    {"split_clients", REM_CTX_HTTP, REM_ARGS_2 | REM_ARGS_BLOCK, set_split, REM_LEVEL_NONE, 0,
     NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_split_clients_module = {
    .name = "split_clients",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
};
