/* SPDX-License-Identifier: Apache-2.0 */
/* store_priv.h - what the files of the store share.
 *
 * Files:      store.c keeps the texts and the file, store_merge.c reads it at a start,
 *             store_explain.c shows.  */
#ifndef REM_AGENT_STORE_PRIV_H
#define REM_AGENT_STORE_PRIV_H

#include "agent/store.h"

enum rem_store_source {
    REM_STORE_HIDDEN = 0, /* made for an address in proxy_pass, or kept for old workers */
    REM_STORE_CONF,       /* as the configuration says */
    REM_STORE_CHANGED,    /* the configuration's, changed at run time */
    REM_STORE_RUNTIME,    /* made at run time */
    REM_STORE_FILE,       /* has a state file of its own */
};

/* The configuration's upstream of that name; NULL: it has none. */
const struct rem_upstream_spec *rem_store_conf_of(const struct rem_store *store,
                                                  struct rem_str name);

/* The configuration's table; NULL: it has none. */
const struct rem_table_spec *rem_store_table_of(const struct rem_store *store,
                                                enum rem_table_kind kind, struct rem_str name);

/* "keyval", "split", "names". */
const char *rem_store_table_kind(enum rem_table_kind kind);

/* What a table of the registry is. */
enum rem_store_source rem_store_table_source(const struct rem_store *store,
                                             const struct rem_table *now);

/* What an upstream of the registry is; `conf` is the configuration's, or NULL. */
enum rem_store_source rem_store_source(const struct rem_upstream_spec *conf,
                                       const struct rem_upstream_spec *now);

#endif
