/* SPDX-License-Identifier: Apache-2.0 */
/* sub_match.h - finds any of several strings in a stream of bytes, without regard to case (ASCII).
 *
 * Method:     an automaton of all patterns with failure links (Aho and Corasick, 1975); at each
 *             place the match that begins first wins, of these the longest.
 * Cost:       linear in the bytes where matches do not begin inside longer attempts that fail;
 *             such bytes are looked at again, at most as many as the longest pattern has.
 * Held back:  only bytes that may still become part of a match.  */
#ifndef REM_HTTP_MOD_SUB_MATCH_H
#define REM_HTTP_MOD_SUB_MATCH_H

#include "proto/base/arena.h"
#include "proto/base/err.h"

#define REM_SUB_NO_PATTERN UINT32_MAX

struct rem_sub_node {
    uint32_t child;   /* the first; 0: none (the root is nobody's child) */
    uint32_t sibling; /* the next; 0: none */
    uint32_t fail;    /* the longest proper suffix that is a node */
    uint32_t match;   /* the longest suffix, itself included, that ends a pattern; 0: none */
    uint32_t pattern; /* that ends here, or REM_SUB_NO_PATTERN */
    uint32_t depth;
    unsigned char byte; /* that leads here */
};

struct rem_sub_set {
    struct rem_sub_node *nodes; /* [0] is the root */
    uint32_t n_nodes;
    uint32_t n_patterns; /* as given */
    uint32_t distinct;   /* neither empty nor another one again */
    uint32_t longest;
    uint32_t root[256]; /* the root's children, by byte in either case; 0: none */
};

/* Empty patterns match nothing; of equal ones the first counts.  Errors: REM_ENOMEM, REM_ETOOBIG.
 */
int rem_sub_set_new(struct rem_arena *arena, const struct rem_str *patterns, uint32_t n,
                    struct rem_sub_set **out) REM_MUST_CHECK;

/* A search in progress. */
struct rem_sub_scan {
    const struct rem_sub_set *set;
    char *window; /* bytes taken in and not yet given out */
    uint32_t room, n;
    uint32_t scanned; /* of them, by the automaton */
    uint32_t safe;    /* of them, that are in no match */
    uint32_t drop;    /* given out by the last call */
    uint32_t state;
    uint32_t found;                    /* a pattern to report, or REM_SUB_NO_PATTERN */
    uint32_t best, best_from, best_to; /* the match that counts unless a better one is found */
    uint32_t left;                     /* patterns that still count */
    bool once;                         /* each pattern counts once */
    bool *used;                        /* by pattern */
};

/* Errors: REM_ENOMEM. */
int rem_sub_scan_init(struct rem_sub_scan *scan, struct rem_arena *arena,
                      const struct rem_sub_set *set, bool once) REM_MUST_CHECK;

enum rem_sub_event {
    REM_SUB_MORE = 0, /* the input is used up */
    REM_SUB_TEXT,     /* *text goes on as it is; valid until the next call, and as the input is */
    REM_SUB_MATCH,    /* *pattern was found here */
};

/* Goes on until there is something to say.  Takes bytes off the front of *input.  With `final`,
 * nothing follows the input: MORE then means the end. */
enum rem_sub_event rem_sub_scan_next(struct rem_sub_scan *scan, struct rem_str *input, bool final,
                                     struct rem_str *text, uint32_t *pattern);

#endif
