/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands.  Help, completion and the check of words and options are made of it. */
#include "api/remoractl_commands.h"

#include <stddef.h>
#include <string.h>

#define WRITES (REM_CTL_IF_MATCH | REM_CTL_DRY_RUN)

#define SERVER "SERVER is an id or an address (port 80 unless it says another).\n"

#define SETTINGS                                                                                   \
    "SERVER is an id or an address (port 80 unless it says another). A SETTING is weight=N,\n"     \
    "max_conns=N, max_fails=N, fail_timeout=TIME, slow_start=TIME, route=TEXT, backup, down or\n"  \
    "drain (also =on or =off).\n"

#define SERVER_COMMAND(name_, run_, summary_, example_)                                            \
    {                                                                                              \
        .name = name_, .min_words = 2, .max_words = 2, .run = run_,                                \
        .usage = name_ " UPSTREAM SERVER", .options = WRITES, .words = "us", .summary = summary_,  \
        .details = SERVER, .examples = example_                                                    \
    }

const struct rem_ctl_command rem_ctl_commands[] = {
    {.name = "list",
     .run = rem_ctl_list,
     .usage = "list",
     .words = "",
     .summary = "upstreams, and how their servers do",
     .examples = "remoractl list\nremoractl list --json | jq '.upstreams[].name'\n"},
    {.name = "show",
     .min_words = 1,
     .max_words = 1,
     .run = rem_ctl_show,
     .usage = "show UPSTREAM",
     .words = "u",
     .summary = "its servers, with states and counters, and its settings",
     .examples = "remoractl show shop\nremoractl show shop --json > saved.json\n"},
    {.name = "watch",
     .max_words = 1,
     .run = rem_ctl_watch,
     .usage = "watch [UPSTREAM]",
     .options = REM_CTL_INTERVAL | REM_CTL_COUNT,
     .words = "u",
     .summary = "the same, again and again, with rates",
     .details = "Draws the table at every interval, and at once when a revision is published.\n"
                "Into a pipe it writes one table after the other; --json: an answer a line.\n",
     .examples = "remoractl watch\nremoractl watch shop -n 0.5\nremoractl watch --count 3\n"},
    {.name = "add",
     .min_words = 2,
     .max_words = -1,
     .run = rem_ctl_add,
     .usage = "add UPSTREAM ADDRESS [SETTING...]",
     .options = WRITES,
     .words = "u-=",
     .summary = "add a server",
     .details = SETTINGS,
     .examples = "remoractl add shop 10.0.0.7:8080 weight=2\n"
                 "remoractl add shop unix:/run/spare.sock backup --dry-run\n"},
    {.name = "set",
     .min_words = 3,
     .max_words = -1,
     .run = rem_ctl_set,
     .usage = "set UPSTREAM SERVER SETTING...",
     .options = WRITES,
     .words = "us=",
     .summary = "change a server",
     .details = SETTINGS,
     .examples = "remoractl set shop 10.0.0.7:8080 weight=5 max_conns=100\n"
                 "remoractl set shop 3 down=off\n"},
    {.name = "drain",
     .max_words = 2,
     .run = rem_ctl_drain,
     .usage = "drain UPSTREAM SERVER | drain --instance",
     .options = WRITES | REM_CTL_INSTANCE | REM_CTL_TIMEOUT | REM_CTL_DELAY,
     .words = "us",
     .summary = "no new requests for a server, open ones end; or end remora so",
     .details =
         "With --instance all of remora drains: it stops being ready, goes on accepting for\n"
         "--delay, and ends when all connections have, or at --timeout.\n",
     .examples = "remoractl drain shop 10.0.0.5:8080\nremoractl drain --instance --timeout 30s\n"},
    SERVER_COMMAND("down", rem_ctl_down, "mark a server down",
                   "remoractl down shop 10.0.0.5:8080\n"),
    SERVER_COMMAND("up", rem_ctl_up, "undo drain and down", "remoractl up shop 10.0.0.5:8080\n"),
    SERVER_COMMAND("remove", rem_ctl_remove, "remove a server", "remoractl remove shop 3\n"),
    {.name = "replace",
     .min_words = 1,
     .max_words = 1,
     .run = rem_ctl_replace,
     .usage = "replace UPSTREAM -f FILE",
     .options = WRITES | REM_CTL_FILE,
     .needs = REM_CTL_FILE,
     .words = "u",
     .summary = "replace all its servers in one step",
     .details =
         "FILE holds a JSON array of servers, what show --json printed, or a server and its\n"
         "settings per line; # begins a comment.\n",
     .examples =
         "remoractl replace shop -f saved.json\n"
         "printf '10.0.1.1:8080\\n10.0.1.2:8080 backup\\n' | remoractl replace shop -f -\n"},
    {.name = "create",
     .min_words = 1,
     .max_words = -1,
     .run = rem_ctl_create,
     .usage = "create UPSTREAM [-f FILE] [NAME=VALUE...]",
     .options = WRITES | REM_CTL_FILE,
     .words = "-=",
     .summary = "make an upstream that no configuration names",
     .details = "A VALUE that is JSON is taken as such. A proxy_pass with variables finds it.\n",
     .examples = "remoractl create blue method=least_conn limits.requests=100\n"
                 "remoractl create blue -f blue.json\n"},
    {.name = "update",
     .min_words = 1,
     .max_words = -1,
     .run = rem_ctl_update,
     .usage = "update UPSTREAM [-f FILE] [NAME=VALUE...]",
     .options = WRITES | REM_CTL_FILE,
     .words = "u=",
     .summary = "change an upstream's own settings (a merge patch)",
     .examples = "remoractl update shop method=least_conn keepalive.connections=64\n"
                 "remoractl update shop limits=null --dry-run\n"},
    {.name = "delete",
     .min_words = 1,
     .max_words = 1,
     .run = rem_ctl_delete,
     .usage = "delete UPSTREAM",
     .options = WRITES,
     .words = "u",
     .summary = "remove an upstream that was made at run time",
     .examples = "remoractl delete blue\n"},
    {.name = "apply",
     .run = rem_ctl_apply,
     .usage = "apply -f FILE",
     .options = WRITES | REM_CTL_FILE | REM_CTL_PRUNE,
     .needs = REM_CTL_FILE,
     .words = "",
     .summary = "bring upstreams to what a document says, all or nothing",
     .details =
         "FILE is JSON: {\"upstreams\": {NAME: {\"servers\": [...], ...}}, \"splits\": {NAME:\n"
         "{VALUE: PERCENT}}, \"keyvals\": {ZONE: {KEY: VALUE}}}. For an upstream, a list is the\n"
         "servers alone, and null removes one made at run time; a server is an object or an\n"
         "address. What list --json printed is a document, too. What it does not say stays as it\n"
         "is. One transaction, sent again when others change something meanwhile, unless "
         "--if-match\n"
         "says for which revision it is. What would change nothing is not sent.\n",
     .examples = "remoractl list --json > all.json\nremoractl apply -f all.json\n"
                 "remoractl apply -f all.json --dry-run\n"
                 "remoractl apply -f all.json --if-match 41 --prune\n"},
    {.name = "diff",
     .run = rem_ctl_diff,
     .usage = "diff -f FILE",
     .options = REM_CTL_IF_MATCH | REM_CTL_FILE | REM_CTL_PRUNE,
     .needs = REM_CTL_FILE,
     .words = "",
     .summary = "what apply would change",
     .details = "Exits with 0 when that is nothing, with 3 when it is something.\n",
     .examples = "remoractl diff -f all.json\n"},
    {.name = "history",
     .max_words = 1,
     .run = rem_ctl_history,
     .usage = "history [REVISION]",
     .options = REM_CTL_LIMIT,
     .words = "r",
     .summary = "the last revisions: when, who, what; or one in full",
     .details = "CHANGED counts servers: + added, - removed, ~ changed.\n",
     .examples = "remoractl history --limit 10\nremoractl history 41\n"},
    {.name = "rollback",
     .min_words = 1,
     .max_words = 1,
     .run = rem_ctl_rollback,
     .usage = "rollback REVISION",
     .options = WRITES,
     .words = "r",
     .summary = "go back to what was in effect then",
     .examples = "remoractl rollback 41 --dry-run\nremoractl rollback 41\n"},
    {.name = "events",
     .run = rem_ctl_events,
     .usage = "events",
     .options = REM_CTL_SINCE | REM_CTL_COUNT,
     .words = "",
     .summary = "revisions, health, ejections and restarts, as they happen",
     .details =
         "The first word of a line is the event's number, for --since. Reloads do not end it.\n",
     .examples = "remoractl events\nremoractl events --since 1795160997000002 --count 20\n"
                 "remoractl events --json | jq -c 'select(.event == \"health\")'\n"},
    {.name = "keyvals",
     .max_words = 1,
     .run = rem_ctl_keyvals,
     .usage = "keyvals [ZONE]",
     .words = "z",
     .summary = "key-value zones, or the entries of one",
     .examples = "remoractl keyvals\nremoractl keyvals routes\n"},
    {.name = "keyval-set",
     .min_words = 2,
     .max_words = -1,
     .run = rem_ctl_keyval_set,
     .usage = "keyval-set ZONE KEY=VALUE...",
     .options = WRITES | REM_CTL_TTL,
     .words = "z-",
     .summary = "add entries, or change them, in one step",
     .examples = "remoractl keyval-set routes /beta=blue /shop=green\n"
                 "remoractl keyval-set banned 10.0.0.0/8=1 --ttl 600\n"},
    {.name = "keyval-delete",
     .min_words = 2,
     .max_words = -1,
     .run = rem_ctl_keyval_delete,
     .usage = "keyval-delete ZONE KEY...",
     .options = WRITES,
     .words = "z-",
     .summary = "remove entries in one step",
     .examples = "remoractl keyval-delete routes /beta\n"},
    {.name = "splits",
     .max_words = 1,
     .run = rem_ctl_splits,
     .usage = "splits [NAME]",
     .words = "p",
     .summary = "the shares of split_clients blocks",
     .examples = "remoractl splits\nremoractl splits version\n"},
    {.name = "split-set",
     .min_words = 2,
     .max_words = -1,
     .run = rem_ctl_split_set,
     .usage = "split-set NAME VALUE=PERCENT... [VALUE=*]",
     .options = WRITES,
     .words = "p-",
     .summary = "change them",
     .details = "* is what the others leave.\n",
     .examples = "remoractl split-set version v1=90 'v2=*'\n"},
    {.name = "state",
     .max_words = 1,
     .run = rem_ctl_state,
     .usage = "state [explain]",
     .words = "x",
     .summary = "what is the configuration's, what was changed at run time, and what is kept",
     .examples = "remoractl state explain\n"},
    {.name = "status",
     .run = rem_ctl_status,
     .usage = "status",
     .words = "",
     .summary = "version, connections, workers, memory",
     .examples = "remoractl status\n"},
    {.name = "revision",
     .run = rem_ctl_revision,
     .usage = "revision",
     .words = "",
     .summary = "the published revision, and each worker's",
     .examples = "remoractl revision\nremoractl revision --json | jq .revision\n"},
    {.name = "ready",
     .max_words = -1,
     .run = rem_ctl_ready,
     .usage = "ready [UPSTREAM...]",
     .words = "u",
     .summary = "ask whether it is; exits with 1 if not",
     .details = "With an UPSTREAM: and whether that has a live server.\n",
     .examples = "until remoractl ready; do sleep 1; done\nremoractl ready shop --json\n"},
    {.name = "metrics",
     .max_words = -1,
     .run = rem_ctl_metrics,
     .usage = "metrics [NAME...] [--detail]",
     .options = REM_CTL_DETAIL,
     .words = "u",
     .summary = "as Prometheus reads them",
     .details =
         "With a NAME: of the upstream, zone, listener or resolver of that name; a * at its\n"
         "end stands for whatever follows.\n",
     .examples = "remoractl metrics --detail | grep shop\nremoractl metrics 'shop-*' --detail\n"},
    {.name = "completion",
     .min_words = 1,
     .max_words = 1,
     .run = rem_ctl_completion,
     .usage = "completion bash|zsh",
     .words = "b",
     .summary = "a script for the shell",
     .examples = "source <(remoractl completion bash)\n"
                 "remoractl completion zsh > ~/.zfunc/_remoractl\n"},
    {.name = "help",
     .max_words = 1,
     .run = rem_ctl_help_run,
     .usage = "help [COMMAND]",
     .words = "c",
     .summary = "this text, or that of a command",
     .examples = "remoractl help apply\n"},
    /* What the shells' scripts ask; not among the commands that are shown. */
    {.name = "complete",
     .min_words = 1,
     .max_words = -1,
     .run = rem_ctl_complete,
     .usage = "complete -- WORD...",
     .words = "",
     .examples = ""},
    {.name = NULL},
};

const struct rem_ctl_command *rem_ctl_command_find(const char *name)
{
    for (const struct rem_ctl_command *command = rem_ctl_commands; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}
