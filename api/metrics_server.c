/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_server.c - servers one by one, with `?detail=server`.
 *
 * Names:      servers that a configuration names twice are shown as one, as series must differ.
 * Budget:     no more than max_series series: every upstream shows the first servers of its set, as
 *             many as all upstreams can; the others of it are summed as server="_other".  Where
 *             there is no room for a row of each upstream, the first ones have one.  */
#include "api/metrics_upstream.h"

/* What one server has at most: responses by class, and the families below. */
enum { SERIES = REM_SHM_CLASSES + 10 };

struct row {
    const struct rem_server_status *server;
    struct rem_str labels;
    int64_t up, weight; /* sums, of "_other" */
};

/* ---- who is shown ---- */

/* Those that were removed, too, while requests hold them: they may be what a drain waits for. */
static size_t count_of(const struct rem_scrape_upstream *up)
{
    return up->status.server_count + up->status.zombies;
}

static size_t shown(const struct rem_scrape_upstream *up, size_t cap)
{
    return count_of(up) < cap ? count_of(up) : cap;
}

/* Rows if no upstream shows more than `cap` servers, the sums of the others included. */
static size_t rows_with(const struct rem_scrape_upstream *upstreams, size_t count, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += shown(&upstreams[i], cap) + (count_of(&upstreams[i]) > cap);
    return n;
}

/* The largest number of servers that each upstream may show. */
static size_t find_cap(const struct rem_scrape_upstream *upstreams, size_t count, size_t budget)
{
    size_t low = 0, high = 1;

    for (size_t i = 0; i < count; i++)
        if (count_of(&upstreams[i]) > high)
            high = count_of(&upstreams[i]);
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;

        if (rows_with(upstreams, count, middle) <= budget)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* ---- reading ---- */

static bool is_up(const struct rem_server_status *server)
{
    return rem_str_is(server->state, "up");
}

static int fill_row(struct rem_scrape *scrape, const struct rem_scrape_upstream *up,
                    const struct rem_server_status *server, struct row *out)
{
    const struct rem_metric_label labels[] = {{"upstream", up->status.spec.name},
                                              {"server", server->spec.server}};

    out->server = server;
    out->labels = rem_metric_labels(scrape->arena, labels, REM_COUNT(labels));
    out->up += is_up(server);
    out->weight += server->spec.weight;
    return out->labels.p != NULL ? 0 : rem_call_fault(scrape->call, REM_ENOMEM, NULL);
}

static void add_server(struct rem_server_status *sum, const struct rem_server_status *server)
{
    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        sum->totals.responses[i] += server->totals.responses[i];
    sum->totals.fails += server->totals.fails;
    sum->totals.sent += server->totals.sent;
    sum->totals.received += server->totals.received;
    sum->active += server->active;
    sum->ejections += server->ejections;
    sum->checks += server->checks;
    sum->check_fails += server->check_fails;
}

/* The servers from `from` on, as if they were one. */
static int fill_other(struct rem_scrape *scrape, const struct rem_scrape_upstream *up, size_t from,
                      struct row *out)
{
    struct rem_server_status *sum = rem_arena_zalloc(scrape->arena, sizeof(*sum));

    if (sum == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    sum->spec.server = REM_STR("_other");
    for (size_t i = from; i < count_of(up); i++) {
        add_server(sum, &up->status.servers[i]);
        out->up += is_up(&up->status.servers[i]);
        out->weight += up->status.servers[i].spec.weight;
    }
    return fill_row(scrape, up, sum, out);
}

/* Which rows of an upstream there are, by their servers' names. */
struct index {
    uint32_t *slots; /* 1 + a row's number; 0: free */
    size_t mask;
};

static int make_index(struct rem_scrape *scrape, size_t servers, struct index *out)
{
    size_t size = 4;

    while (size < 2 * servers)
        size *= 2;
    out->mask = size - 1;
    out->slots = rem_arena_zalloc(scrape->arena, size * sizeof(*out->slots));
    return out->slots != NULL ? 0 : rem_call_fault(scrape->call, REM_ENOMEM, NULL);
}

/* The slot of that name, or a free one. */
static uint32_t *find_slot(const struct index *index, const struct row *rows, struct rem_str name)
{
    size_t at = rem_hash(name.p, name.n) & index->mask;

    while (index->slots[at] != 0 &&
           !rem_str_eq(rows[index->slots[at] - 1].server->spec.server, name))
        at = (at + 1) & index->mask;
    return &index->slots[at];
}

/* Adds a server to the row that bears its name already. */
static int merge(struct rem_scrape *scrape, struct row *row, const struct rem_server_status *server)
{
    struct rem_server_status *sum = rem_arena_zalloc(scrape->arena, sizeof(*sum));

    if (sum == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    sum->spec.server = server->spec.server;
    sum->header_avg = row->server->header_avg;
    add_server(sum, row->server);
    add_server(sum, server);
    row->server = sum;
    row->up = row->up != 0 || is_up(server);
    row->weight += server->spec.weight;
    return 0;
}

/* *rows is behind the last one afterwards. */
static int fill_rows(struct rem_scrape *scrape, const struct rem_scrape_upstream *up, size_t cap,
                     struct row **rows)
{
    struct row *first = *rows;
    size_t n = shown(up, cap);
    struct index index;
    int rc = make_index(scrape, n, &index);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct rem_server_status *server = &up->status.servers[i];
        uint32_t *slot = find_slot(&index, first, server->spec.server);

        if (*slot != 0) {
            rc = merge(scrape, &first[*slot - 1], server);
            continue;
        }
        rc = fill_row(scrape, up, server, (*rows)++);
        *slot = (uint32_t)(*rows - first);
    }
    if (rc == 0 && n < count_of(up))
        rc = fill_other(scrape, up, n, (*rows)++);
    return rc;
}

/* ---- families ---- */

static void put_requests(struct rem_scrape *scrape, const struct row *row)
{
    static const struct rem_code none = {0};
    const struct rem_server_status *server = row->server;

    rem_scrape_responses(scrape, row->labels, server->totals.responses,
                         server->codes != NULL ? server->codes : &none, server->code_count);
}

/* Of servers that nobody checks there is nothing to say. */
static void put_checks(struct rem_scrape *scrape, const struct row *row)
{
    const struct rem_server_status *server = row->server;

    if (server->checks == 0)
        return;
    rem_metric_count(&scrape->text, row->labels, REM_STR("result=\"passed\""),
                     server->checks - server->check_fails);
    rem_metric_count(&scrape->text, row->labels, REM_STR("result=\"failed\""), server->check_fails);
}

/* Kept where servers are chosen by it. */
static void put_latency(struct rem_scrape *scrape, const struct row *row)
{
    if (row->server->header_avg != 0)
        rem_metric_ms(&scrape->text, row->labels, row->server->header_avg / 16);
}

static void put_up(struct rem_scrape *scrape, const struct row *row)
{
    rem_metric_gauge(&scrape->text, row->labels, REM_STR(""), row->up);
}

static void put_weight(struct rem_scrape *scrape, const struct row *row)
{
    rem_metric_gauge(&scrape->text, row->labels, REM_STR(""), row->weight);
}

static void put_active(struct rem_scrape *scrape, const struct row *row)
{
    rem_metric_gauge(&scrape->text, row->labels, REM_STR(""),
                     row->server->active > 0 ? row->server->active : 0);
}

#define NUMBER(name, expression)                                                                   \
    static void put_##name(struct rem_scrape *scrape, const struct row *row)                       \
    {                                                                                              \
        rem_metric_count(&scrape->text, row->labels, REM_STR(""), row->server->expression);        \
    }

NUMBER(fails, totals.fails)
NUMBER(ejections, ejections)
NUMBER(sent, totals.sent)
NUMBER(received, totals.received)

#undef NUMBER

static void put_rows(struct rem_scrape *scrape, const struct row *rows, size_t count)
{
    static const struct {
        struct rem_metric_family family;
        void (*put)(struct rem_scrape *scrape, const struct row *row);
    } parts[] = {
        {{"remora_upstream_server_requests_total", REM_METRIC_COUNTER,
          "Responses of a server, by status."},
         put_requests},
        {{"remora_upstream_server_failures_total", REM_METRIC_COUNTER,
          "Failed exchanges with a server."},
         put_fails},
        {{"remora_upstream_server_ejections_total", REM_METRIC_COUNTER,
          "Times a server was put aside as an outlier."},
         put_ejections},
        {{"remora_upstream_server_health_checks_total", REM_METRIC_COUNTER,
          "Health checks of a server, by result."},
         put_checks},
        {{"remora_upstream_server_sent_bytes_total", REM_METRIC_COUNTER, "Bytes sent to a server."},
         put_sent},
        {{"remora_upstream_server_received_bytes_total", REM_METRIC_COUNTER,
          "Bytes received from a server."},
         put_received},
        {{"remora_upstream_server_up", REM_METRIC_GAUGE, "Whether a server takes requests."},
         put_up},
        {{"remora_upstream_server_weight", REM_METRIC_GAUGE, "A server's weight."}, put_weight},
        {{"remora_upstream_server_active_requests", REM_METRIC_GAUGE,
          "Requests a server is answering."},
         put_active},
        {{"remora_upstream_server_latency_ewma_seconds", REM_METRIC_GAUGE,
          "Moving average of the time to a response's head."},
         put_latency},
    };

    for (size_t i = 0; i < REM_COUNT(parts); i++) {
        rem_metric_begin(&scrape->text, &parts[i].family);
        for (size_t k = 0; k < count; k++)
            parts[i].put(scrape, &rows[k]);
    }
}

int rem_scrape_servers(struct rem_scrape *scrape, const struct rem_scrape_upstream *upstreams,
                       size_t count)
{
    struct rem_api *api = scrape->call->api;
    size_t budget = api->max_series / SERIES, all = rows_with(upstreams, count, SIZE_MAX), cap, n;
    struct row *rows, *end;
    int rc;

    if (count > budget)
        count = budget;
    cap = find_cap(upstreams, count, budget);
    n = rows_with(upstreams, count, cap);
    rows = rem_arena_zalloc(scrape->arena, (n + 1) * sizeof(*rows));
    end = rows;
    rc = rows != NULL ? 0 : rem_call_fault(scrape->call, REM_ENOMEM, NULL);

    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = fill_rows(scrape, &upstreams[i], cap, &end);
    if (rc != 0)
        return rc;
    if (all > n)
        rem_api_count_dropped(&api->counts, api->region->header, (all - n) * SERIES);
    put_rows(scrape, rows, (size_t)(end - rows));
    return 0;
}
