/* SPDX-License-Identifier: Apache-2.0 */
/* load.h - a whole configuration: loaded, kept, dumped, freed.
 *
 * Runs in:    the master; children inherit the loaded configuration and only read it.
 * Lifecycle:  load -> used -> free.  Any number may be loaded at a time (HUP): nothing is global
 *             but the modules' index, which is the same for the same list of modules.
 * Ownership:  the cycle owns one arena with everything the configuration consists of.  */
#ifndef REM_CONF_LOAD_H
#define REM_CONF_LOAD_H

#include "proto/base/arena.h"
#include "proto/base/log.h"
#include "proto/base/sbuf.h"
#include "proxy/conf/conf.h"
#include "proxy/conf/module.h"

/* One error or warning.  Borrowed for the call. */
struct rem_conf_report {
    enum rem_log_level level;
    struct rem_str text; /* without the place */
    struct rem_conf_pos pos;
};

typedef void (*rem_conf_report_fn)(void *data, const struct rem_conf_report *report);

struct rem_conf_options {
    struct rem_str prefix;  /* -p, absolute, with or without the last slash */
    struct rem_str file;    /* -c, relative to prefix */
    struct rem_str globals; /* -g, may be empty */
    struct rem_module *const *modules;
    size_t n_modules;
    rem_conf_report_fn report; /* may be NULL */
    void *report_data;
    void *user; /* becomes cf->user and cycle->user */
};

/* A file as it was read: for -T and for the positions. */
struct rem_conf_source {
    struct rem_str path; /* absolute */
    struct rem_str bytes;
    struct rem_conf_source *next;
};

enum { REM_CONF_CYCLE_MAGIC = 0x72636366 };

struct rem_conf_cycle {
    uint32_t magic;
    struct rem_arena arena;
    struct rem_str prefix;      /* ends in a slash */
    struct rem_str file;        /* the main file, absolute */
    struct rem_str conf_prefix; /* its directory, ends in a slash */
    struct rem_module *const *modules;
    size_t n_modules;
    struct rem_conf_ctx *ctx;        /* the outermost: main[] of every module */
    struct rem_conf_source *sources; /* in the order of their first opening */
    struct rem_strmap *directives;   /* name -> entries, for the time of loading */
    rem_conf_report_fn report;       /* NULL after loading */
    void *report_data;
    void *user;
    uint32_t errors; /* reported so far, warnings not counted */
};

/* Reads options->globals, then the file; runs the CORE modules' functions around that.
 * Returns: a cycle the caller frees.  Errors: negative, after the report callback has been told
 * what is wrong; nothing is left behind. */
int rem_conf_load(const struct rem_conf_options *options,
                  struct rem_conf_cycle **out) REM_MUST_CHECK;

/* Runs the arena's cleanups and frees everything.  NULL is fine. */
void rem_conf_free(struct rem_conf_cycle *cycle);

/* A module's main-level struct, NULL where its block was absent. */
static inline void *rem_conf_cycle_main(const struct rem_conf_cycle *cycle,
                                        const struct rem_module *module)
{
    return cycle->ctx->main[module->index];
}

/* -T: "# configuration file PATH:", the bytes and an empty line, for every file once. */
void rem_conf_dump(const struct rem_conf_cycle *cycle, struct rem_sbuf *out);

/* "TEXT in FILE:LINE" as the report reads on a line of output. */
void rem_conf_report_text(const struct rem_conf_report *report, struct rem_sbuf *out);

#endif
