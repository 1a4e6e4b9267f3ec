/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/sub_match.h"

enum { WINDOW_SLACK = 1024, NODES_MAX = 1 << 24 };

static unsigned char lower(char c)
{
    return (unsigned char)rem_lower(c);
}

/* ---- building ---- */

static uint32_t find_child(const struct rem_sub_set *set, uint32_t node, unsigned char byte)
{
    uint32_t child;

    if (node == 0)
        return set->root[byte];
    for (child = set->nodes[node].child; child != 0; child = set->nodes[child].sibling) {
        if (set->nodes[child].byte == byte)
            break;
    }
    return child;
}

static uint32_t add_child(struct rem_sub_set *set, uint32_t parent, unsigned char byte)
{
    uint32_t child = set->n_nodes++;
    struct rem_sub_node *node = &set->nodes[parent];

    set->nodes[child] = (struct rem_sub_node){
        .sibling = node->child,
        .pattern = REM_SUB_NO_PATTERN,
        .depth = node->depth + 1,
        .byte = byte,
    };
    node->child = child;
    if (parent == 0) {
        set->root[byte] = child;
        if (byte >= 'a' && byte <= 'z')
            set->root[byte - 'a' + 'A'] = child;
    }
    return child;
}

static void add_pattern(struct rem_sub_set *set, struct rem_str pattern, uint32_t number)
{
    uint32_t node = 0;

    if (pattern.n == 0)
        return;
    for (size_t i = 0; i < pattern.n; i++) {
        unsigned char byte = lower(pattern.p[i]);
        uint32_t child = find_child(set, node, byte);

        node = child != 0 ? child : add_child(set, node, byte);
    }
    if (set->nodes[node].pattern != REM_SUB_NO_PATTERN)
        return;
    set->nodes[node].pattern = number;
    set->distinct++;
    if (pattern.n > set->longest)
        set->longest = (uint32_t)pattern.n;
}

static uint32_t step(const struct rem_sub_set *set, uint32_t state, unsigned char byte)
{
    uint32_t child = find_child(set, state, byte);

    while (child == 0 && state != 0) {
        state = set->nodes[state].fail;
        child = find_child(set, state, byte);
    }
    return child;
}

/* Fills in `fail` and `match`, level by level: both point to nodes that are less deep. */
static void link_nodes(struct rem_sub_set *set, uint32_t *queue)
{
    uint32_t first = 0, last = 0;

    queue[last++] = 0;
    while (first < last) {
        uint32_t parent = queue[first++];

        for (uint32_t i = set->nodes[parent].child; i != 0; i = set->nodes[i].sibling) {
            struct rem_sub_node *node = &set->nodes[i];

            node->fail = parent != 0 ? step(set, set->nodes[parent].fail, node->byte) : 0;
            node->match = node->pattern != REM_SUB_NO_PATTERN ? i : set->nodes[node->fail].match;
            queue[last++] = i;
        }
    }
}

int rem_sub_set_new(struct rem_arena *arena, const struct rem_str *patterns, uint32_t n,
                    struct rem_sub_set **out)
{
    struct rem_sub_set *set = rem_arena_zalloc(arena, sizeof(*set));
    size_t room = 1;
    uint32_t *queue;

    for (uint32_t i = 0; i < n; i++)
        room += patterns[i].n;
    if (room > NODES_MAX)
        return REM_ETOOBIG;
    if (set == NULL)
        return REM_ENOMEM;
    set->nodes = rem_arena_alloc(arena, room * sizeof(*set->nodes));
    queue = rem_arena_alloc(arena, room * sizeof(*queue));
    if (set->nodes == NULL || queue == NULL)
        return REM_ENOMEM;
    set->nodes[0] = (struct rem_sub_node){.pattern = REM_SUB_NO_PATTERN};
    set->n_nodes = 1;
    set->n_patterns = n;
    for (uint32_t i = 0; i < n; i++)
        add_pattern(set, patterns[i], i);
    link_nodes(set, queue);
    *out = set;
    return 0;
}

/* ---- searching ---- */

int rem_sub_scan_init(struct rem_sub_scan *scan, struct rem_arena *arena,
                      const struct rem_sub_set *set, bool once)
{
    *scan = (struct rem_sub_scan){
        .set = set,
        .room = 4 * set->longest + WINDOW_SLACK,
        .found = REM_SUB_NO_PATTERN,
        .best = REM_SUB_NO_PATTERN,
        .left = set->distinct,
        .once = once,
    };
    scan->window = rem_arena_alloc(arena, scan->room);
    scan->used = rem_arena_zalloc(arena, set->n_patterns * sizeof(*scan->used) + 1);
    return scan->window != NULL && scan->used != NULL ? 0 : REM_ENOMEM;
}

/* Takes what the last call has given out off the window. */
static void drop(struct rem_sub_scan *scan)
{
    if (scan->drop == 0)
        return;
    scan->n -= scan->drop;
    memmove(scan->window, scan->window + scan->drop, scan->n);
    scan->scanned -= scan->drop;
    scan->safe -= scan->drop;
    scan->best_from -= scan->drop;
    scan->best_to -= scan->drop;
    scan->drop = 0;
}

/* Gives out the first `n` bytes of the window. */
static enum rem_sub_event give(struct rem_sub_scan *scan, uint32_t n, struct rem_str *text)
{
    *text = rem_str_make(scan->window, n);
    scan->drop = n;
    return REM_SUB_TEXT;
}

/* Bytes that can begin no match go on from where they are. */
static enum rem_sub_event skip(struct rem_sub_scan *scan, struct rem_str *input,
                               struct rem_str *text)
{
    const uint32_t *root = scan->set->root;
    size_t i = 0;

    if (scan->left == 0)
        i = input->n;
    while (i < input->n && root[(unsigned char)input->p[i]] == 0)
        i++;
    *text = rem_str_make(input->p, i);
    *input = rem_str_skip(*input, i);
    return REM_SUB_TEXT;
}

/* The longest pattern that ends here and still counts, if it is better than the best. */
static void look_for_match(struct rem_sub_scan *scan)
{
    const struct rem_sub_node *nodes = scan->set->nodes;
    uint32_t at = nodes[scan->state].match;

    while (at != 0 && scan->used[nodes[at].pattern])
        at = nodes[nodes[at].fail].match;
    if (at == 0)
        return;
    if (scan->best == REM_SUB_NO_PATTERN || scan->scanned - nodes[at].depth <= scan->best_from) {
        scan->best = nodes[at].pattern;
        scan->best_from = scan->scanned - nodes[at].depth;
        scan->best_to = scan->scanned;
    }
}

/* The best match is the one: what stands behind it is searched anew. */
static enum rem_sub_event settle(struct rem_sub_scan *scan, struct rem_str *text, uint32_t *pattern)
{
    uint32_t found = scan->best;

    scan->best = REM_SUB_NO_PATTERN;
    scan->state = 0;
    scan->scanned = scan->best_to;
    scan->safe = scan->best_to;
    if (scan->once) {
        scan->used[found] = true;
        scan->left--;
    }
    if (scan->best_from != 0) {
        scan->found = found;
        *text = rem_str_make(scan->window, scan->best_from);
        scan->drop = scan->best_to;
        return REM_SUB_TEXT;
    }
    scan->drop = scan->best_to;
    *pattern = found;
    return REM_SUB_MATCH;
}

/* Lets the automaton look at one byte more.  Returns: whether the best match is final. */
static bool scan_byte(struct rem_sub_scan *scan)
{
    uint32_t from;

    scan->state = step(scan->set, scan->state, lower(scan->window[scan->scanned]));
    scan->scanned++;
    look_for_match(scan);
    from = scan->scanned - scan->set->nodes[scan->state].depth; /* of any match yet to come */
    scan->safe = from;
    if (scan->best == REM_SUB_NO_PATTERN || from <= scan->best_from)
        return false;
    scan->safe = scan->best_from;
    return true;
}

/* The end of what there is to look at. */
static enum rem_sub_event pause_scan(struct rem_sub_scan *scan, bool final, struct rem_str *text,
                                     uint32_t *pattern)
{
    if (final && scan->best != REM_SUB_NO_PATTERN)
        return settle(scan, text, pattern);
    if (final) {
        scan->state = 0;
        scan->safe = scan->n;
    }
    return scan->safe != 0 ? give(scan, scan->safe, text) : REM_SUB_MORE;
}

enum rem_sub_event rem_sub_scan_next(struct rem_sub_scan *scan, struct rem_str *input, bool final,
                                     struct rem_str *text, uint32_t *pattern)
{
    drop(scan);
    if (scan->found != REM_SUB_NO_PATTERN) {
        *pattern = scan->found;
        scan->found = REM_SUB_NO_PATTERN;
        return REM_SUB_MATCH;
    }
    for (;;) {
        if (scan->left == 0) { /* all have been replaced */
            scan->state = 0;
            scan->scanned = scan->safe = scan->n;
        }
        if (scan->safe == scan->n && scan->scanned == scan->n) {
            if (scan->n != 0)
                return give(scan, scan->n, text);
            if (input->n == 0)
                return REM_SUB_MORE;
            if (scan->left == 0 || scan->set->root[(unsigned char)input->p[0]] == 0)
                return skip(scan, input, text);
        }
        if (scan->scanned == scan->n) {
            if (input->n == 0)
                return pause_scan(scan, final, text, pattern);
            if (scan->n == scan->room)
                return give(scan, scan->safe, text);
            scan->window[scan->n++] = input->p[0];
            *input = rem_str_skip(*input, 1);
        }
        if (scan_byte(scan))
            return settle(scan, text, pattern);
    }
}
