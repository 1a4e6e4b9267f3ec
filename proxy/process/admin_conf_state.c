/* SPDX-License-Identifier: Apache-2.0 */
/* admin_conf_state.c - `admin { state DIR; }`: where the agent keeps what was changed at run time.
 *
 * Failure:    a file of a newer remora is refused, at a test as at a start: whoever goes back to an
 *             older one decides whether its changes may be lost, and moves the file away.  One that
 *             is broken keeps nobody from starting; the agent puts it aside.  */
#include "proto/shm/state_mark.h"
#include "proxy/process/admin_conf.h"

enum { HEAD = 4096 };

static int check_version(struct rem_conf *cf, const char *path)
{
    struct rem_sbuf text;
    unsigned version = 0;
    int rc;

    rem_sbuf_init(&text);
    rc = rem_state_file_read(path, HEAD, &text);
    if (rc == REM_OK || rc == REM_ETOOBIG)
        version = rem_state_version(rem_sbuf_str(&text));
    rem_sbuf_fini(&text);
    if (version <= REM_STATE_VERSION)
        return REM_OK;
    return rem_conf_error(cf,
                          "state file \"%s\" has version %u, and this remora knows %d: it was "
                          "written by a newer one; run that one, or move the file away to start "
                          "without what was changed at run time",
                          path, version, REM_STATE_VERSION);
}

int rem_admin_set_state(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct rem_str dir = cf->args[1], file;
    int rc;

    (void)d;
    (void)conf;
    if (setup->admin_state != NULL)
        return rem_conf_duplicate(cf);
    while (dir.n > 1 && dir.p[dir.n - 1] == '/')
        dir.n--;
    if (dir.n == 0)
        return rem_conf_invalid_arg(cf, cf->args[1]);
    dir = rem_arena_dup(cf->arena, dir);
    if (dir.p != NULL)
        dir = rem_conf_path(cf, dir, REM_BASE_PREFIX);
    if (dir.p == NULL)
        return rem_conf_nomem(cf);
    file = rem_arena_printf(cf->arena, "%s/" REM_STATE_NAME, dir.p);
    rc = file.p != NULL ? rem_setup_add_written_dir(cf, dir) : rem_conf_nomem(cf);
    if (rc != 0)
        return rc;
    setup->admin_state = file.p;
    return check_version(cf, file.p);
}
