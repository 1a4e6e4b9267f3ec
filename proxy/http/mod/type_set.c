/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/type_set.h"

static char present; /* what the map's keys map to */

static int add(struct rem_conf *cf, struct rem_type_set *set, struct rem_str type)
{
    int rc;

    if (rem_str_is(type, "*")) {
        set->any = true;
        return 0;
    }
    rc = rem_strmap_add(&set->map, type, &present);
    if (rc == REM_EEXIST) {
        rem_conf_warn(cf, "duplicate MIME type \"%.*s\"", REM_STR_ARG(type));
        return 0;
    }
    return rc != 0 ? rem_conf_nomem(cf) : 0;
}

int rem_type_set_directive(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_type_set **set = (void *)((char *)conf + d->offset);

    if (*set == NULL) {
        *set = rem_arena_zalloc(cf->arena, sizeof(**set));
        if (*set == NULL)
            return rem_conf_nomem(cf);
        rem_strmap_init(&(*set)->map, cf->arena, true);
        if (rem_strmap_add(&(*set)->map, REM_STR("text/html"), &present) != 0)
            return rem_conf_nomem(cf);
    }
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = add(cf, *set, cf->args[i]);

        if (rc != 0)
            return rc;
    }
    return 0;
}

bool rem_type_set_has(const struct rem_type_set *set, struct rem_str content_type)
{
    size_t n = 0;

    if (set != NULL && set->any)
        return true;
    while (n < content_type.n && content_type.p[n] != ';' && content_type.p[n] != ' ')
        n++;
    content_type.n = n;
    if (set == NULL)
        return rem_str_eq_nocase(content_type, REM_STR("text/html"));
    return n != 0 && rem_strmap_get(&set->map, content_type) != NULL;
}
