/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/date.h"

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct civil {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour;
    int minute;
    int second;
};

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar.  Years are counted from
 * March, so that the leap day is the last of its year; 400 years have 146097 days. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468;
}

static void civil_of(int64_t day, struct civil *out)
{
    int64_t shifted = day + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;

    out->day = (int)(of_year - (153 * from_march + 2) / 5 + 1);
    out->month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    out->year = (int)(year + era * 400 + (out->month <= 2));
}

static bool take_text(struct rem_str *s, const char *text)
{
    struct rem_str wanted = rem_str_from(text);

    if (!rem_str_has_prefix(*s, wanted))
        return false;
    *s = rem_str_skip(*s, wanted.n);
    return true;
}

static bool take_digits(struct rem_str *s, size_t n, int *out)
{
    int value = 0;

    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!rem_is_digit(s->p[i]))
            return false;
        value = value * 10 + (s->p[i] - '0');
    }
    *s = rem_str_skip(*s, n);
    *out = value;
    return true;
}

static bool take_month(struct rem_str *s, int *out)
{
    for (int i = 0; i < 12; i++)
        if (take_text(s, months[i])) {
            *out = i + 1;
            return true;
        }
    return false;
}

static bool take_time(struct rem_str *s, struct civil *c)
{
    return take_digits(s, 2, &c->hour) && take_text(s, ":") && take_digits(s, 2, &c->minute) &&
           take_text(s, ":") && take_digits(s, 2, &c->second);
}

/* "06 Nov 1994 08:49:37 GMT", after "Sun, " */
static bool take_fixdate(struct rem_str *s, struct civil *c)
{
    return take_digits(s, 2, &c->day) && take_text(s, " ") && take_month(s, &c->month) &&
           take_text(s, " ") && take_digits(s, 4, &c->year) && take_text(s, " ") &&
           take_time(s, c) && take_text(s, " GMT");
}

/* "06-Nov-94 08:49:37 GMT", after "Sunday, " */
static bool take_rfc850(struct rem_str *s, struct civil *c, time_t now)
{
    struct civil today;

    if (!(take_digits(s, 2, &c->day) && take_text(s, "-") && take_month(s, &c->month) &&
          take_text(s, "-") && take_digits(s, 2, &c->year) && take_text(s, " ") &&
          take_time(s, c) && take_text(s, " GMT")))
        return false;
    civil_of(now / 86400, &today);
    c->year += today.year / 100 * 100;
    if (c->year > today.year + 50)
        c->year -= 100;
    else if (c->year <= today.year - 50)
        c->year += 100;
    return true;
}

/* "Nov  6 08:49:37 1994", after "Sun " */
static bool take_asctime(struct rem_str *s, struct civil *c)
{
    bool padded;

    if (!take_month(s, &c->month) || !take_text(s, " "))
        return false;
    padded = take_text(s, " ");
    return take_digits(s, padded ? 1 : 2, &c->day) && take_text(s, " ") && take_time(s, c) &&
           take_text(s, " ") && take_digits(s, 4, &c->year);
}

static bool take_any(struct rem_str *s, struct civil *c, time_t now)
{
    for (int i = 0; i < 7; i++)
        if (take_text(s, long_days[i]))
            return take_text(s, ", ") && take_rfc850(s, c, now);
    for (int i = 0; i < 7; i++)
        if (take_text(s, days[i])) {
            if (take_text(s, ", "))
                return take_fixdate(s, c);
            return take_text(s, " ") && take_asctime(s, c);
        }
    return false;
}

static bool is_valid(const struct civil *c)
{
    static const int8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    int length = lengths[c->month - 1] + (c->month == 2 && leap);

    /* 60 is a leap second. */
    return c->day >= 1 && c->day <= length && c->hour < 24 && c->minute < 60 && c->second <= 60;
}

int rem_date_parse(struct rem_str text, time_t now, time_t *out)
{
    struct civil c = {0};

    if (!take_any(&text, &c, now) || text.n != 0 || !is_valid(&c))
        return REM_EINVAL;
    *out = (time_t)(days_of(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 +
                    c.second);
    return REM_OK;
}

static char *put_digits(char *at, int value, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + n;
}

static char *put_text(char *at, const char *text, size_t n)
{
    memcpy(at, text, n);
    return at + n;
}

void rem_date_format(char *at, time_t when)
{
    const int64_t lowest = days_of(0, 1, 1) * 86400;
    const int64_t highest = days_of(10000, 1, 1) * 86400 - 1;
    int64_t t = when < lowest ? lowest : when > highest ? highest : when;
    int64_t day = t >= 0 ? t / 86400 : -((-t + 86399) / 86400);
    int second = (int)(t - day * 86400);
    struct civil c;

    civil_of(day, &c);
    at = put_text(at, days[((day + 4) % 7 + 7) % 7], 3);
    at = put_text(at, ", ", 2);
    at = put_digits(at, c.day, 2);
    at = put_text(at, " ", 1);
    at = put_text(at, months[c.month - 1], 3);
    at = put_text(at, " ", 1);
    at = put_digits(at, c.year, 4);
    at = put_text(at, " ", 1);
    at = put_digits(at, second / 3600, 2);
    at = put_text(at, ":", 1);
    at = put_digits(at, second / 60 % 60, 2);
    at = put_text(at, ":", 1);
    at = put_digits(at, second % 60, 2);
    put_text(at, " GMT", 4);
}
