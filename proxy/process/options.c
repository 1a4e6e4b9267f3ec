/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/options.h"

#include <event2/event.h>
#include <openssl/crypto.h>

/* The text of an option that takes one: the rest of its word, or the next word. */
static const char *argument(char **argv, int argc, int *word, const char *rest)
{
    if (*rest != '\0')
        return rest;
    if (*word + 1 < argc)
        return argv[++*word];
    return NULL;
}

static int check_signal(const struct rem_options *options, struct rem_err *err)
{
    static const char *const names[] = {"stop", "quit", "reopen", "reload"};

    for (size_t i = 0; i < REM_COUNT(names); i++)
        if (strcmp(options->signal, names[i]) == 0)
            return REM_OK;
    return rem_err_set(err, REM_EINVAL, "invalid option: \"-s %s\"", options->signal);
}

/* Options that take an argument.  Returns 1 when `c` is none of them. */
static int with_argument(struct rem_options *out, char c, int *word, const char *rest,
                         struct rem_err *err)
{
    const struct {
        char c;
        const char **to;
        const char *what;
    } table[] = {
        {'c', &out->conf, "file name"},    {'p', &out->prefix, "directory name"},
        {'g', &out->globals, "parameter"}, {'e', &out->log, "file name"},
        {'s', &out->signal, "parameter"},
    };

    for (size_t i = 0; i < REM_COUNT(table); i++) {
        if (table[i].c != c)
            continue;
        *table[i].to = argument(out->argv, out->argc, word, rest);
        if (*table[i].to == NULL)
            return rem_err_set(err, REM_EINVAL, "option \"-%c\" requires %s", c, table[i].what);
        return c == 's' ? check_signal(out, err) : REM_OK;
    }
    return 1;
}

static bool set_flag(struct rem_options *out, char c)
{
    switch (c) {
    case '?':
    case 'h':
        out->help = true;
        return true;
    case 'v':
        out->version = true;
        return true;
    case 'V':
        out->version = out->build = true;
        return true;
    case 't':
        out->test = true;
        return true;
    case 'T':
        out->test = out->dump = true;
        return true;
    case 'q':
        out->quiet = true;
        return true;
    default:
        return false;
    }
}

int rem_options_parse(int argc, char **argv, struct rem_options *out, struct rem_err *err)
{
    *out = (struct rem_options){
        .argc = argc, .argv = argv, .prefix = REM_DEFAULT_PREFIX, .conf = REM_DEFAULT_CONF};
    for (int word = 1; word < argc; word++) {
        const char *at = argv[word];

        if (strcmp(at, "--help") == 0) {
            out->help = true;
            continue;
        }
        if (strcmp(at, "--version") == 0) {
            out->version = true;
            continue;
        }
        if (*at++ != '-')
            return rem_err_set(err, REM_EINVAL, "invalid option: \"%s\"", argv[word]);
        for (; *at != '\0'; at++) {
            int rc;

            if (set_flag(out, *at))
                continue;
            rc = with_argument(out, *at, &word, at + 1, err);
            if (rc < 0)
                return rc;
            if (rc > 0)
                return rem_err_set(err, REM_EINVAL, "invalid option: \"%c\"", *at);
            break;
        }
    }
    return REM_OK;
}

void rem_options_help(FILE *out)
{
    fputs("remora: a sidecar reverse proxy that reads nginx's configuration language\n"
          "and changes upstream servers through a REST API, without reloading\n"
          "\n"
          "Usage: remora [-?hvVtTq] [-s signal] [-p prefix]\n"
          "              [-e filename] [-c filename] [-g directives]\n"
          "\n"
          "Options:\n"
          "  -?,-h,--help  : this help\n"
          "  -v            : show version and exit\n"
          "  -V            : show version and build options and exit\n"
          "  -t            : test configuration and exit\n"
          "  -T            : test configuration, dump it and exit\n"
          "  -q            : suppress non-error messages during configuration testing\n"
          "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
          "  -p prefix     : set prefix path (default: " REM_DEFAULT_PREFIX ")\n"
          "  -e filename   : set error log file (default: stderr)\n"
          "  -c filename   : set configuration file (default: PREFIX" REM_DEFAULT_CONF ")\n"
          "  -g directives : set global directives out of configuration file\n"
          "\n"
          "Signals to the master process:\n"
          "  TERM, INT : fast stop          QUIT  : graceful stop\n"
          "  HUP       : reload             USR1  : reopen log files\n"
          "  USR2      : upgrade the binary WINCH : stop the workers gracefully\n"
          "\n"
          "Examples:\n"
          "  remora -t -c /etc/remora/remora.conf     is the configuration right?\n"
          "  remora -g 'daemon off;'                  run in the foreground\n"
          "  remora -p /srv/app/ -c nginx.conf        an nginx tree, paths under /srv/app\n"
          "  remora -s reload                         read the configuration again\n",
          out);
}

void rem_options_version(FILE *out, bool build)
{
    fputs("remora version: remora/" REM_VERSION "\n", out);
    if (!build)
        return;
#if defined(__clang__)
    fprintf(out, "built by clang %s\n", __clang_version__);
#else
    fprintf(out, "built by gcc %s\n", __VERSION__);
#endif
    fprintf(out, "built with %s, libevent %s\n", OpenSSL_version(OPENSSL_VERSION),
            event_get_version());
    fputs("default paths: prefix " REM_DEFAULT_PREFIX
          ", configuration " REM_DEFAULT_PREFIX REM_DEFAULT_CONF
          ", pid /run/remora.pid, error log stderr\n",
          out);
}
