/* SPDX-License-Identifier: Apache-2.0 */
/* spec.h - upstreams and servers as plain descriptions in private memory.
 *
 * The configuration and the admin API describe upstreams with these; the registry writer turns
 * them into sets and reads sets back into them.
 * Ownership:  all strings are borrowed; whoever makes a spec says how long they live.  */
#ifndef REM_SHM_SPEC_H
#define REM_SHM_SPEC_H

#include "proto/base/addr.h"
#include "proto/base/arena.h"
#include "proto/base/str.h"
#include "proto/shm/limits.h"

struct rem_dns_spec;

/* Of a server that has no id yet: the writer keeps the id of the server with the same address,
 * or gives the next one. */
#define REM_ID_NONE UINT32_MAX

enum rem_server_flag {
    REM_SERVER_BACKUP = 1 << 0,
    REM_SERVER_DOWN = 1 << 1,
    REM_SERVER_DRAIN = 1 << 2,
};

enum {
    REM_SERVER_WEIGHT_MAX = 65535,
    REM_UPSTREAM_NAME_MAX = 255,
    REM_UPSTREAM_SERVERS_MAX = 1 << 20,
};

struct rem_server_spec {
    struct rem_str server; /* as shown: "127.0.0.1:8001"; empty: the address's own text */
    struct rem_str name;   /* as given in the configuration: "backend:8001"; empty: as `server` */
    struct rem_addr addr;  /* what is connected to, and what makes two servers the same one */
    struct rem_str route;
    struct rem_str fail_timeout_text; /* the caller's spelling ("1m"); empty: made from the ms */
    struct rem_str slow_start_text;
    uint32_t id;
    uint32_t weight;    /* 1..REM_SERVER_WEIGHT_MAX */
    uint32_t max_conns; /* 0: no limit */
    uint32_t max_fails; /* 0: never marked unavailable */
    uint32_t fail_timeout_ms;
    uint32_t slow_start_ms;
    uint32_t flags;  /* enum rem_server_flag */
    uint32_t parent; /* 1 + index of the rem_resolve_spec it was made from; 0: none */
    /* Of a name in the API (api/names.h), never in the registry: what SRV records are asked for. */
    struct rem_str service;
};

/* weight=1 max_conns=0 max_fails=1 fail_timeout=10s, no id. */
void rem_server_spec_init(struct rem_server_spec *spec);

enum rem_upstream_flag {
    REM_UPSTREAM_STATIC = 1 << 0,    /* no `zone`: the API must not change it */
    REM_UPSTREAM_IMPLICIT = 1 << 1,  /* made for a proxy_pass to an address, not shown */
    REM_UPSTREAM_RUNTIME = 1 << 2,   /* made through the API, in no configuration file */
    REM_UPSTREAM_ORPHAN = 1 << 3,    /* gone from the configuration, kept for older workers;
                                        set by the writer alone */
    REM_UPSTREAM_STATE = 1 << 4,     /* its servers are kept in a state file */
    REM_UPSTREAM_MANDATORY = 1 << 5, /* new servers get no request before a check has passed */
};

enum rem_balance_method {
    REM_BALANCE_ROUND_ROBIN = 0,
    REM_BALANCE_LEAST_CONN,
    REM_BALANCE_LEAST_TIME,
    REM_BALANCE_RANDOM,
    REM_BALANCE_IP_HASH,
    REM_BALANCE_HASH,
    REM_BALANCE_HASH_CONSISTENT,
    REM_BALANCE_METHODS,
};

enum rem_method_flag {
    REM_METHOD_LAST_BYTE = 1 << 0, /* time until the last byte, not the header */
    REM_METHOD_INFLIGHT = 1 << 1,  /* open requests count for as long as they have lasted */
    REM_METHOD_TWO = 1 << 2,       /* random: the better of two */
    REM_METHOD_BY_TIME = 1 << 3,   /* the better one by time, not by connections */
};

/* Do backup servers go with the method?  And a slow start: a client whose server is chosen by a
 * hash must not be sent elsewhere for it. */
static inline bool rem_balance_has_backups(uint32_t method)
{
    return method <= REM_BALANCE_LEAST_TIME;
}

static inline bool rem_balance_has_slow_start(uint32_t method)
{
    return rem_balance_has_backups(method);
}

/* What identifies a server to a client that is to stay with it. */
enum rem_sticky_kind {
    REM_STICKY_NONE = 0,
    REM_STICKY_ROUTE,  /* the `route` parameter */
    REM_STICKY_ANYWAY, /* the `route` parameter, or else a digest of the address */
};

enum { REM_STICKY_ID = 32 };

/* A server whose addresses are found by asking DNS again and again. */
struct rem_resolve_spec {
    struct rem_server_spec server; /* what each address gets; no address of its own */
    struct rem_str host;           /* the name to ask for */
    struct rem_str service;        /* with all labels, "_http._tcp.example.net"; empty: none */
    uint16_t port;                 /* without a service */
    const struct rem_dns_spec *resolver; /* proto/dns/dns.h; borrowed */
    uint64_t timeout_ms;
};

/* What was found in a state file. */
enum rem_state_flag {
    REM_STATE_EDITED = 1 << 0, /* a text that is not the agent's: it goes before what is running */
    REM_STATE_BROKEN = 1 << 1, /* partly unreadable: kept aside when it is written again */
};

struct rem_keepalive_spec {
    uint32_t connections; /* idle ones kept per worker; 0: none */
    uint32_t requests;    /* per connection */
    uint32_t timeout_ms;  /* idle */
    uint32_t time_ms;     /* age at which a connection is no longer reused */
};

struct rem_upstream_spec {
    struct rem_str name;
    struct rem_str zone; /* empty with REM_UPSTREAM_STATIC */
    uint64_t zone_size;
    uint64_t config_hash; /* of the block in the configuration; decides what a reload keeps */
    uint32_t flags;       /* enum rem_upstream_flag */
    uint32_t method;      /* enum rem_balance_method */
    struct rem_keepalive_spec keepalive;
    struct rem_server_spec *servers; /* borrowed array, in the order shown */
    size_t server_count;
    uint32_t method_flags; /* enum rem_method_flag */
    uint32_t sticky;       /* enum rem_sticky_kind */
    struct rem_limits_spec limits;
    struct rem_outlier_spec outlier;
    /* For the agent alone, never in the registry; NULL in what is read back from there. */
    const struct rem_resolve_spec *resolves;
    size_t resolve_count;
    struct rem_str state; /* path, NUL-terminated, with REM_UPSTREAM_STATE; for the agent alone */
    uint32_t state_flags; /* enum rem_state_flag */
    const struct rem_dns_spec *resolver; /* for names given at run time; NULL: none; likewise */
    uint64_t resolver_timeout_ms;
    uint32_t queue; /* requests of a worker that may wait for a server; likewise */
};

/* A deep copy whose strings and servers live in `arena`.  Errors: REM_ENOMEM. */
int rem_upstream_spec_copy(struct rem_arena *arena, const struct rem_upstream_spec *from,
                           struct rem_upstream_spec *to) REM_MUST_CHECK;
int rem_server_spec_copy(struct rem_arena *arena, const struct rem_server_spec *from,
                         struct rem_server_spec *to) REM_MUST_CHECK;

/* The name SRV records are asked for under: "http" of example.net is _http._tcp.example.net.
 * .p is NULL without memory. */
struct rem_str rem_spec_service_name(struct rem_arena *arena, struct rem_str service,
                                     struct rem_str host);

/* The text of a duration: "10s" for whole seconds, else "1500ms"; returns its length. */
size_t rem_spec_duration_text(uint32_t ms, char *buf, size_t size);

#endif
