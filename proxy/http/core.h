/* SPDX-License-Identifier: Apache-2.0 */
/* core.h - the configuration of http, server and location blocks, and how a request finds its own.
 *
 * Runs in:    filled while a configuration is read; workers only read it.
 * Ownership:  everything lives in the configuration's arena.
 * Lookup:     listener -> address (rem_core_address) -> server by host (rem_core_find_server) ->
 *             location by URI (rem_core_find_location).
 * Not here:   executing any of it: error pages (special.c), bodies (body.c), keep-alive
 *             (h1_server.c).  */
#ifndef REM_HTTP_CORE_H
#define REM_HTTP_CORE_H

#include "proxy/conf/array.h"
#include "proxy/conf/capture.h"
#include "proxy/conf/merge.h"
#include "proxy/conf/strmap.h"
#include "proxy/http/http.h"
#include "proxy/net/listener.h"

struct rem_http_names;
struct rem_http_locations;
struct rem_http_server_conf;
struct rem_phase_engine;
struct rem_stat_spec;

/* The module `http` (main level), and the one that owns the three structs below. */
extern struct rem_module rem_http_module;
extern struct rem_module rem_http_core_module;

/* One address that servers listen on, with the servers that do. */
struct rem_http_address {
    struct rem_addr addr;
    struct rem_str text;                         /* "0.0.0.0:80", as messages name it */
    const struct rem_http_server_conf *fallback; /* default_server, or the first */
    const struct rem_http_names *names;          /* NULL: only one nameless server */
    bool proxy_protocol;                         /* connections begin with a header of that */
};

/* What rem_listener.data points at: the addresses served by one socket.  A socket on a wildcard
 * address also serves the specific addresses of its port; `addresses[n - 1]` is the wildcard then,
 * and which one a connection is for, its local address says. */
struct rem_http_port {
    struct rem_http_address **addresses;
    uint32_t n;
};

/* http { } */
struct rem_http_main_conf {
    struct rem_array servers; /* of struct rem_http_server_conf *, in the order of the file */
    struct rem_http_listens *listens; /* core_listen.h; while reading */
    struct rem_conf_ctx *ctx;
    const struct rem_vars *vars;
    bool shows_body;                                /* $request_body is mentioned somewhere, */
    bool shows_body_file;                           /* and $request_body_file */
    uint32_t n_modules;                             /* entries of a request's module_ctx */
    const struct rem_phase_engine *phases;          /* made by rem_phase_compile */
    const struct rem_header_filter *header_filters; /* first to run first; last: the codec's */
    const struct rem_body_filter *body_filters;
};

/* server { } */
struct rem_http_server_conf {
    struct rem_conf_ctx *ctx; /* main, server, location: a request's *_conf */
    struct rem_http_main_conf *http;
    struct rem_str name;     /* the first server_name; $server_name */
    struct rem_array names;  /* of struct rem_http_server_name (core_names.h) */
    struct rem_strmap named; /* "@x" -> struct rem_http_location_conf * */
    struct rem_conf_pos pos;
    bool listens;                                     /* has a listen directive of its own */
    size_t client_header_buffer_size;                 /* 1k */
    struct rem_conf_bufs large_client_header_buffers; /* 4 8k */
    int64_t client_header_timeout;                    /* ms, 60 s */
    int ignore_invalid_headers;
    int underscores_in_headers;
    int merge_slashes;
    int64_t max_headers;         /* 1000 */
    struct rem_h1_limits limits; /* made of the above */
    struct rem_stat_spec *zone;  /* status_zone.h; never NULL after merging */
    bool zone_set;
};

enum rem_http_lingering { REM_LINGERING_OFF = 0, REM_LINGERING_ON, REM_LINGERING_ALWAYS };
enum rem_http_tokens { REM_TOKENS_OFF = 0, REM_TOKENS_ON, REM_TOKENS_BUILD };
enum rem_http_satisfy { REM_SATISFY_ALL = 0, REM_SATISFY_ANY };
enum rem_http_ims { REM_IMS_OFF = 0, REM_IMS_EXACT, REM_IMS_BEFORE };
enum rem_http_in_file { REM_IN_FILE_OFF = 0, REM_IN_FILE_ON, REM_IN_FILE_CLEAN };
/* keepalive_disable, bits */
enum rem_http_no_keepalive {
    REM_NO_KEEPALIVE_NONE = 1 << 0,
    REM_NO_KEEPALIVE_MSIE6 = 1 << 1,
    REM_NO_KEEPALIVE_SAFARI = 1 << 2,
};

/* error_page CODE... [=[CODE]] TO: one element per CODE. */
struct rem_http_error_page {
    int status;    /* the one it is for */
    int overwrite; /* -1: the original status stays; 0 ("="): what the page answers; else this */
    struct rem_value to; /* "/uri?args" (internal redirect), "@named", or a URL (redirect: with
                            `overwrite` 301, 302, 303, 307 or 308, else 302) */
};

/* location { }, and every level above it */
struct rem_http_location_conf {
    /* what it is */
    struct rem_str name; /* "/x/", "@named", the pattern of a regex; empty: a server's own */
    void **conf;         /* becomes a request's location_conf */
    const struct rem_http_server_conf *server; /* NULL at http level */
    struct rem_http_locations *locations;      /* nested in it; NULL: none */
    struct rem_conf_pos pos;
    struct rem_array *nested;  /* of struct rem_http_location_conf * */
    struct rem_capture *regex; /* NULL: not a regex */
    bool exact, noregex, named;
    bool block;         /* an `if` or limit_except: its name is that of the location around it */
    bool auto_redirect; /* "/x" is answered with 301 to "/x/" */
    int (*handler)(struct rem_request *request); /* content handler; NULL: the content phase */

    /* files */
    struct rem_value *root; /* absolute or with variables; NULL: the prefix's html */
    /* Leading bytes of the URI that `root` replaces (alias); 0: root precedes the URI; SIZE_MAX:
     * root is the whole path (alias in a regex location). */
    size_t alias;
    bool root_set; /* here, not inherited */
    struct rem_str default_type;
    struct rem_strmap *types; /* extension -> struct rem_str * */

    /* errors */
    struct rem_array *error_pages; /* of struct rem_http_error_page; NULL: none */
    int recursive_error_pages;
    const struct rem_value
        *json_errors;           /* pages of our own are JSON, with this as their request_id */
    struct rem_str post_action; /* URI or "@named"; empty: none */
    int log_not_found;
    int log_subrequest;
    struct rem_log *log; /* never NULL after merging */

    /* request bodies */
    int64_t client_max_body_size; /* 0: no limit */
    size_t client_body_buffer_size;
    int64_t client_body_timeout;          /* ms */
    int client_body_in_file_only;         /* enum rem_http_in_file */
    struct rem_str client_body_temp_path; /* absolute */

    /* the connection */
    int64_t send_timeout;       /* ms */
    int64_t keepalive_timeout;  /* ms; 0: no keep-alive */
    int64_t keepalive_header;   /* seconds in "Keep-Alive: timeout="; 0: no such field */
    int64_t keepalive_requests; /* 1000 */
    int64_t keepalive_time;     /* ms, 1 h */
    uint32_t keepalive_disable; /* enum rem_http_no_keepalive */
    int lingering_close;        /* enum rem_http_lingering */
    int64_t lingering_time;     /* ms */
    int64_t lingering_timeout;  /* ms */
    int reset_timedout_connection;
    int sendfile;
    size_t sendfile_max_chunk; /* 0: no limit; default 2m */
    int tcp_nopush;
    int tcp_nodelay;
    size_t postpone_output;
    struct rem_conf_bufs output_buffers; /* of which the size counts: a file's bytes at a time */

    /* responses */
    int server_tokens; /* enum rem_http_tokens */
    int etag;
    int if_modified_since; /* enum rem_http_ims */
    int chunked_transfer_encoding;
    int absolute_redirect;
    int port_in_redirect;
    int server_name_in_redirect;

    /* access */
    int satisfy; /* enum rem_http_satisfy */
    bool internal;
    int64_t auth_delay; /* ms before a 401 of the access phase */

    struct rem_stat_spec *zone; /* status_zone.h; NULL: none */
    bool zone_set;              /* here, be it `off` */
};

static inline struct rem_http_main_conf *rem_core_main(const struct rem_request *request)
{
    return request->main_conf[rem_http_core_module.index];
}

static inline struct rem_http_server_conf *rem_core_server(const struct rem_request *request)
{
    return request->server_conf[rem_http_core_module.index];
}

static inline struct rem_http_location_conf *rem_core_location(const struct rem_request *request)
{
    return request->location_conf[rem_http_core_module.index];
}

/* The address an accepted connection is for; asks the kernel only where a socket serves several.
 * Never NULL. */
const struct rem_http_address *rem_core_address(const struct rem_listener *listener, int fd);

/* The server for `host` (lower case, without port; may be empty) or the address's fallback.  A
 * regex name leaves its captures in `eval` (may be NULL: regex names are not asked then).
 * Errors: REM_ENOMEM, REM_ETOOBIG (the regex's match limit). */
int rem_core_find_server(const struct rem_http_address *address, struct rem_str host,
                         struct rem_eval *eval,
                         const struct rem_http_server_conf **out) REM_MUST_CHECK;

/* Makes `server` the request's: main_conf, server_conf, location_conf, server, log. */
void rem_core_use_server(struct rem_request *request, const struct rem_http_server_conf *server);

/* Makes `location` the request's: location_conf, content handler, log. */
void rem_core_use_location(struct rem_request *request,
                           const struct rem_http_location_conf *location);

/* A block inside a location (if, limit_except) applies: what it says holds from now on, but content
 * comes from the location where the block has none of its own. */
void rem_core_use_block(struct rem_request *request, const struct rem_http_location_conf *block);

/* How rem_core_find_location ended. */
enum rem_core_found {
    REM_CORE_FOUND = 0,
    REM_CORE_REDIRECT, /* the location has auto_redirect and the URI lacks its last slash */
};

/* The location of server's tree for `uri`; the server's own where none fits.  A regex leaves its
 * captures in `eval`.  Returns: enum rem_core_found; negative: REM_ENOMEM, REM_ETOOBIG. */
int rem_core_find_location(const struct rem_http_server_conf *server, struct rem_str uri,
                           struct rem_eval *eval,
                           const struct rem_http_location_conf **out) REM_MUST_CHECK;

/* "@name" of a server, or NULL. */
const struct rem_http_location_conf *rem_core_find_named(const struct rem_http_server_conf *server,
                                                         struct rem_str name);

/* The find-config phase: finds and uses the location for request->uri, and checks what a location
 * says before anything else: `internal` (404), client_max_body_size (413), the redirect to a last
 * slash (301, with Location set).  Returns: REM_HTTP_OK or a status. */
int rem_core_find_config(struct rem_request *request);

/* Directives that give a location its content (proxy_pass): sets the handler, and auto_redirect
 * where the location's name ends in "/". */
void rem_core_set_handler(struct rem_conf *cf, int (*handler)(struct rem_request *request));

/* Directives of a location that open a block (if, limit_except): makes its structs, which inherit
 * from those of the current location.  Errors: REM_ENOMEM (reported). */
int rem_core_new_block(struct rem_conf *cf, struct rem_conf_ctx **out) REM_MUST_CHECK;

/* The path of the file that request->uri names, NUL-terminated behind .n, in the request's arena;
 * *root_size (may be NULL): its leading bytes that are the root.  Errors: as rem_http_value. */
int rem_core_path(struct rem_request *request, struct rem_str *path,
                  size_t *root_size) REM_MUST_CHECK;

/* The same for opening it.  Errors: also REM_EACCES, logged, where the path leads out of the root.
 */
int rem_core_file(struct rem_request *request, struct rem_str *path) REM_MUST_CHECK;

/* Has the request brought a segment ".." into a path?  It would see files that it is not meant to:
 * a normal URI has none, but "location /a { alias /b/; }" makes one of /a../c, and so may a rewrite
 * or a variable.  The path's first `size` bytes are what the configuration's `text` (may be NULL)
 * says: if that is fixed, or has a ".." itself, they are meant.  Logs it. */
bool rem_core_leads_out(struct rem_request *request, struct rem_str path,
                        const struct rem_value *text, size_t size);

/* The type for request->uri's extension, else default_type. */
struct rem_str rem_core_type(const struct rem_request *request);

/* Sets Location for a redirect to `to`: a URL as it is; a path absolute (scheme, host, port) as
 * absolute_redirect, server_name_in_redirect and port_in_redirect say.  Errors: REM_ENOMEM. */
int rem_core_set_location_field(struct rem_request *request, struct rem_str to) REM_MUST_CHECK;

#endif
