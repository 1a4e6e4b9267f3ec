/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/status_zone.h"

#include "proto/shm/stat.h"
#include "proxy/http/core.h"
#include "proxy/net/setup.h"

/* ---- configuration ---- */

static int declare(struct rem_conf *cf, enum rem_stat_kind kind, struct rem_str name,
                   struct rem_stat_spec **out)
{
    struct rem_setup *setup = cf->user;
    int rc = rem_stat_declare(&setup->stats, cf->arena, kind, name, out);

    if (rc == REM_EINVAL)
        return rem_conf_error(cf, "invalid name of a status zone \"%.*s\"", REM_STR_ARG(name));
    return rc == REM_OK ? 0 : rem_conf_nomem(cf);
}

int rem_status_zone_set_server(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_server_conf *server = conf;

    (void)d;
    if (server->zone_set)
        return rem_conf_duplicate(cf);
    server->zone_set = true;
    if (rem_str_is(cf->args[1], "off"))
        return 0;
    return declare(cf, REM_STAT_SERVER, cf->args[1], &server->zone);
}

int rem_status_zone_set_location(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = conf;

    (void)d;
    if (location->zone_set)
        return rem_conf_duplicate(cf);
    location->zone_set = true;
    if (rem_str_is(cf->args[1], "off"))
        return 0;
    return declare(cf, REM_STAT_LOCATION, cf->args[1], &location->zone);
}

int rem_status_zone_default(struct rem_conf *cf, struct rem_http_server_conf *server)
{
    if (server->zone != NULL)
        return 0;
    return declare(cf, REM_STAT_UNNAMED, REM_STR("servers"), &server->zone);
}

/* ---- counting: relaxed, each counter stands alone ---- */

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void begin_on(struct rem_stat_http_line *line)
{
    atomic_fetch_add_explicit(&line->processing, 1, memory_order_relaxed);
    add(&line->requests, 1);
}

static void end_on(struct rem_stat_http_line *line, const struct rem_request *request, uint64_t ms)
{
    unsigned status = (unsigned)request->response.status;

    if (!request->response.head_sent || status < 100 || status >= 600) {
        add(&line->discarded, 1);
    } else {
        add(&line->responses[status / 100 - 1], 1);
        rem_codes_count(line->codes, REM_STAT_CODE_LINES, status);
    }
    add(&line->received, request->received);
    add(&line->sent, request->sent);
    rem_histogram_count(&line->duration, ms);
}

static struct rem_stat_http_line *server_line(const struct rem_request *request)
{
    const struct rem_stat_spec *zone = request->server->zone;

    return zone != NULL ? zone->line : NULL;
}

void rem_status_zone_begin(struct rem_request *request)
{
    struct rem_stat_http_line *line = server_line(request);

    if (line != NULL)
        begin_on(line);
}

void rem_status_zone_end(struct rem_request *request)
{
    const struct rem_stat_spec *zone = rem_core_location(request)->zone;
    uint64_t ms = request->worker->loop.clock.mono_ms - request->start_ms;
    struct rem_stat_http_line *line = server_line(request);

    if (line != NULL) {
        atomic_fetch_sub_explicit(&line->processing, 1, memory_order_relaxed);
        end_on(line, request, ms);
    }
    line = zone != NULL ? zone->line : NULL;
    if (line != NULL) {
        add(&line->requests, 1);
        end_on(line, request, ms);
    }
}
