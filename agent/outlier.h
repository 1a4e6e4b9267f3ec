/* SPDX-License-Identifier: Apache-2.0 */
/* outlier.h - success rates of servers, compared with each other (`outlier_detection`).
 *
 * Runs in:    agent.
 * What:       once an interval, of the servers that were asked often enough in it, those far below
 *             the mean are ejected; what ejections are over is ended, for those that no request
 *             comes to; and workers' ejections are told.
 * Idle cost:  one look after publishes; one a second while an upstream has outlier_detection.
 * Not here:   failures in a row (proxy/upstream/outlier.h), which workers count.  */
#ifndef REM_AGENT_OUTLIER_H
#define REM_AGENT_OUTLIER_H

#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/shm/writer.h"

struct event_base;
struct event;
struct rem_outlier_table;

/* What has happened to a server since the last look. */
struct rem_outlier_news {
    struct rem_str upstream, server; /* borrowed */
    bool ejected;                    /* or let in again */
    bool by_rate;                    /* and why: its success rate, or failures in a row */
    uint64_t until_ms;               /* with `ejected`: from now on */
};

struct rem_outliers {
    struct rem_writer *writer; /* borrowed, as the rest; filled in by the user */
    const struct rem_log *log;
    struct rem_clock *clock;
    void (*on_news)(void *data, const struct rem_outlier_news *news);
    void *data;

    struct event *timer;
    struct rem_outlier_table *table; /* owned */
    uint64_t epoch;                  /* of the registry when the timer was last thought about */
    bool looked;                     /* what is met from now on is news */
};

/* Looks for the first time.  Errors: REM_ENOMEM. */
int rem_outliers_start(struct rem_outliers *outliers, struct event_base *base) REM_MUST_CHECK;
void rem_outliers_stop(struct rem_outliers *outliers);

/* After a publish: a look in a while, and on from there if there is something to look at. */
void rem_outliers_sync(struct rem_outliers *outliers);

/* Looks once, as the timer does.  Returns: whether any upstream has outlier_detection. */
bool rem_outliers_look(struct rem_outliers *outliers);

/* ---- for tests: which of `count` rates (0 to 1) are too low ---- */

/* The threshold: the mean less `factor` thousandths of the standard deviation. */
double rem_outlier_threshold(const double *rates, size_t count, uint32_t factor);

#endif
