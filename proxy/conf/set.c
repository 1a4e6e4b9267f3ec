/* SPDX-License-Identifier: Apache-2.0 */
/* set.c - see set.h. */
#include "proxy/conf/set.h"

#include "proxy/conf/array.h"
#include "proxy/conf/value.h"

/* The field a directive fills. */
#define FIELD(type, d, conf) ((type *)(void *)((char *)(conf) + (d)->offset))

int rem_set_without_effect(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)conf;
    rem_conf_warn(cf, "the \"%s\" directive has no effect in remora", d->name);
    return 0;
}

int rem_set_flag(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    int *field = FIELD(int, d, conf);

    if (*field != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    if (rem_str_eq_nocase(cf->args[1], REM_STR("on")))
        *field = 1;
    else if (rem_str_eq_nocase(cf->args[1], REM_STR("off")))
        *field = 0;
    else
        return rem_conf_error(cf,
                              "invalid value \"%s\" in \"%s\" directive, it must be \"on\" or "
                              "\"off\"",
                              cf->args[1].p, cf->args[0].p);
    return 0;
}

int rem_set_str(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_str *field = FIELD(struct rem_str, d, conf);

    if (field->p != NULL)
        return rem_conf_duplicate(cf);
    *field = cf->args[1];
    return 0;
}

static int check_bounds(struct rem_conf *cf, const struct rem_conf_bounds *bounds, int64_t value)
{
    if (bounds == NULL || (value >= bounds->min && value <= bounds->max))
        return 0;
    if (bounds->max == INT64_MAX)
        return rem_conf_error(cf, "value must be equal to or greater than %lld",
                              (long long)bounds->min);
    return rem_conf_error(cf, "value must be between %lld and %lld", (long long)bounds->min,
                          (long long)bounds->max);
}

int rem_set_num(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    int64_t *field = FIELD(int64_t, d, conf), value;
    int rc;

    if (*field != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_num(cf->args[1], &value) < 0)
        return rem_conf_error(cf, "\"%s\" directive invalid number", cf->args[0].p);
    rc = check_bounds(cf, d->data, value);
    if (rc == 0)
        *field = value;
    return rc;
}

int rem_set_size(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    size_t *field = FIELD(size_t, d, conf);

    if (*field != REM_CONF_UNSET_SIZE)
        return rem_conf_duplicate(cf);
    return rem_conf_parse_size(cf->args[1], field) < 0 ? rem_conf_invalid(cf) : 0;
}

/* The setters of int64_t fields differ in how they read the text only. */
static int set_int64(struct rem_conf *cf, int64_t *field,
                     int (*parse)(struct rem_str s, int64_t *out))
{
    if (*field != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    return parse(cf->args[1], field) < 0 ? rem_conf_invalid(cf) : 0;
}

int rem_set_off(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    return set_int64(cf, FIELD(int64_t, d, conf), rem_conf_parse_off);
}

int rem_set_msec(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    return set_int64(cf, FIELD(int64_t, d, conf), rem_conf_parse_msec);
}

int rem_set_sec(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    return set_int64(cf, FIELD(int64_t, d, conf), rem_conf_parse_sec);
}

static const struct rem_conf_choice *find_choice(const struct rem_conf_choice *choices,
                                                 struct rem_str name)
{
    for (; choices->name != NULL; choices++) {
        if (rem_str_eq_nocase(rem_str_from(choices->name), name))
            return choices;
    }
    return NULL;
}

int rem_set_enum(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    int *field = FIELD(int, d, conf);
    const struct rem_conf_choice *choice;

    if (*field != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    choice = find_choice(d->data, cf->args[1]);
    if (choice == NULL)
        return rem_conf_error(cf, "invalid value \"%s\"", cf->args[1].p);
    *field = (int)choice->value;
    return 0;
}

int rem_set_bitmask(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    uint32_t *field = FIELD(uint32_t, d, conf);

    /* Like nginx, a second directive in the same block adds to the first. */
    for (size_t i = 1; i < cf->n_args; i++) {
        const struct rem_conf_choice *choice = find_choice(d->data, cf->args[i]);

        if (choice == NULL)
            return rem_conf_error(cf, "invalid value \"%s\"", cf->args[i].p);
        if (*field & choice->value)
            rem_conf_warn(cf, "duplicate value \"%s\"", cf->args[i].p);
        else
            *field |= choice->value;
    }
    return 0;
}

int rem_set_bufs(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_conf_bufs *field = FIELD(struct rem_conf_bufs, d, conf), bufs;
    size_t total;

    if (field->num != 0)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_num(cf->args[1], &bufs.num) < 0 || bufs.num == 0 ||
        rem_conf_parse_size(cf->args[2], &bufs.size) < 0 || bufs.size == 0 ||
        __builtin_mul_overflow((size_t)bufs.num, bufs.size, &total))
        return rem_conf_invalid(cf);
    *field = bufs;
    return 0;
}

int rem_set_value(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_value **field = FIELD(struct rem_value *, d, conf), *value;
    int rc;

    if (*field != REM_CONF_UNSET_PTR && *field != NULL)
        return rem_conf_duplicate(cf);
    value = rem_arena_alloc(cf->arena, sizeof(*value));
    if (value == NULL)
        return rem_conf_nomem(cf);
    rc = rem_value_compile(cf, cf->args[1], value);
    if (rc == 0)
        *field = value;
    return rc;
}

void *rem_set_push(struct rem_conf *cf, struct rem_array **list, size_t size)
{
    struct rem_array *array = *list;
    void *added;

    if (array == REM_CONF_UNSET_PTR || array == NULL)
        array = rem_array_new(cf->arena, size);
    added = array != NULL ? rem_array_push(cf->arena, array) : NULL;
    if (added == NULL)
        (void)rem_conf_nomem(cf);
    else
        *list = array;
    return added;
}

int rem_set_strs(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    for (size_t i = 1; i < cf->n_args; i++) {
        struct rem_str *added =
            rem_set_push(cf, FIELD(struct rem_array *, d, conf), sizeof(*added));

        if (added == NULL)
            return REM_ENOMEM;
        *added = cf->args[i];
    }
    return 0;
}

int rem_set_path(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_str *field = FIELD(struct rem_str, d, conf), full;

    if (field->p != NULL)
        return rem_conf_duplicate(cf);
    full = rem_conf_path(cf, cf->args[1], REM_BASE_PREFIX);
    if (full.p == NULL)
        return REM_ENOMEM;
    *field = full;
    return 0;
}
