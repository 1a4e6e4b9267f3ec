/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/rate.h"

#include "proto/base/err.h"
#include "proxy/conf/set.h"

enum { PORTIONS = 4 /* a second */, ELAPSED_MAX = 1 << 22 /* s: so that nothing overflows */ };

uint64_t rem_rate_room(const struct rem_rate *rate, uint64_t sent, uint64_t queued, uint64_t now_ms,
                       uint64_t *delay_ms)
{
    uint64_t limit = rate->limit, elapsed = now_ms - rate->start_ms;
    uint64_t portion = limit / PORTIONS + 1, allowed;

    *delay_ms = 0;
    if (limit == 0 || now_ms < rate->start_ms || elapsed / 1000 > ELAPSED_MAX)
        return UINT64_MAX;
    allowed = limit + elapsed / 1000 * limit + elapsed % 1000 * limit / 1000;
    allowed = allowed < UINT64_MAX - rate->after ? allowed + rate->after : UINT64_MAX;
    if (portion > queued)
        portion = queued != 0 ? queued : 1;
    if (allowed >= sent && allowed - sent >= portion)
        return allowed - sent;
    *delay_ms = (sent + portion - allowed) * 1000 / limit + 1;
    return 0;
}

void rem_rate_set(struct rem_rate *rate, uint64_t limit)
{
    rate->limit = limit < REM_RATE_MAX ? limit : REM_RATE_MAX;
    rate->limit_set = true;
}

int rem_rate_parse(struct rem_str text, uint64_t *out)
{
    size_t size;
    int rc = rem_conf_parse_size(text, &size);

    if (rc == 0)
        *out = size;
    return rc;
}
