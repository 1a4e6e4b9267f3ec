/* SPDX-License-Identifier: Apache-2.0 */
/* var.c - see var.h. */
#include "proxy/conf/var.h"

#include "proxy/conf/array.h"

struct prefix_def {
    struct rem_var var;
    struct prefix_def *next;
};

struct rem_vars {
    struct rem_arena *arena;
    struct rem_strmap defs;      /* lower-case name -> struct rem_var */
    struct rem_strmap refs;      /* lower-case name -> index + 1, as a pointer */
    struct rem_array referenced; /* of struct reference, by index */
    struct prefix_def *prefixes;
};

struct reference {
    struct rem_var var;
    struct rem_conf_pos pos; /* of the first mention */
};

struct rem_vars *rem_vars_new(struct rem_arena *arena)
{
    struct rem_vars *vars = rem_arena_zalloc(arena, sizeof(*vars));

    if (vars == NULL)
        return NULL;
    vars->arena = arena;
    rem_strmap_init(&vars->defs, arena, false);
    rem_strmap_init(&vars->refs, arena, false);
    rem_array_init(&vars->referenced, sizeof(struct reference));
    return vars;
}

/* .p is NULL without memory. */
static struct rem_str lower_copy(struct rem_arena *arena, struct rem_str name)
{
    char *p = rem_arena_alloc(arena, name.n + 1);

    if (p == NULL)
        return (struct rem_str){NULL, 0};
    for (size_t i = 0; i < name.n; i++)
        p[i] = rem_lower(name.p[i]);
    p[name.n] = '\0';
    return (struct rem_str){p, name.n};
}

static struct rem_var *add_prefix(struct rem_vars *vars, const struct rem_var *def)
{
    struct prefix_def *added;

    for (added = vars->prefixes; added != NULL; added = added->next) {
        if (rem_str_eq(added->var.name, def->name))
            return NULL;
    }
    added = rem_arena_alloc(vars->arena, sizeof(*added));
    if (added == NULL)
        return NULL;
    *added = (struct prefix_def){*def, vars->prefixes};
    vars->prefixes = added;
    return &added->var;
}

struct rem_var *rem_var_add(struct rem_vars *vars, struct rem_str name, rem_var_get_fn get,
                            const void *data, uint32_t flags)
{
    struct rem_var def = {.get = get, .data = data, .flags = flags}, *var;

    def.name = lower_copy(vars->arena, name);
    if (def.name.p == NULL)
        return NULL;
    if (flags & REM_VAR_PREFIX)
        return add_prefix(vars, &def);
    var = rem_strmap_get(&vars->defs, def.name);
    if (var != NULL) {
        if (!(var->flags & REM_VAR_CHANGEABLE))
            return NULL;
        if (get != NULL) {
            var->get = get;
            var->data = data;
            var->flags = flags | REM_VAR_CHANGEABLE;
        }
        return var;
    }
    var = rem_arena_alloc(vars->arena, sizeof(*var));
    if (var == NULL || rem_strmap_add(&vars->defs, def.name, var) < 0)
        return NULL;
    *var = def;
    return var;
}

int rem_conf_var_name(struct rem_conf *cf, struct rem_str arg, struct rem_str *name)
{
    if (arg.n < 2 || arg.p[0] != '$')
        return rem_conf_error(cf, "invalid variable name \"%.*s\"", REM_STR_ARG(arg));
    *name = rem_str_skip(arg, 1);
    return 0;
}

int rem_conf_var_add(struct rem_conf *cf, struct rem_str name, rem_var_get_fn get, const void *data,
                     uint32_t flags, struct rem_var **out)
{
    struct rem_str bare = name;
    const struct rem_var *known;

    if (bare.n > 0 && bare.p[0] == '$')
        bare = rem_str_skip(bare, 1);
    if (bare.n == 0)
        return rem_conf_error(cf, "invalid variable name \"%.*s\"", REM_STR_ARG(name));
    *out = rem_var_add(cf->vars, bare, get, data, flags);
    if (*out != NULL)
        return 0;
    known = rem_var_find(cf->vars, bare);
    if (known == NULL)
        return rem_conf_nomem(cf);
    return rem_conf_error(cf, "the duplicate \"%.*s\" variable", REM_STR_ARG(bare));
}

struct rem_var *rem_var_find(const struct rem_vars *vars, struct rem_str name)
{
    char small[128];

    /* Names are stored in lower case; nobody calls this per request. */
    if (name.n > sizeof(small))
        return rem_strmap_get(&vars->defs, lower_copy(vars->arena, name));
    for (size_t i = 0; i < name.n; i++)
        small[i] = rem_lower(name.p[i]);
    return rem_strmap_get(&vars->defs, rem_str_make(small, name.n));
}

int rem_var_index(struct rem_vars *vars, struct rem_str name, struct rem_conf_pos pos,
                  uint32_t *out)
{
    struct rem_str lower = lower_copy(vars->arena, name);
    struct reference *ref;
    uintptr_t found;

    if (lower.p == NULL)
        return REM_ENOMEM;
    if (lower.n == 0)
        return REM_EINVAL;
    found = (uintptr_t)rem_strmap_get(&vars->refs, lower);
    if (found == 0) {
        found = (uintptr_t)vars->referenced.n + 1;
        ref = rem_array_push(vars->arena, &vars->referenced);
        if (ref == NULL || rem_strmap_add(&vars->refs, lower, (void *)found) < 0)
            return REM_ENOMEM;
        ref->var.name = lower;
        ref->var.index = (uint32_t)(found - 1);
        ref->pos = pos;
    }
    *out = (uint32_t)(found - 1);
    return 0;
}

/* The longest prefix that a name begins with, or NULL. */
static const struct rem_var *prefix_of(const struct rem_vars *vars, struct rem_str name)
{
    const struct rem_var *best = NULL;

    for (const struct prefix_def *p = vars->prefixes; p != NULL; p = p->next) {
        if (rem_str_has_prefix(name, p->var.name) && (best == NULL || best->name.n < p->var.name.n))
            best = &p->var;
    }
    return best;
}

bool rem_vars_has_prefix(const struct rem_vars *vars, struct rem_str name)
{
    return prefix_of(vars, name) != NULL;
}

/* Fills in what a reference stands for.  Returns whether anybody defines it. */
static bool resolve_one(const struct rem_vars *vars, struct rem_var *ref)
{
    const struct rem_var *def = rem_strmap_get(&vars->defs, ref->name);
    const struct rem_var *prefix = NULL;

    /* `set $http_x` gives a name of its own to what still is the header until it is set. */
    if (def == NULL || def->get == NULL)
        prefix = prefix_of(vars, ref->name);
    if (def == NULL && prefix == NULL)
        return false;
    if (prefix != NULL) {
        ref->get = prefix->get;
        ref->data = prefix->data;
        ref->flags = prefix->flags;
        ref->rest = rem_str_skip(ref->name, prefix->name.n);
    } else {
        ref->get = def->get;
        ref->data = def->data;
        ref->flags = def->flags;
    }
    ref->set = def != NULL ? def->set : prefix->set;
    return true;
}

int rem_vars_resolve(struct rem_vars *vars, struct rem_conf *cf)
{
    int rc = 0;

    for (uint32_t i = 0; i < vars->referenced.n; i++) {
        struct reference *ref = rem_array_at(&vars->referenced, i);

        if (!resolve_one(vars, &ref->var))
            rc = rem_conf_error_at(cf, ref->pos, "unknown \"%s\" variable", ref->var.name.p);
    }
    return rc;
}

struct rem_vars *rem_vars_only(const struct rem_vars *vars, struct rem_arena *arena, uint32_t flag)
{
    struct rem_vars *only = rem_arena_alloc(arena, sizeof(*only));

    if (only == NULL)
        return NULL;
    *only = *vars;
    rem_array_init(&only->referenced, sizeof(struct reference));
    for (uint32_t i = 0; i < vars->referenced.n; i++) {
        struct reference *ref = rem_array_push(arena, &only->referenced);

        if (ref == NULL)
            return NULL;
        *ref = *(struct reference *)rem_array_at(&vars->referenced, i);
        if ((ref->var.flags & flag) == 0)
            ref->var.get = NULL;
    }
    return only;
}

uint32_t rem_vars_count(const struct rem_vars *vars)
{
    return vars->referenced.n;
}

const struct rem_var *rem_vars_at(const struct rem_vars *vars, uint32_t i)
{
    REM_CHECK(i < vars->referenced.n);
    return &REM_ARRAY_OF(&vars->referenced, const struct reference)[i].var;
}

int rem_var_get(struct rem_eval *e, uint32_t index, const struct rem_var_value **out)
{
    struct rem_var_value *slot = &e->cache[index], value = {{"", 0}, REM_VAR_NOT_FOUND, 0};
    const struct rem_var *var;

    if (slot->state != REM_VAR_UNASKED && !slot->nocache) {
        *out = slot;
        return 0;
    }
    var = rem_vars_at(e->vars, index);
    if (var->get != NULL) {
        int rc;

        if (e->depth >= REM_VAR_MAX_DEPTH) {
            e->failed = var;
            return REM_EINVAL;
        }
        e->depth++;
        rc = var->get(e, var, &value);
        e->depth--;
        if (rc < 0) {
            if (e->failed == NULL)
                e->failed = var;
            return rc;
        }
    }
    REM_CHECK(value.state != REM_VAR_UNASKED);
    if (var->flags & REM_VAR_NOCACHE)
        value.nocache = 1;
    *slot = value;
    *out = slot;
    return 0;
}

int rem_var_set(struct rem_eval *e, uint32_t index, struct rem_str value)
{
    const struct rem_var *var = rem_vars_at(e->vars, index);

    if (var->set != NULL)
        return var->set(e, var, value);
    e->cache[index] = (struct rem_var_value){value, REM_VAR_FOUND, 0};
    return 0;
}

void rem_var_forget(struct rem_eval *e)
{
    memset(e->cache, 0, rem_vars_count(e->vars) * sizeof(*e->cache));
}
