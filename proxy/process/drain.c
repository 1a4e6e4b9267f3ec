/* SPDX-License-Identifier: Apache-2.0 */
/* The way out in good order, as the API or SIGTERM (drain_on_term) ask for it: see
 * proto/shm/drain.h.  The workers' share is what QUIT means to them. */
#include "proxy/process/master.h"

#include <stdio.h>
#include <time.h>

static void tell(struct rem_master *m)
{
    struct rem_msg msg = {.kind = REM_MSG_DRAINING, .drain = m->drain};

    rem_agent_tell(m, &msg);
}

/* Milliseconds until `at_ms`; 0: it is past. */
static int left(uint64_t at_ms)
{
    uint64_t now = rem_mono_ms();

    return at_ms > now ? (int)(at_ms - now) : 0;
}

static void log_times(const struct rem_master *m)
{
    char end[64] = "";

    if (m->drain.deadline_ms != 0)
        snprintf(end, sizeof(end), ", ending within %d ms", left(m->drain.deadline_ms));
    if (m->drain.phase == REM_DRAIN_ANNOUNCED)
        REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "draining: accepting for %d ms more%s",
                left(m->drain.close_at_ms), end);
    else
        REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "draining: closing%s", end);
}

void rem_drain_begin(struct rem_master *m, uint32_t delay_ms, uint32_t timeout_ms)
{
    if (!rem_drain_announce(&m->drain, rem_mono_ms(), time(NULL), delay_ms, timeout_ms))
        return;
    log_times(m);
    tell(m);
}

void rem_drain_on_term(struct rem_master *m)
{
    const struct rem_admin_spec *spec = &m->gen->setup.admin_spec;

    if (!spec->drain_on_term || !m->serving || m->term_seen) {
        m->signals.stop = true;
        return;
    }
    m->term_seen = true;
    /* One that is under way may be brought forward by this, and a QUIT gets a deadline. */
    rem_drain_begin(m, spec->drain_delay_ms, spec->drain_timeout_ms);
}

int rem_drain_wait(const struct rem_master *m)
{
    return m->drain.phase == REM_DRAIN_ANNOUNCED ? left(m->drain.close_at_ms) : -1;
}

bool rem_drain_is_due(const struct rem_master *m)
{
    return rem_drain_wait(m) == 0;
}

void rem_drain_enter_closing(struct rem_master *m)
{
    rem_drain_close(&m->drain, rem_mono_ms(), time(NULL));
    tell(m);
}

int rem_drain_deadline(const struct rem_master *m)
{
    return m->drain.deadline_ms != 0 ? left(m->drain.deadline_ms) : -1;
}

bool rem_drain_refuses(const struct rem_master *m, const char *what)
{
    if (m->drain.phase == REM_DRAIN_NONE)
        return false;
    REM_LOG(rem_master_log(m), REM_LOG_WARN, 0, "draining: %s is ignored", what);
    return true;
}
