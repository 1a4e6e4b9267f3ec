/* SPDX-License-Identifier: Apache-2.0 */
/* api.h - the admin API: answers requests from the registry and stages changes of it.
 *
 * Runs in:    agent.
 * Lifecycle:  init -> per event-loop turn: rem_api_handle for each request, rem_api_publish once
 *             -> fini.
 * Changes:    all that one turn stages is one change of the registry and one publish; each step
 *             sees those before it.  A request whose own steps fail takes back these only.
 *             If-Match compares with the published revision, so what is staged already is
 *             published before such a request is looked at.
 * Not here:   HTTP (see agent/), waiting for workers (see agent/agent.c).  */
#ifndef REM_API_API_H
#define REM_API_API_H

#include "api/count.h"
#include "api/json.h"
#include "proto/base/clock.h"
#include "proto/shm/admin_spec.h"
#include "proto/shm/drain.h"
#include "proto/shm/writer.h"
#include "proto/shm/zone.h"

/* What the master told about this instance. */
struct rem_api_info {
    const char *version;
    const char *build;
    uint64_t config_generation;
    int64_t started_sec;
    int64_t loaded_sec;
    bool last_reload_ok;
    int64_t last_reload_sec;
    pid_t master_pid;
    unsigned workers; /* wanted */
    bool workers_up;  /* were forked at least once */
    bool draining;
    struct rem_drain drain;
    const struct rem_zone *zones; /* of the configuration, opened */
};

struct rem_keyval_spec;

enum { REM_API_SERIES = 2000, REM_API_UPSTREAM_SERIES = 20000 };

struct rem_api {
    const struct rem_region *region; /* borrowed, as the rest */
    struct rem_writer *writer;
    const struct rem_clock *clock;
    bool write;
    const struct rem_admin_spec *spec; /* of the `admin` block; NULL: nothing of it is known */
    /* Asks the master to shut the instance down.  Errors: REM_EIO. */
    int (*drain)(void *data, uint32_t delay_ms, uint32_t timeout_ms);
    void *drain_data;
    uint64_t made_ms; /* monotonic; when the API was made, for `ready_when` */
    bool started;     /* /startupz has said yes: `ready_when` is over */
    struct rem_api_info info;
    const struct rem_keyval_spec *keyvals; /* zones of the configuration, see keyval_ops.h */
    size_t keyval_count;
    struct rem_journal *journal;                /* NULL: nothing is noted */
    uint32_t history;                           /* revisions to show and to go back to */
    unsigned streams;                           /* that are open, as far as the transport knows */
    const struct rem_upstream_spec *configured; /* what the configuration says */
    size_t configured_count;
    struct rem_sbuf causes; /* of the publish to come, see record.h */
    unsigned cause_count;
    struct rem_sbuf record; /* memory for it */

    struct rem_change *change; /* staged in this turn; NULL: nothing */
    uint32_t *by_name;    /* owned; numbers of `configured`, names ascending; made when needed */
    int64_t clocks_apart; /* ms from the monotonic clock to the wall's, but for a jitter */
    bool names;           /* names of servers were staged: the agent is to look at them */
    bool spoiled;         /* it could not be taken back in part: must not be published */
    struct rem_api_counts counts;
    unsigned max_series;          /* of single servers, in one scrape */
    unsigned max_upstream_series; /* of upstreams, likewise */

    /* Set by the agent: for each upstream and table, is the configuration in effect or what was
     * changed at run time, and why; a new object, or NULL without memory. */
    json_t *(*explain)(void *data);
    void *explain_data;
};

/* A request whose change waits for the publish. */
struct rem_api_staged {
    /* Owned; of a /v1 answer, which gets revision and applied; NULL: plain.  The response's body
     * has further members of it as text. */
    json_t *body;
    struct rem_commit commit;
    bool is_change; /* was staged, so that success means a publish */
    uint64_t base;  /* the revision before */
};

enum rem_api_outcome {
    REM_API_DONE = 0, /* the response is complete */
    REM_API_STAGED,   /* it is after rem_api_publish, with rem_api_finish */
    REM_API_FLUSH,    /* publish what is staged, then handle this request again */
};

/* Stored borrows: region, writer and clock outlive the struct.  `write` false: changes are refused.
 */
void rem_api_init(struct rem_api *api, const struct rem_region *region, struct rem_writer *writer,
                  const struct rem_clock *clock, bool write);
void rem_api_fini(struct rem_api *api);

/* The upstream as the configuration has it, servers that are names and all; NULL: it has none. */
const struct rem_upstream_spec *rem_api_conf(struct rem_api *api, struct rem_str name);

/* Answers a request, or stages the change it asks for on api->change.  A request that fails, and a
 * dry run, stage nothing.
 * Borrows:    request until the return; response and staged until rem_api_finish*, where it says
 *             REM_API_STAGED (rem_api_forget, if nobody waits for the answer any more).  */
enum rem_api_outcome rem_api_handle(struct rem_api *api, const struct rem_api_request *request,
                                    struct rem_api_response *response,
                                    struct rem_api_staged *staged);

/* Publishes what the turn staged.  On failure nothing has changed and the staged requests are to
 * be answered with rem_api_finish_failed, or handled again one by one.
 * Errors: REM_EFULL, REM_ENOMEM. */
int rem_api_publish(struct rem_api *api, struct rem_commit *out) REM_MUST_CHECK;

/* Whether the answer of a staged request waits until all workers run what it published. */
static inline bool rem_api_waits(const struct rem_api_staged *staged)
{
    return staged->body != NULL;
}

/* Completes the response of a staged request.  REM_EIO as the error: it is published, but a state
 * file could not be written. */
void rem_api_finish(struct rem_api_staged *staged, bool applied, struct rem_api_response *response);
void rem_api_finish_failed(struct rem_api_staged *staged, const struct rem_api_request *request,
                           int error, struct rem_api_response *response);
/* Without an answer: the client went away. */
void rem_api_forget(struct rem_api_staged *staged);

/* The answer to a request that never became one (bad head, too large...), in the style of its
 * path as far as that is known. */
void rem_api_refuse(const struct rem_api_request *request, int status,
                    struct rem_api_response *response);

#endif
