/* SPDX-License-Identifier: Apache-2.0 */
#include "api/server_json.h"

#include "proto/wire/put.h"

enum {
    SERVER_DEFAULT_PORT = 80,
    HOST_LABEL_MAX = 63,
};

/* ---- in ---- */

/* The largest unit comes first; "ms" stands before "m" and "s" so that it is found first. */
static const struct time_unit {
    const char *name;
    unsigned rank; /* units must come in falling rank */
    uint64_t ms;
} units[] = {
    {"ms", 1, 1},
    {"s", 2, 1000},
    {"m", 3, 60 * 1000},
    {"h", 4, 3600 * 1000},
    {"d", 5, 86400ull * 1000},
    {"w", 6, 7 * 86400ull * 1000},
    {"M", 7, 30 * 86400ull * 1000},
    {"y", 8, 365 * 86400ull * 1000},
};

static const struct time_unit *take_unit(struct rem_str *text)
{
    for (size_t i = 0; i < REM_COUNT(units); i++) {
        struct rem_str name = rem_str_from(units[i].name);
        if (rem_str_has_prefix(*text, name)) {
            *text = rem_str_skip(*text, name.n);
            return &units[i];
        }
    }
    return NULL;
}

int rem_server_json_time(struct rem_str text, uint32_t *out_ms)
{
    unsigned rank = 9;
    uint64_t total = 0;

    if (text.n == 0)
        return REM_EINVAL;
    while (text.n != 0) {
        const struct time_unit *unit;
        size_t digits = 0;
        uint64_t n;
        while (digits < text.n && rem_is_digit(text.p[digits]))
            digits++;
        if (rem_str_to_u64(rem_str_make(text.p, digits), INT32_MAX, &n) != 0)
            return REM_EINVAL;
        text = rem_str_skip(text, digits);
        unit = text.n != 0 ? take_unit(&text) : &units[1];
        if (unit == NULL || unit->rank >= rank)
            return REM_EINVAL;
        rank = unit->rank;
        total += n * unit->ms;
        if (total > INT32_MAX)
            return REM_EINVAL;
        if (text.n > 1 && text.p[0] == ' ')
            text = rem_str_skip(text, 1);
    }
    *out_ms = (uint32_t)total;
    return 0;
}

/* What reading one member needs. */
struct reading {
    enum rem_server_json_use use;
    struct rem_arena *arena;
    struct rem_server_spec *spec;
    struct rem_fault *fault;
    bool has_server;
};

static bool is_patch(const struct reading *in)
{
    return in->use == REM_SERVER_JSON_PATCH || in->use == REM_SERVER_JSON_PLUS_PATCH;
}

static bool is_plus(const struct reading *in)
{
    return in->use == REM_SERVER_JSON_PLUS_ADD || in->use == REM_SERVER_JSON_PLUS_PATCH;
}

static int bad_value(struct reading *in, const char *key)
{
    return rem_fault_set(in->fault, REM_FAULT_FORMAT, "invalid \"%s\" value", key);
}

static int read_number(struct reading *in, const char *key, const json_t *value, uint32_t *out,
                       enum rem_fault_code code)
{
    json_int_t min = code == REM_FAULT_BAD_WEIGHT ? 1 : 0;
    json_int_t max = code == REM_FAULT_BAD_WEIGHT ? REM_SERVER_WEIGHT_MAX : INT32_MAX;
    json_int_t number = json_integer_value(value);
    uint64_t n;

    if (is_plus(in) && json_is_string(value))
        number = rem_str_to_u64(rem_json_str(value), INT32_MAX, &n) == 0 ? (json_int_t)n : -1;
    else if (!json_is_integer(value))
        return bad_value(in, key);
    if (number < min || number > max)
        return rem_fault_set(in->fault, code, "invalid \"%s\"", key);
    *out = (uint32_t)number;
    return 0;
}

static int read_flag(struct reading *in, const char *key, const json_t *value, uint32_t flag)
{
    if (!json_is_boolean(value))
        return bad_value(in, key);
    if (json_is_true(value))
        in->spec->flags |= flag;
    else
        in->spec->flags &= ~flag;
    return 0;
}

static int read_time(struct reading *in, const char *key, const json_t *value, uint32_t *out,
                     struct rem_str *spelling)
{
    bool fail_timeout = out == &in->spec->fail_timeout_ms;

    if (!json_is_string(value))
        return bad_value(in, key);
    if (rem_server_json_time(rem_json_str(value), out) != 0)
        return rem_fault_set(in->fault,
                             fail_timeout ? REM_FAULT_BAD_FAIL_TIMEOUT : REM_FAULT_BAD_SLOW_START,
                             "invalid \"%s\"", key);
    *spelling = rem_json_str(value);
    return 0;
}

static int bad_address(struct reading *in)
{
    return rem_fault_set(in->fault, REM_FAULT_BAD_ADDRESS, "invalid \"server\" argument");
}

static bool is_label_char(char c)
{
    return rem_is_digit(c) || (rem_lower(c) >= 'a' && rem_lower(c) <= 'z') || c == '-' || c == '_';
}

/* A name that DNS may know: labels of letters, digits, "-" and "_".  If the last one is a number,
 * it is an address with a slip in it, and asking for it would go on for ever. */
static bool is_host_name(struct rem_str host)
{
    bool number = true;
    size_t label = 0;

    if (host.p[host.n - 1] == '.') /* of the root */
        host.n--;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];

        if (c == '.' ? label == 0 : !is_label_char(c))
            return false;
        number = c == '.' || (number && rem_is_digit(c)); /* so far, of this label */
        label = c == '.' ? 0 : label + 1;
        if (label > HOST_LABEL_MAX)
            return false;
    }
    return label != 0 && !number;
}

static int read_name(struct reading *in, struct rem_str text, struct rem_str host)
{
    if (!is_host_name(host))
        return bad_address(in);
    if (is_patch(in))
        return rem_fault_set(in->fault, REM_FAULT_BAD_ADDRESS,
                             "invalid \"server\" argument, an address cannot become a name");
    if (!is_plus(in))
        return rem_fault_set(in->fault, REM_FAULT_NO_RESOLVER,
                             "%.*s is a name, not an address; names are taken from the "
                             "configuration and from the NGINX Plus API",
                             REM_STR_ARG(host));
    in->spec->server = text;
    return 0;
}

static int read_server(struct reading *in, const char *key, const json_t *value)
{
    struct rem_server_spec *spec = in->spec;
    struct rem_addr_parts parts;
    struct rem_str text;

    if (!json_is_string(value))
        return bad_value(in, key);
    text = rem_json_str(value);
    in->has_server = true;
    if (is_patch(in) && rem_str_eq(text, spec->server))
        return 0;
    /* It goes into logs and fields: a line end there would begin a line of the client's own. */
    if (!rem_put_is_value(text) || rem_addr_split(text, &parts) != 0)
        return bad_address(in);
    if (parts.kind == REM_ADDR_NAME)
        return read_name(in, text, parts.host);
    if (rem_addr_parse(text, SERVER_DEFAULT_PORT, &spec->addr) != 0)
        return bad_address(in);
    if (!parts.has_port && parts.kind != REM_ADDR_UNIX)
        text = rem_arena_printf(in->arena, "%.*s:%d", REM_STR_ARG(text), SERVER_DEFAULT_PORT);
    if (text.p == NULL)
        return rem_fault_set(in->fault, REM_FAULT_INTERNAL, "out of memory");
    spec->server = text;
    spec->name = text;
    return 0;
}

static int read_route(struct reading *in, const char *key, const json_t *value)
{
    if (!json_is_string(value))
        return bad_value(in, key);
    if (json_string_length(value) > REM_SERVER_JSON_ROUTE_MAX)
        return rem_fault_set(in->fault, REM_FAULT_BAD_ROUTE, "route is longer than %d bytes",
                             REM_SERVER_JSON_ROUTE_MAX);
    if (!rem_put_is_value(rem_json_str(value))) /* it may be sent as a cookie */
        return rem_fault_set(in->fault, REM_FAULT_BAD_ROUTE, "route has control characters");
    in->spec->route = rem_json_str(value);
    return 0;
}

static int read_backup(struct reading *in, const char *key, const json_t *value)
{
    uint32_t before = in->spec->flags & REM_SERVER_BACKUP;

    if (read_flag(in, key, value, REM_SERVER_BACKUP) != 0)
        return REM_EINVAL;
    if (is_patch(in) && (in->spec->flags & REM_SERVER_BACKUP) != before)
        return rem_fault_set(in->fault, REM_FAULT_FORMAT, "\"backup\" cannot be changed");
    return 0;
}

static int read_service(struct reading *in, const char *key, const json_t *value)
{
    struct rem_str text = rem_json_str(value);

    if (is_patch(in) && json_is_string(value) && rem_str_eq(text, in->spec->service))
        return 0;
    if (is_patch(in))
        return rem_fault_set(in->fault, REM_FAULT_FORMAT, "\"service\" cannot be changed");
    if (!json_is_string(value))
        return bad_value(in, key);
    if (text.n == 0)
        return rem_fault_set(in->fault, REM_FAULT_BAD_SERVICE, "\"service\" is empty");
    in->spec->service = text;
    return 0;
}

/* What `server` and `service` make together, in whatever order they came. */
static int finish_name(struct reading *in)
{
    struct rem_server_spec *spec = in->spec;
    struct rem_addr_parts parts;

    if (spec->addr.len != 0 && spec->service.n != 0)
        return rem_fault_set(in->fault, REM_FAULT_BAD_ADDRESS,
                             "service upstream \"%.*s\" requires domain name",
                             REM_STR_ARG(spec->server));
    if (spec->addr.len != 0 || rem_addr_split(spec->server, &parts) != 0)
        return 0;
    if (parts.has_port && spec->service.n != 0)
        return rem_fault_set(in->fault, REM_FAULT_BAD_ADDRESS,
                             "service upstream \"%.*s\" may not have port",
                             REM_STR_ARG(spec->server));
    if (!parts.has_port && spec->service.n == 0)
        spec->server =
            rem_arena_printf(in->arena, "%.*s:%d", REM_STR_ARG(spec->server), SERVER_DEFAULT_PORT);
    spec->name = spec->server;
    return spec->server.p != NULL ? 0
                                  : rem_fault_set(in->fault, REM_FAULT_INTERNAL, "out of memory");
}

static int read_id(struct reading *in, const char *key, const json_t *value)
{
    if (in->use != REM_SERVER_JSON_SET)
        return rem_fault_set(in->fault, REM_FAULT_FORMAT, "unknown parameter \"%s\"", key);
    return json_is_integer(value) ? 0 : bad_value(in, key);
}

/* What GET shows of a server besides. */
static bool is_shown_only(const char *key)
{
    static const char *const keys[] = {
        "state",     "active",      "requests",      "responses",     "fails",
        "unavail",   "header_time", "response_time", "health_checks", "ejected",
        "ejections", "parent",      "host",          "response_ms",
    };

    for (size_t i = 0; i < REM_COUNT(keys); i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static int read_member(struct reading *in, const char *key, const json_t *value)
{
    struct rem_server_spec *spec = in->spec;

    if (in->use == REM_SERVER_JSON_SET && is_shown_only(key))
        return 0;
    if (json_is_object(value) || json_is_array(value))
        return rem_fault_set(in->fault, REM_FAULT_FORMAT, "nested object or list");
    if (strcmp(key, "server") == 0)
        return read_server(in, key, value);
    if (strcmp(key, "weight") == 0)
        return read_number(in, key, value, &spec->weight, REM_FAULT_BAD_WEIGHT);
    if (strcmp(key, "max_conns") == 0)
        return read_number(in, key, value, &spec->max_conns, REM_FAULT_BAD_MAX_CONNS);
    if (strcmp(key, "max_fails") == 0)
        return read_number(in, key, value, &spec->max_fails, REM_FAULT_BAD_MAX_FAILS);
    if (strcmp(key, "fail_timeout") == 0)
        return read_time(in, key, value, &spec->fail_timeout_ms, &spec->fail_timeout_text);
    if (strcmp(key, "slow_start") == 0)
        return read_time(in, key, value, &spec->slow_start_ms, &spec->slow_start_text);
    if (strcmp(key, "route") == 0)
        return read_route(in, key, value);
    if (strcmp(key, "backup") == 0)
        return read_backup(in, key, value);
    if (strcmp(key, "down") == 0)
        return read_flag(in, key, value, REM_SERVER_DOWN);
    if (strcmp(key, "drain") == 0)
        return read_flag(in, key, value, REM_SERVER_DRAIN);
    if (strcmp(key, "service") == 0)
        return read_service(in, key, value);
    if (strcmp(key, "id") == 0)
        return read_id(in, key, value);
    return rem_fault_set(in->fault, REM_FAULT_FORMAT, "unknown parameter \"%.100s\"", key);
}

/* What `down` and `drain` make of what was before.  The last word counts: taking a draining server
 * down ends its draining, and the reverse. */
static int finish_state(struct reading *in, const json_t *object)
{
    const json_t *down = json_object_get(object, "down"), *drain = json_object_get(object, "drain");

    if (json_is_true(down) && json_is_true(drain))
        return rem_fault_set(in->fault, REM_FAULT_FORMAT,
                             "\"down\" and \"drain\" exclude each other");
    if (json_is_true(down) || (is_plus(in) && down != NULL && drain == NULL))
        in->spec->flags &= ~(uint32_t)REM_SERVER_DRAIN;
    if (json_is_true(drain))
        in->spec->flags &= ~(uint32_t)REM_SERVER_DOWN;
    return 0;
}

int rem_server_json_parse(const json_t *object, enum rem_server_json_use use,
                          struct rem_arena *arena, struct rem_server_spec *spec,
                          struct rem_fault *fault)
{
    struct reading in = {.use = use, .arena = arena, .spec = spec, .fault = fault};
    const char *key;
    json_t *value;

    if (!json_is_object(object))
        return rem_fault_set(fault, REM_FAULT_FORMAT, "a server must be an object");
    if (!is_patch(&in))
        rem_server_spec_init(spec);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (read_member(&in, key, value) != 0)
            return REM_EINVAL;
    }
    if (!is_patch(&in) && !in.has_server)
        return rem_fault_set(fault, REM_FAULT_FORMAT, "missing \"server\" argument");
    if (!is_patch(&in) && finish_name(&in) != 0)
        return REM_EINVAL;
    return finish_state(&in, object);
}

/* ---- out ---- */

static json_t *time_json(struct rem_str spelling, uint32_t ms)
{
    char text[32];

    if (spelling.n != 0)
        return rem_json_text(spelling);
    return json_stringn(text, rem_spec_duration_text(ms, text, sizeof(text)));
}

static json_t *address_json(const struct rem_server_spec *spec)
{
    char text[REM_ADDR_TEXT];

    if (spec->server.n != 0)
        return rem_json_text(spec->server);
    return rem_json_text(rem_str_make(text, rem_addr_text(&spec->addr, text, sizeof(text))));
}

json_t *rem_server_json_make(const struct rem_server_spec *spec)
{
    bool drain = spec->flags & REM_SERVER_DRAIN;
    bool down = (spec->flags & REM_SERVER_DOWN) && !drain;
    json_t *object = json_pack(
        "{s:I,s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:b,s:b}", "id", (json_int_t)spec->id, "server",
        address_json(spec), "weight", (json_int_t)spec->weight, "max_conns",
        (json_int_t)spec->max_conns, "max_fails", (json_int_t)spec->max_fails, "fail_timeout",
        time_json(spec->fail_timeout_text, spec->fail_timeout_ms), "slow_start",
        time_json(spec->slow_start_text, spec->slow_start_ms), "route", rem_json_text(spec->route),
        "backup", (spec->flags & REM_SERVER_BACKUP) != 0, "down", (int)down);

    if (object != NULL && spec->parent != 0 &&
        (json_object_set_new(object, "parent", json_integer((json_int_t)spec->parent - 1)) != 0 ||
         json_object_set_new(object, "host", rem_json_text(spec->name)) != 0)) {
        json_decref(object);
        return NULL;
    }
    if (object != NULL && spec->service.n != 0 &&
        json_object_set_new(object, "service", rem_json_text(spec->service)) != 0) {
        json_decref(object);
        return NULL;
    }
    if (object != NULL && drain && json_object_set_new(object, "drain", json_true()) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}
