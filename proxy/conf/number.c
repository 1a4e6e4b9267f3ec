/* SPDX-License-Identifier: Apache-2.0 */
/* number.c - numbers, sizes and times as directives write them (declared in set.h). */
#include "proxy/conf/set.h"

/* Reads the digits at the front of *s and moves behind them. */
static int take_digits(struct rem_str *s, int64_t *out)
{
    int64_t value = 0;
    size_t i = 0;

    for (; i < s->n && rem_is_digit(s->p[i]); i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, s->p[i] - '0', &value))
            return REM_EINVAL;
    }
    if (i == 0)
        return REM_EINVAL;
    *s = rem_str_skip(*s, i);
    *out = value;
    return 0;
}

int rem_conf_parse_num(struct rem_str s, int64_t *out)
{
    int64_t value;

    if (take_digits(&s, &value) < 0 || s.n != 0)
        return REM_EINVAL;
    *out = value;
    return 0;
}

/* Digits and one of the letters of `units` ("kmg": 1024 times the one before). */
static int parse_scaled(struct rem_str s, const char *units, int64_t *out)
{
    int64_t value, scale = 1;

    if (take_digits(&s, &value) < 0 || s.n > 1)
        return REM_EINVAL;
    if (s.n == 1) {
        const char *unit = strchr(units, rem_lower(s.p[0]));

        if (unit == NULL || *unit == '\0')
            return REM_EINVAL;
        scale = (int64_t)1 << (10 * (unit - units + 1));
    }
    if (__builtin_mul_overflow(value, scale, &value))
        return REM_EINVAL;
    *out = value;
    return 0;
}

int rem_conf_parse_size(struct rem_str s, size_t *out)
{
    int64_t value;
    int rc = parse_scaled(s, "km", &value);

    if (rc == 0)
        *out = (size_t)value;
    return rc;
}

int rem_conf_parse_off(struct rem_str s, int64_t *out)
{
    return parse_scaled(s, "kmg", out);
}

/* Units from the longest, the order in which they may follow each other. */
enum time_step {
    STEP_NONE = 0,
    STEP_Y,
    STEP_MONTH,
    STEP_W,
    STEP_D,
    STEP_H,
    STEP_M,
    STEP_S,
    STEP_MS
};

struct time_unit {
    enum time_step step;
    size_t length; /* of its letters */
    int64_t scale; /* milliseconds */
};

enum { SECOND = 1000 };

/* The unit at the front of `s`; white space or the end stand for seconds. */
static struct time_unit unit_at(struct rem_str s)
{
    const int64_t day = (int64_t)86400 * SECOND;

    if (s.n == 0 || s.p[0] == ' ')
        return (struct time_unit){STEP_S, 0, SECOND};
    if (s.n >= 2 && s.p[0] == 'm' && s.p[1] == 's')
        return (struct time_unit){STEP_MS, 2, 1};
    switch (s.p[0]) {
    case 'y':
        return (struct time_unit){STEP_Y, 1, 365 * day};
    case 'M':
        return (struct time_unit){STEP_MONTH, 1, 30 * day};
    case 'w':
        return (struct time_unit){STEP_W, 1, 7 * day};
    case 'd':
        return (struct time_unit){STEP_D, 1, day};
    case 'h':
        return (struct time_unit){STEP_H, 1, 3600 * SECOND};
    case 'm':
        return (struct time_unit){STEP_M, 1, 60 * SECOND};
    case 's':
        return (struct time_unit){STEP_S, 1, SECOND};
    default:
        return (struct time_unit){STEP_NONE, 0, 0};
    }
}

/* As nginx: years and months are for times in seconds, milliseconds for those in milliseconds; a
 * bare number at the very end is seconds whatever came before it. */
static int parse_time(struct rem_str s, bool in_seconds, int64_t *out)
{
    enum time_step last = STEP_NONE;
    int64_t total = 0, value;

    do {
        struct time_unit unit;

        if (take_digits(&s, &value) < 0)
            return REM_EINVAL;
        unit = unit_at(s);
        if (unit.step == STEP_NONE || (s.n > 0 && unit.step <= last))
            return REM_EINVAL;
        if (in_seconds ? unit.step == STEP_MS : unit.step <= STEP_MONTH)
            return REM_EINVAL;
        if (in_seconds)
            unit.scale /= SECOND;
        if (__builtin_mul_overflow(value, unit.scale, &value) ||
            __builtin_add_overflow(total, value, &total))
            return REM_EINVAL;
        last = unit.step;
        s = rem_str_skip(s, unit.length);
        while (s.n > 0 && s.p[0] == ' ')
            s = rem_str_skip(s, 1);
    } while (s.n > 0);
    *out = total;
    return 0;
}

int rem_conf_parse_msec(struct rem_str s, int64_t *out)
{
    return parse_time(s, false, out);
}

int rem_conf_parse_sec(struct rem_str s, int64_t *out)
{
    return parse_time(s, true, out);
}
