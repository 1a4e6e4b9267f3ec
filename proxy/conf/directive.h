/* SPDX-License-Identifier: Apache-2.0 */
/* directive.h - finding a directive and checking its use; inside proxy/conf only. */
#ifndef REM_CONF_DIRECTIVE_H
#define REM_CONF_DIRECTIVE_H

#include "proxy/conf/load.h"
#include "proxy/conf/parser.h"
#include "proxy/conf/strmap.h"

/* Fills the table with the directives of all modules, and include.  Errors: REM_ENOMEM. */
int rem_directive_index(struct rem_strmap *table, struct rem_arena *arena,
                        struct rem_module *const *modules, size_t n) REM_MUST_CHECK;

/* Runs the statement in cf->args, which ended so. */
int rem_directive_run(struct rem_conf *cf, enum rem_parser_end end) REM_MUST_CHECK;

#endif
