/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics_text.h"

#include <string.h>

enum { NUMBER_MAX = 24 };

/* ---- families ---- */

static bool ends_in(struct rem_str name, struct rem_str end)
{
    return name.n >= end.n && memcmp(name.p + name.n - end.n, end.p, end.n) == 0;
}

static struct rem_str without(struct rem_str name, const char *suffix)
{
    struct rem_str end = rem_str_from(suffix);

    if (ends_in(name, end))
        name.n -= end.n;
    return name;
}

/* OpenMetrics names a family without what its samples' names end in. */
static struct rem_str family_name(const struct rem_metrics *metrics)
{
    struct rem_str name = rem_str_from(metrics->family->name);

    if (!metrics->openmetrics)
        return name;
    if (metrics->family->type == REM_METRIC_COUNTER)
        return without(name, "_total");
    return metrics->family->type == REM_METRIC_INFO ? without(name, "_info") : name;
}

static struct rem_str unit_of(struct rem_str name)
{
    static const char *const units[] = {"seconds", "bytes"};

    name = without(name, "_total");
    for (size_t i = 0; i < REM_COUNT(units); i++) {
        struct rem_str unit = rem_str_from(units[i]);

        if (name.n > unit.n + 1 && ends_in(name, unit) && name.p[name.n - unit.n - 1] == '_')
            return unit;
    }
    return REM_STR("");
}

static void add_line(struct rem_metrics *metrics, const char *what, struct rem_str text)
{
    rem_sbuf_adds(metrics->out, what);
    rem_sbuf_add(metrics->out, family_name(metrics));
    rem_sbuf_addc(metrics->out, ' ');
    rem_sbuf_add(metrics->out, text);
    rem_sbuf_addc(metrics->out, '\n');
}

void rem_metric_begin(struct rem_metrics *metrics, const struct rem_metric_family *family)
{
    static const char *const names[] = {"counter", "gauge", "histogram", "info"};
    const char *type = names[family->type];
    struct rem_str unit = unit_of(rem_str_from(family->name));

    metrics->family = family;
    if (family->type == REM_METRIC_INFO && !metrics->openmetrics)
        type = "gauge";
    add_line(metrics, "# HELP ", rem_str_from(family->help));
    add_line(metrics, "# TYPE ", rem_str_from(type));
    if (metrics->openmetrics && unit.n != 0)
        add_line(metrics, "# UNIT ", unit);
}

void rem_metrics_end(struct rem_metrics *metrics)
{
    if (metrics->openmetrics)
        rem_sbuf_adds(metrics->out, "# EOF\n");
}

/* ---- labels ---- */

/* Bytes of the UTF-8 character that begins there (RFC 3629, section 4); 0: none does. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] >= 0x80 && (p[0] < 0xc2 || p[0] > 0xf4 || n < length))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

/* Backslash, quote and line end are escaped.  One byte that is not UTF-8 (names in a configuration
 * file may be anything) would have the whole scrape refused: "?" stands for it. */
static void add_label_value(struct rem_sbuf *out, struct rem_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        size_t length = utf8_length((const unsigned char *)value.p + i, value.n - i);

        if (length != 1) {
            rem_sbuf_add(out, length != 0 ? rem_str_make(value.p + i, length) : REM_STR("?"));
            i += length != 0 ? length - 1 : 0;
            continue;
        }
        if (c == '\n') {
            rem_sbuf_adds(out, "\\n");
            continue;
        }
        if (c == '\\' || c == '"')
            rem_sbuf_addc(out, '\\');
        rem_sbuf_addc(out, c);
    }
}

struct rem_str rem_metric_labels(struct rem_arena *arena, const struct rem_metric_label *labels,
                                 size_t count)
{
    struct rem_str text = {NULL, 0};
    struct rem_sbuf out;

    rem_sbuf_init(&out);
    for (size_t i = 0; i < count; i++) {
        if (labels[i].value.p == NULL)
            continue;
        if (out.n != 0)
            rem_sbuf_addc(&out, ',');
        rem_sbuf_adds(&out, labels[i].name);
        rem_sbuf_adds(&out, "=\"");
        add_label_value(&out, labels[i].value);
        rem_sbuf_addc(&out, '"');
    }
    if (!out.failed)
        text = rem_arena_dup(arena, rem_sbuf_str(&out));
    rem_sbuf_fini(&out);
    return text;
}

/* ---- samples ---- */

/* Up to and with the space before the number. */
static void add_name(struct rem_metrics *metrics, const char *suffix, struct rem_str labels,
                     struct rem_str more)
{
    struct rem_sbuf *out = metrics->out;

    rem_sbuf_adds(out, metrics->family->name);
    if (suffix != NULL)
        rem_sbuf_adds(out, suffix);
    if (labels.n + more.n != 0) {
        rem_sbuf_addc(out, '{');
        rem_sbuf_add(out, labels);
        if (labels.n != 0 && more.n != 0)
            rem_sbuf_addc(out, ',');
        rem_sbuf_add(out, more);
        rem_sbuf_addc(out, '}');
    }
    rem_sbuf_addc(out, ' ');
}

/* The digits end at `end`; returns where they begin. */
static char *format_u64(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return end;
}

/* vsnprintf() would take most of the time of a scrape. */
static void add_u64(struct rem_sbuf *out, uint64_t value)
{
    char text[NUMBER_MAX], *end = text + sizeof(text);
    char *at = format_u64(end, value);

    rem_sbuf_add(out, rem_str_make(at, (size_t)(end - at)));
}

static void add_seconds(struct rem_sbuf *out, uint64_t ms)
{
    const char digits[] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                           (char)('0' + ms % 10)};

    add_u64(out, ms / 1000);
    rem_sbuf_add(out, rem_str_make(digits, sizeof(digits)));
}

static void end_sample(struct rem_metrics *metrics)
{
    rem_sbuf_addc(metrics->out, '\n');
    metrics->series++;
}

void rem_metric_count(struct rem_metrics *metrics, struct rem_str labels, struct rem_str more,
                      uint64_t value)
{
    add_name(metrics, NULL, labels, more);
    add_u64(metrics->out, value);
    end_sample(metrics);
}

void rem_metric_gauge(struct rem_metrics *metrics, struct rem_str labels, struct rem_str more,
                      int64_t value)
{
    add_name(metrics, NULL, labels, more);
    if (value < 0)
        rem_sbuf_addc(metrics->out, '-');
    add_u64(metrics->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
    end_sample(metrics);
}

void rem_metric_ms(struct rem_metrics *metrics, struct rem_str labels, uint64_t ms)
{
    add_name(metrics, NULL, labels, REM_STR(""));
    add_seconds(metrics->out, ms);
    end_sample(metrics);
}

void rem_metric_histogram(struct rem_metrics *metrics, struct rem_str labels,
                          const struct rem_histogram *sum)
{
    static const char *const bounds[REM_SHM_BUCKETS] = {
        "le=\"0.001\"", "le=\"0.002\"", "le=\"0.005\"", "le=\"0.01\"", "le=\"0.025\"",
        "le=\"0.05\"",  "le=\"0.1\"",   "le=\"0.25\"",  "le=\"0.5\"",  "le=\"1.0\"",
        "le=\"2.5\"",   "le=\"10.0\"",  "le=\"+Inf\""};
    uint64_t count = 0;

    for (size_t i = 0; i < REM_SHM_BUCKETS; i++) {
        count += sum->buckets[i];
        add_name(metrics, "_bucket", labels, rem_str_from(bounds[i]));
        add_u64(metrics->out, count);
        end_sample(metrics);
    }
    add_name(metrics, "_sum", labels, REM_STR(""));
    add_seconds(metrics->out, sum->sum_ms);
    end_sample(metrics);
    add_name(metrics, "_count", labels, REM_STR(""));
    add_u64(metrics->out, count);
    end_sample(metrics);
}
