/* SPDX-License-Identifier: Apache-2.0 */
/* http_conf.h - loads an http block for the tests of the configuration: the real modules but those
 * of the main level and the upstreams. */
#ifndef REM_TESTS_HTTP_CONF_H
#define REM_TESTS_HTTP_CONF_H

#include "proxy/http/core.h"
#include "proxy/net/setup.h"
#include "tests/unit/proxy/conf/helper.h"

extern struct rem_module rem_log_module;
extern struct rem_module rem_rewrite_module;
extern struct rem_module rem_try_files_module;
extern struct rem_module rem_index_module;
extern struct rem_module rem_static_module;
extern struct rem_module rem_headers_module;

struct rem_module *const rem_modules[] = {
    &rem_http_module,    &rem_http_core_module, &rem_log_module,
    &rem_rewrite_module, &rem_try_files_module, &rem_index_module,
    &rem_static_module,  &rem_headers_module,   NULL,
};

struct http_conf {
    struct rem_arena arena;
    struct rem_setup setup;
    struct rem_log log;
    struct rem_conf_cycle *cycle;
    struct rem_http_main_conf *http;
};

static struct http_conf hc;

/* Loads "http { TEXT }"; on failure hc.cycle is NULL and reported() says why. */
static inline int http_load(const char *text)
{
    struct rem_sbuf sb;
    int rc;

    memset(&hc, 0, sizeof(hc));
    rem_arena_init(&hc.arena, NULL);
    hc.setup.arena = &hc.arena;
    hc.setup.log = &hc.log;
    hc.setup.prefix = rem_str_from(test_dir);
    rem_list_init(&hc.setup.listeners);
    rem_sbuf_init(&sb);
    rem_sbuf_addf(&sb, "http { %s\n}\n", text);
    rem_sbuf_addc(&sb, '\0');
    write_file("c.conf", sb.p);
    rem_sbuf_fini(&sb);
    rc = load_file(rem_modules, REM_COUNT(rem_modules) - 1, "", &hc.setup, &hc.cycle);
    if (rc == 0)
        hc.http = rem_conf_cycle_main(hc.cycle, &rem_http_core_module);
    return rc;
}

static inline void http_unload(void)
{
    rem_conf_free(hc.cycle);
    rem_arena_reset(&hc.arena);
}

static inline const struct rem_http_server_conf *http_server(uint32_t i)
{
    return REM_ARRAY_OF(&hc.http->servers, struct rem_http_server_conf *)[i];
}

/* An evaluation without a request: enough for captures. */
static inline struct rem_eval http_eval(void)
{
    return (struct rem_eval){
        .arena = &hc.arena,
        .vars = hc.http->vars,
        .cache = rem_arena_zalloc(&hc.arena, (rem_vars_count(hc.http->vars) + 1) *
                                                 sizeof(struct rem_var_value)),
    };
}

#endif
