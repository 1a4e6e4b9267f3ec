/* SPDX-License-Identifier: Apache-2.0 */
/* core_priv.h - what the core_*.c files share with each other only. */
#ifndef REM_HTTP_CORE_PRIV_H
#define REM_HTTP_CORE_PRIV_H

#include "proxy/http/core.h"

/* core_directives.c */
extern const struct rem_directive rem_core_directives[];

/* core_conf.c */
void *rem_core_create_main(struct rem_conf *cf);
void *rem_core_create_server(struct rem_conf *cf);
void *rem_core_create_location(struct rem_conf *cf);
int rem_core_merge_server(struct rem_conf *cf, void *parent, void *child);
int rem_core_merge_location(struct rem_conf *cf, void *parent, void *child);

/* core_block.c */
int rem_core_set_server_block(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_core_set_location_block(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* core_server_name.c */
int rem_core_set_server_name(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_core_name_server(struct rem_conf *cf, struct rem_http_server_conf *server) REM_MUST_CHECK;

/* core_root.c */
int rem_core_set_root(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* core_types.c */
int rem_core_set_types(struct rem_conf *cf, const struct rem_directive *d, void *conf);
struct rem_strmap *rem_core_default_types(struct rem_conf *cf) REM_MUST_CHECK;

/* core_error_page.c */
int rem_core_set_error_page(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* core_vars.c, core_vars_field.c, core_vars_conn.c: each defines its variables. */
int rem_core_add_vars(struct rem_vars *vars) REM_MUST_CHECK;
int rem_core_add_field_vars(struct rem_vars *vars) REM_MUST_CHECK;
int rem_core_add_conn_vars(struct rem_vars *vars) REM_MUST_CHECK;

#endif
