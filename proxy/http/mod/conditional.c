/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/conditional.h"

#include "proto/wire/date.h"
#include "proxy/http/response.h"

static struct rem_str without_weak(struct rem_str tag)
{
    return rem_response_is_weak(tag) ? rem_str_skip(tag, 2) : tag;
}

/* Steps through a list of entity tags, whose quoted parts may hold commas. */
static bool next_tag(struct rem_str *rest, struct rem_str *tag)
{
    size_t i = 0, start;

    while (i < rest->n && (rest->p[i] == ' ' || rest->p[i] == '\t' || rest->p[i] == ','))
        i++;
    if (i == rest->n)
        return false;
    start = i;
    if (rest->p[i] == 'W' && i + 1 < rest->n && rest->p[i + 1] == '/')
        i += 2;
    if (i < rest->n && rest->p[i] == '"') {
        const char *quote = rem_str_chr(rem_str_skip(*rest, i + 1), '"');

        i = quote != NULL ? (size_t)(quote - rest->p) + 1 : rest->n;
    } else {
        while (i < rest->n && rest->p[i] != ',')
            i++;
    }
    *tag = rem_str_trim(rem_str_make(rest->p + start, i - start));
    *rest = rem_str_skip(*rest, i);
    return true;
}

/* Whether the list names the target's tag; strongly for If-Match, weakly for If-None-Match. */
static bool names_tag(struct rem_str list, struct rem_str etag, bool weak)
{
    struct rem_str tag;

    if (rem_str_is(rem_str_trim(list), "*"))
        return true;
    if (etag.n == 0 || (!weak && rem_response_is_weak(etag)))
        return false;
    while (next_tag(&list, &tag)) {
        if (!weak && rem_response_is_weak(tag))
            continue;
        if (rem_str_eq(without_weak(tag), without_weak(etag)))
            return true;
    }
    return false;
}

static bool parse_date(const struct rem_field *field, time_t now, time_t *out)
{
    return field != NULL && rem_date_parse(field->value, now, out) == 0;
}

/* If-Match, or without it If-Unmodified-Since. */
static bool may_go_on(const struct rem_fields *fields, time_t now,
                      const struct rem_conditional_target *target)
{
    const struct rem_field *match = rem_fields_find(fields, REM_FIELD_IF_MATCH);
    time_t date;

    if (match != NULL) {
        for (; match != NULL; match = rem_fields_next(fields, match)) {
            if (names_tag(match->value, target->etag, false))
                return true;
        }
        return false;
    }
    if (!parse_date(rem_fields_find(fields, REM_FIELD_IF_UNMODIFIED_SINCE), now, &date))
        return true;
    return target->modified >= 0 && target->modified <= date;
}

static bool unchanged_since(const struct rem_fields *fields, time_t now,
                            const struct rem_conditional_target *target)
{
    time_t date;

    if (target->ignore_since || target->modified < 0 ||
        !parse_date(rem_fields_find(fields, REM_FIELD_IF_MODIFIED_SINCE), now, &date))
        return false;
    return target->before ? target->modified <= date : target->modified == date;
}

int rem_conditional_status(const struct rem_fields *fields, time_t now,
                           const struct rem_conditional_target *target)
{
    const struct rem_field *none = rem_fields_find(fields, REM_FIELD_IF_NONE_MATCH);

    if (!may_go_on(fields, now, target))
        return 412;
    if (none == NULL)
        return unchanged_since(fields, now, target) ? 304 : 0;
    for (; none != NULL; none = rem_fields_next(fields, none)) {
        if (names_tag(none->value, target->etag, true))
            return 304;
    }
    return 0;
}

bool rem_conditional_if_range(const struct rem_fields *fields, time_t now,
                              const struct rem_conditional_target *target)
{
    const struct rem_field *field = rem_fields_find(fields, REM_FIELD_IF_RANGE);
    time_t date;

    if (field == NULL)
        return true;
    if (field->value.n != 0 && (field->value.p[0] == '"' || rem_response_is_weak(field->value)))
        return target->etag.n != 0 && !rem_response_is_weak(target->etag) &&
               rem_str_eq(field->value, target->etag);
    return parse_date(field, now, &date) && target->modified == date;
}
