/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_names.c - which fields pass and which do not, worked out when the configuration is read. */
#include "proxy/upstream/proxy.h"

/* Stands for any value in a set of names. */
static char present;

static struct rem_proxy_names *names_new(struct rem_conf *cf)
{
    struct rem_proxy_names *names = rem_arena_zalloc(cf->arena, sizeof(*names));

    if (names != NULL)
        rem_strmap_init(&names->other, cf->arena, true);
    return names;
}

static int names_add(struct rem_proxy_names *names, struct rem_str name)
{
    enum rem_field_id id = rem_field_id(name);

    if (id == REM_FIELD_OTHER)
        return rem_strmap_set(&names->other, name, &present);
    names->known[id] = true;
    return 0;
}

bool rem_proxy_names_has(const struct rem_proxy_names *names, const struct rem_field *field)
{
    if (field->id != REM_FIELD_OTHER)
        return names->known[field->id];
    return names->other.count != 0 && rem_strmap_get(&names->other, field->name) == &present;
}

/* Fields of the client's that never pass as they are: those of its own connection, and those that
 * the head of our own request says. */
static const enum rem_field_id own_fields[] = {
    REM_FIELD_HOST,    REM_FIELD_CONNECTION,     REM_FIELD_KEEP_ALIVE,
    REM_FIELD_TE,      REM_FIELD_TRAILER,        REM_FIELD_TRANSFER_ENCODING,
    REM_FIELD_UPGRADE, REM_FIELD_HTTP2_SETTINGS, REM_FIELD_PROXY_CONNECTION,
    REM_FIELD_EXPECT,  REM_FIELD_CONTENT_LENGTH,
};

/* Content-Length and Transfer-Encoding are ours to say, whatever proxy_set_header has. */
static bool is_framing(struct rem_str name)
{
    enum rem_field_id id = rem_field_id(name);

    return id == REM_FIELD_CONTENT_LENGTH || id == REM_FIELD_TRANSFER_ENCODING;
}

static struct rem_proxy_set *sets_push(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    return rem_array_push(cf->arena, conf->own_sets);
}

int rem_proxy_compile_request(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    bool has_host = false;

    conf->skip = names_new(cf);
    conf->own_sets = rem_array_new(cf->arena, sizeof(struct rem_proxy_set));
    if (conf->skip == NULL || conf->own_sets == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 0; i < REM_COUNT(own_fields); i++)
        conf->skip->known[own_fields[i]] = true;
    for (uint32_t i = 0; conf->sets != NULL && i < conf->sets->n; i++) {
        const struct rem_proxy_set *set = rem_array_at(conf->sets, i);
        struct rem_proxy_set *own;

        if (names_add(conf->skip, set->name) != 0)
            return rem_conf_nomem(cf);
        has_host = has_host || rem_field_id(set->name) == REM_FIELD_HOST;
        /* An empty text deletes the field: nothing is left to be sent. */
        if (is_framing(set->name) || (rem_value_is_static(&set->value) && set->value.text.n == 0))
            continue;
        own = sets_push(cf, conf);
        if (own == NULL)
            return rem_conf_nomem(cf);
        *own = *set;
    }
    if (!has_host) {
        struct rem_proxy_set *host = sets_push(cf, conf);
        if (host == NULL)
            return rem_conf_nomem(cf);
        host->name = REM_STR("Host");
        return rem_value_compile(cf, REM_STR("$proxy_host"), &host->value);
    }
    return 0;
}

/* Hidden unless proxy_pass_header says otherwise. */
static const struct rem_str hidden_by_default[] = {
    {"Date", 4},
    {"Server", 6},
    {"X-Pad", 5},
    {"X-Accel-Expires", 15},
    {"X-Accel-Redirect", 16},
    {"X-Accel-Limit-Rate", 18},
    {"X-Accel-Buffering", 17},
    {"X-Accel-Charset", 15},
};

static bool is_passed(const struct rem_proxy_conf *conf, struct rem_str name)
{
    for (uint32_t i = 0; conf->pass != NULL && i < conf->pass->n; i++) {
        if (rem_str_eq_nocase(REM_ARRAY_OF(conf->pass, struct rem_str)[i], name))
            return true;
    }
    return false;
}

int rem_proxy_compile_response(struct rem_conf *cf, struct rem_proxy_conf *conf)
{
    conf->hidden = names_new(cf);
    if (conf->hidden == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 0; i < REM_COUNT(hidden_by_default); i++) {
        if (!is_passed(conf, hidden_by_default[i]) &&
            names_add(conf->hidden, hidden_by_default[i]) != 0)
            return rem_conf_nomem(cf);
    }
    for (uint32_t i = 0; conf->hide != NULL && i < conf->hide->n; i++) {
        if (names_add(conf->hidden, REM_ARRAY_OF(conf->hide, struct rem_str)[i]) != 0)
            return rem_conf_nomem(cf);
    }
    return 0;
}
