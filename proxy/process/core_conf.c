/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/core_conf.h"

#include "proto/shm/region.h"
#include "proxy/conf/conf.h"
#include "proxy/conf/merge.h"
#include "proxy/conf/set.h"
#include "proxy/net/error_log.h"
#include "proxy/net/setup.h"
#include "proxy/process/cpu_count.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

/* More would leave no worker slots for the workers of a former configuration. */
enum { WORKERS_MAX = 120, WORKERS_AUTO = 0 };

/* What the main level's directives store; moved to the setup when the file has been read. */
struct core_conf {
    int daemon;
    int master_process;
    int64_t worker_processes; /* WORKERS_AUTO */
    int64_t rlimit_nofile;
    int64_t rlimit_core;
    int64_t shutdown_timeout;
    size_t shared_memory;
    int64_t priority;
    struct rem_str pid;
    struct rem_str user;
    struct rem_str working_directory;
    struct rem_log *log;
    uint32_t masks;
};

static void *create_core(struct rem_conf *cf)
{
    struct core_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));
    struct rem_setup *setup = cf->user;

    if (conf == NULL)
        return NULL;
    setup->arena = cf->arena;
    setup->log = rem_arena_zalloc(cf->arena, sizeof(*setup->log));
    if (setup->log == NULL)
        return NULL;
    rem_list_init(&setup->listeners);
    rem_list_init(&setup->admin_listeners);
    conf->daemon = REM_CONF_UNSET;
    conf->master_process = REM_CONF_UNSET;
    conf->worker_processes = REM_CONF_UNSET;
    conf->rlimit_nofile = REM_CONF_UNSET;
    conf->rlimit_core = REM_CONF_UNSET;
    conf->shutdown_timeout = REM_CONF_UNSET;
    conf->shared_memory = REM_CONF_UNSET_SIZE;
    conf->priority = INT64_MIN;
    conf->log = setup->log;
    return conf;
}

static int set_workers(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct core_conf *core = conf;
    int64_t n;

    (void)d;
    if (core->worker_processes != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    if (rem_str_is(cf->args[1], "auto")) {
        core->worker_processes = WORKERS_AUTO;
        return REM_OK;
    }
    if (rem_conf_parse_num(cf->args[1], &n) != REM_OK || n < 1)
        return rem_conf_invalid(cf);
    if (n > WORKERS_MAX)
        return rem_conf_error(cf, "\"worker_processes\" must not exceed %d", WORKERS_MAX);
    core->worker_processes = n;
    return REM_OK;
}

static int set_user(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct core_conf *core = conf;
    const struct passwd *pw;
    const struct group *gr;

    (void)d;
    if (core->user.p != NULL)
        return rem_conf_duplicate(cf);
    core->user = cf->args[1];
    if (geteuid() != 0) {
        rem_conf_warn(cf, "the \"user\" directive makes sense only if the master process runs "
                          "with super-user privileges, ignored");
        return REM_OK;
    }
    pw = getpwnam(cf->args[1].p);
    if (pw == NULL)
        return rem_conf_error(cf, "getpwnam(\"%s\") failed", cf->args[1].p);
    setup->user = cf->args[1];
    setup->uid = pw->pw_uid;
    gr = getgrnam(cf->n_args == 3 ? cf->args[2].p : cf->args[1].p);
    if (gr == NULL && cf->n_args == 3)
        return rem_conf_error(cf, "getgrnam(\"%s\") failed", cf->args[2].p);
    setup->gid = gr != NULL ? gr->gr_gid : pw->pw_gid;
    return REM_OK;
}

static int set_priority(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct core_conf *core = conf;
    struct rem_str text = cf->args[1];
    bool minus = text.n > 0 && text.p[0] == '-';
    int64_t n;

    (void)d;
    if (core->priority != INT64_MIN)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_num(rem_str_skip(text, minus ? 1 : 0), &n) != REM_OK || n > 40)
        return rem_conf_error(cf, "\"worker_priority\" directive invalid number");
    core->priority = minus ? -n : n;
    return REM_OK;
}

/* A mask as digits, the last one for CPU 0. */
static int parse_mask(struct rem_conf *cf, struct rem_str text, cpu_set_t *cpus)
{
    CPU_ZERO(cpus);
    if (text.n == 0 || text.n > CPU_SETSIZE)
        return rem_conf_error(cf, "\"worker_cpu_affinity\" supports up to %d CPUs only",
                              CPU_SETSIZE);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[text.n - 1 - i];

        if (c == '1')
            CPU_SET(i, cpus);
        else if (c != '0')
            return rem_conf_error(cf, "invalid character \"%c\" in \"worker_cpu_affinity\"", c);
    }
    return REM_OK;
}

static int set_affinity(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    size_t first = 1;

    (void)d;
    (void)conf;
    if (setup->affinity != NULL || setup->affinity_auto)
        return rem_conf_duplicate(cf);
    if (rem_str_is(cf->args[1], "auto")) {
        if (cf->n_args > 3)
            return rem_conf_error(cf, "invalid number of arguments in \"worker_cpu_affinity\" "
                                      "directive");
        setup->affinity_auto = true;
        first = 2;
    }
    setup->affinity = rem_arena_zalloc(cf->arena, cf->n_args * sizeof(*setup->affinity));
    if (setup->affinity == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = first; i < cf->n_args; i++) {
        int rc = parse_mask(cf, cf->args[i], &setup->affinity[setup->affinity_count].cpus);

        if (rc != REM_OK)
            return rc;
        setup->affinity_count++;
    }
    return REM_OK;
}

static int set_env(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct rem_setup_env *env = rem_arena_zalloc(cf->arena, sizeof(*env));
    const char *equals = rem_str_chr(cf->args[1], '=');

    (void)d;
    (void)conf;
    if (env == NULL)
        return rem_conf_nomem(cf);
    env->name = cf->args[1];
    if (equals != NULL) {
        env->name.n = (size_t)(equals - cf->args[1].p);
        env->text = cf->args[1];
    }
    if (env->name.n == 0)
        return rem_conf_invalid_arg(cf, cf->args[1]);
    env->next = setup->env;
    setup->env = env;
    return REM_OK;
}

/* Where nothing is said, a privileged master's children run as nobody. */
static void default_user(struct rem_setup *setup, const struct core_conf *conf)
{
    const struct passwd *pw;

    if (conf->user.p != NULL || geteuid() != 0)
        return;
    pw = getpwnam("nobody");
    if (pw == NULL)
        return; /* a container without /etc/passwd: stay what we are */
    setup->user = REM_STR("nobody");
    setup->uid = pw->pw_uid;
    setup->gid = pw->pw_gid;
}

/* The place of the log when no error_log names one: what -e said, else stderr. */
static int default_log(struct rem_conf *cf, struct rem_setup *setup)
{
    struct rem_log_file *file;

    if (setup->log->targets != NULL)
        return REM_OK;
    file = rem_error_log_file(setup, setup->default_log);
    if (file == NULL || rem_error_log_add(setup, &setup->log, file, REM_LOG_ERROR) != REM_OK)
        return rem_conf_nomem(cf);
    return REM_OK;
}

static int check_affinity(struct rem_conf *cf, struct rem_setup *setup)
{
    if (setup->affinity == NULL || setup->affinity_auto || setup->affinity_count == 1 ||
        setup->affinity_count == (size_t)setup->worker_processes)
        return REM_OK;
    rem_conf_warn_at(cf, (struct rem_conf_pos){0},
                     "the number of \"worker_processes\" is not equal to the number of "
                     "\"worker_cpu_affinity\" masks, using last mask for remaining worker "
                     "processes");
    return REM_OK;
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value != REM_CONF_UNSET ? value : fallback;
}

static int init_core(struct rem_conf *cf, void *data)
{
    struct core_conf *conf = data;
    struct rem_setup *setup = cf->user;
    int64_t workers = or_default(conf->worker_processes, 1);

    if (workers == WORKERS_AUTO) {
        workers = rem_cpu_count();
        if (workers > WORKERS_MAX)
            workers = WORKERS_MAX;
    }
    setup->worker_processes = (int)workers;
    setup->daemon = or_default(conf->daemon, 1) != 0;
    setup->master_process = or_default(conf->master_process, 1) != 0;
    setup->worker_rlimit_nofile = conf->rlimit_nofile;
    setup->worker_rlimit_core = conf->rlimit_core;
    setup->worker_shutdown_timeout_ms = or_default(conf->shutdown_timeout, 0);
    setup->shared_memory =
        conf->shared_memory != REM_CONF_UNSET_SIZE ? conf->shared_memory : (size_t)64 << 20;
    if (setup->shared_memory < REM_REGION_MIN)
        return rem_conf_error_at(cf, (struct rem_conf_pos){0},
                                 "\"shared_memory\" must be at least 1m");
    setup->worker_priority = conf->priority != INT64_MIN ? (int)conf->priority : 0;
    setup->has_priority = conf->priority != INT64_MIN;
    if (conf->working_directory.p != NULL)
        setup->working_directory = conf->working_directory;
    setup->pid_path = conf->pid;
    if (setup->pid_path.p == NULL)
        setup->pid_path = REM_STR("/run/remora.pid");
    default_user(setup, conf);
    if (check_affinity(cf, setup) != REM_OK)
        return REM_EINVAL;
    return default_log(cf, setup);
}

#define MAIN(name_, args_, set_, field)                                                            \
    {                                                                                              \
        .name = name_, .contexts = REM_CTX_MAIN, .args = args_, .set = set_,                       \
        .level = REM_LEVEL_MAIN, .offset = offsetof(struct core_conf, field)                       \
    }
#define MAIN_FN(name_, args_, set_)                                                                \
    {                                                                                              \
        .name = name_, .contexts = REM_CTX_MAIN, .args = args_, .set = set_,                       \
        .level = REM_LEVEL_MAIN                                                                    \
    }

static const struct rem_directive core_directives[] = {
    MAIN("daemon", REM_ARGS_FLAG, rem_set_flag, daemon),
    MAIN("master_process", REM_ARGS_FLAG, rem_set_flag, master_process),
    MAIN("pid", REM_ARGS_1, rem_set_path, pid),
    MAIN("error_log", REM_ARGS_1MORE, rem_error_log_set, log),
    MAIN("worker_rlimit_nofile", REM_ARGS_1, rem_set_num, rlimit_nofile),
    MAIN("worker_rlimit_core", REM_ARGS_1, rem_set_off, rlimit_core),
    MAIN("worker_shutdown_timeout", REM_ARGS_1, rem_set_msec, shutdown_timeout),
    MAIN("shared_memory", REM_ARGS_1, rem_set_size, shared_memory),
    MAIN("working_directory", REM_ARGS_1, rem_set_str, working_directory),
    MAIN_FN("user", REM_ARGS_12, set_user),
    MAIN_FN("worker_processes", REM_ARGS_1, set_workers),
    MAIN_FN("worker_priority", REM_ARGS_1, set_priority),
    MAIN_FN("worker_cpu_affinity", REM_ARGS_1MORE, set_affinity),
    MAIN_FN("env", REM_ARGS_1, set_env),
    MAIN_FN("load_module", REM_ARGS_1, rem_set_without_effect),
    MAIN_FN("timer_resolution", REM_ARGS_1, rem_set_without_effect),
    MAIN_FN("lock_file", REM_ARGS_1, rem_set_without_effect),
    MAIN_FN("debug_points", REM_ARGS_1, rem_set_without_effect),
    MAIN_FN("pcre_jit", REM_ARGS_FLAG, rem_set_without_effect),
    MAIN_FN("thread_pool", REM_ARGS_23, rem_set_without_effect),
    MAIN_FN("ssl_engine", REM_ARGS_1, rem_set_without_effect),
    MAIN_FN("ssl_object_cache_inheritable", REM_ARGS_FLAG, rem_set_without_effect),
    REM_DIRECTIVE_END,
};

struct rem_module rem_core_module = {
    .name = "core",
    .kind = REM_MODULE_CORE,
    .directives = core_directives,
    .create_main = create_core,
    .init_main = init_core,
};

/* ---- events { } ---- */

struct events_conf {
    int64_t connections;
    int multi_accept;
    bool seen;
};

static void *create_events(struct rem_conf *cf)
{
    struct events_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->connections = REM_CONF_UNSET;
    conf->multi_accept = REM_CONF_UNSET;
    return conf;
}

static int set_events(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct events_conf *events = conf;

    (void)d;
    if (events->seen)
        return rem_conf_duplicate(cf);
    events->seen = true;
    return rem_conf_block(cf, REM_CTX_EVENTS, NULL);
}

static int set_use(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)d;
    (void)conf;
    if (!rem_str_is(cf->args[1], "epoll"))
        return rem_conf_error(cf, "invalid event type \"%.*s\"", REM_STR_ARG(cf->args[1]));
    return REM_OK;
}

/* The mutex hands connections to one worker at a time.  Here all workers accept, which is what
 * "off" asks for. */
static int set_accept_mutex(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    if (rem_str_is(cf->args[1], "on"))
        return rem_set_without_effect(cf, d, conf);
    return REM_OK;
}

static int init_events(struct rem_conf *cf, void *data)
{
    const struct events_conf *conf = data;
    struct rem_setup *setup = cf->user;

    setup->worker_connections = (uint32_t)or_default(conf->connections, 512);
    setup->multi_accept = conf->multi_accept == 1;
    return REM_OK;
}

static const struct rem_conf_bounds connection_bounds = {1, 1 << 24};

static const struct rem_directive events_directives[] = {
    {"events", REM_CTX_MAIN, REM_ARGS_0 | REM_ARGS_BLOCK, set_events, REM_LEVEL_MAIN, 0, NULL},
    {"worker_connections", REM_CTX_EVENTS, REM_ARGS_1, rem_set_num, REM_LEVEL_MAIN,
     offsetof(struct events_conf, connections), &connection_bounds},
    {"multi_accept", REM_CTX_EVENTS, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_MAIN,
     offsetof(struct events_conf, multi_accept), NULL},
    {"use", REM_CTX_EVENTS, REM_ARGS_1, set_use, REM_LEVEL_MAIN, 0, NULL},
    {"accept_mutex", REM_CTX_EVENTS, REM_ARGS_FLAG, set_accept_mutex, REM_LEVEL_MAIN, 0, NULL},
    {"accept_mutex_delay", REM_CTX_EVENTS, REM_ARGS_1, rem_set_without_effect, REM_LEVEL_MAIN, 0,
     NULL},
    {"worker_aio_requests", REM_CTX_EVENTS, REM_ARGS_1, rem_set_without_effect, REM_LEVEL_MAIN, 0,
     NULL},
    {"debug_connection", REM_CTX_EVENTS, REM_ARGS_1, rem_set_without_effect, REM_LEVEL_MAIN, 0,
     NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_events_module = {
    .name = "events",
    .kind = REM_MODULE_CORE,
    .directives = events_directives,
    .create_main = create_events,
    .init_main = init_events,
};
