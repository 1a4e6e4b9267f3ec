/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/order.h"

#include "proxy/http/core.h"
#include "proxy/http/subrequest_priv.h"

#include <errno.h>
#include <unistd.h>

enum {
    ORDER_HELD_MAX = 65536,    /* bytes that wait before their maker has to */
    ORDER_DROPPED_MAX = 65536, /* of a body that nobody sees */
    ORDER_MEMORY_FIRST = 1024,
};

/* A subrequest's buf on its way to the client. */
struct rem_order_wrap {
    struct rem_buf buf;
    struct rem_buf *inner;
    size_t size;
    struct rem_family *family;
    struct rem_order_wrap *next_spare;
};

static void wake(struct rem_family *family)
{
    rem_loop_post(&family->request->worker->loop, &family->wake);
}

static void give_back(struct rem_buf *list)
{
    while (list != NULL) {
        struct rem_buf *buf = list;

        list = buf->next;
        buf->next = NULL;
        rem_buf_done(buf);
    }
}

/* ---- wraps ---- */

static void on_wrap_done(struct rem_buf *buf)
{
    struct rem_order_wrap *wrap = REM_CONTAINER(buf, struct rem_order_wrap, buf);
    struct rem_family *family = wrap->family;

    family->lent--;
    family->lent_bytes -= wrap->size;
    wrap->inner->pos = buf->pos;
    wrap->inner->file_pos = buf->file_pos;
    wrap->next_spare = family->spare;
    family->spare = wrap;
    rem_buf_done(wrap->inner);
    if (family->lent == 0 && !family->request->over)
        wake(family);
}

static struct rem_buf *wrap_one(struct rem_family *family, struct rem_buf *inner)
{
    struct rem_order_wrap *wrap = family->spare;

    if (wrap != NULL)
        family->spare = wrap->next_spare;
    else
        wrap = rem_arena_alloc(&family->request->arena, sizeof(*wrap));
    if (wrap == NULL)
        return NULL;
    wrap->buf = *inner;
    wrap->buf.next = NULL;
    wrap->buf.final = false; /* of this body, not of the client's */
    wrap->buf.done = on_wrap_done;
    wrap->inner = inner;
    wrap->size = rem_buf_size(inner);
    wrap->family = family;
    family->lent++;
    family->lent_bytes += wrap->size;
    return &wrap->buf;
}

/* Takes the list.  Returns NULL without memory. */
static struct rem_buf *wrap_list(struct rem_family *family, struct rem_buf *list)
{
    struct rem_buf *first = NULL, **tail = &first;

    while (list != NULL) {
        struct rem_buf *inner = list, *buf = wrap_one(family, inner);

        if (buf == NULL) {
            give_back(list);
            give_back(first);
            return NULL;
        }
        list = inner->next;
        inner->next = NULL;
        *tail = buf;
        tail = &buf->next;
    }
    return first;
}

/* ---- where a root's bytes go ---- */

static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next);

static int pass_to_client(struct rem_request *client, struct rem_buf *list)
{
    const struct rem_body_filter *filter = rem_core_main(client)->body_filters;

    while (filter->run != on_body)
        filter = filter->next;
    filter = filter->next;
    return filter->run(client, list, filter->next);
}

/* Makes room for `n` more bytes.  Errors: REM_ETOOBIG, REM_ENOMEM. */
static int make_room(struct rem_family *root, size_t n)
{
    size_t room = root->room != 0 ? root->room : ORDER_MEMORY_FIRST;
    char *memory;

    if (n > root->spec.limit - root->used)
        return REM_ETOOBIG;
    if (n <= root->room - root->used)
        return REM_OK;
    while (room < root->used + n)
        room *= 2;
    if (room > root->spec.limit)
        room = root->spec.limit;
    memory = rem_arena_alloc(&root->request->parent->arena, room);
    if (memory == NULL)
        return REM_ENOMEM;
    if (root->used != 0)
        memcpy(memory, root->memory, root->used);
    root->memory = memory;
    root->room = room;
    return REM_OK;
}

static int copy_file(struct rem_family *root, struct rem_buf *buf)
{
    while (buf->file_pos < buf->file_last) {
        ssize_t got = pread(buf->fd, root->memory + root->used, rem_buf_size(buf), buf->file_pos);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            REM_LOG_IN(&root->request->log, REM_LOG_ALERT, errno,
                       "reading a file for a subrequest failed");
            return REM_EIO;
        }
        root->used += (size_t)got;
        buf->file_pos += got;
    }
    return REM_OK;
}

static int keep_one(struct rem_family *root, struct rem_buf *buf)
{
    size_t n = rem_buf_size(buf);
    int rc = make_room(root, n);

    if (rc != REM_OK)
        return rc;
    if (buf->in_file)
        return copy_file(root, buf);
    if (n != 0)
        memcpy(root->memory + root->used, buf->pos, n);
    root->used += n;
    buf->pos = buf->last;
    return REM_OK;
}

static int keep(struct rem_family *root, struct rem_buf *list)
{
    int rc = REM_OK;

    for (struct rem_buf *buf = list; buf != NULL && rc == REM_OK; buf = buf->next)
        rc = keep_one(root, buf);
    give_back(list);
    if (rc == REM_ETOOBIG) {
        REM_LOG_IN(&root->request->log, REM_LOG_ERROR, 0, "too big subrequest response");
        root->too_big = true;
    }
    return rc == REM_OK ? REM_OK : REM_ECLOSED;
}

static int drop(struct rem_family *root, struct rem_buf *list)
{
    for (const struct rem_buf *buf = list; buf != NULL; buf = buf->next)
        root->dropped += rem_buf_size(buf);
    give_back(list);
    /* A little is read so that the server's connection can be used again; nobody waits for, or pays
     * for, an endless body. */
    return root->dropped > ORDER_DROPPED_MAX ? REM_ECLOSED : REM_OK;
}

static bool may_pass(const struct rem_family *root)
{
    return root->request->parent != NULL || root->request->response.head_sent;
}

/* Hands a list of `family`'s, whose turn it is, to the root's destination. */
static int pass(struct rem_family *root, struct rem_family *family, struct rem_buf *list)
{
    for (const struct rem_buf *buf = list; buf != NULL; buf = buf->next)
        family->out_done = family->out_done || buf->final;
    if (root->request->parent == NULL) {
        if (family != root && list != NULL) {
            list = wrap_list(family, list);
            if (list == NULL)
                return REM_ECLOSED;
        }
        return pass_to_client(root->request, list);
    }
    return root->spec.kind == REM_SUBREQUEST_MEMORY ? keep(root, list) : drop(root, list);
}

/* ---- the queue of each ---- */

static struct rem_order_item *push_item(struct rem_family *family)
{
    struct rem_order_item *item = rem_arena_zalloc(&family->request->arena, sizeof(*item));

    if (item == NULL)
        return NULL;
    if (family->first == NULL)
        family->first = item;
    else
        family->last->next = item;
    family->last = item;
    return item;
}

static void pop_item(struct rem_family *family)
{
    family->first = family->first->next;
    if (family->first == NULL)
        family->last = NULL;
}

static int append(struct rem_family *family, struct rem_buf *list)
{
    struct rem_order_item *item = family->last;

    if (list == NULL)
        return REM_OK;
    if (item == NULL || item->bufs == NULL)
        item = push_item(family);
    if (item == NULL) {
        give_back(list);
        return REM_ECLOSED;
    }
    if (item->bufs == NULL)
        item->tail = &item->bufs;
    *item->tail = list;
    for (; list != NULL; list = list->next) {
        item->size += rem_buf_size(list);
        family->held += rem_buf_size(list);
        item->tail = &list->next;
    }
    return REM_OK;
}

int rem_order_reserve(struct rem_family *child)
{
    struct rem_family *parent = child->request->parent->family;

    child->place = push_item(parent);
    if (child->place == NULL)
        return REM_ENOMEM;
    child->place->child = child->request;
    return REM_OK;
}

void rem_order_drop(struct rem_family *family)
{
    for (struct rem_order_item *item = family->first; item != NULL; item = item->next) {
        struct rem_buf *list = item->bufs;

        item->bufs = NULL;
        give_back(list);
    }
    family->first = NULL;
    family->last = NULL;
    family->held = 0;
}

void rem_order_leave(struct rem_family *child)
{
    struct rem_request *parent = child->request->parent;

    rem_order_drop(child);
    if (child->place != NULL)
        child->place->child = NULL;
    child->place = NULL;
    if (child->root->family->active == child->request && !rem_family_is_root(child))
        child->root->family->active = parent;
}

/* ---- turns ---- */

static void take_turn(struct rem_family *root, struct rem_family *family)
{
    root->active = family->request;
    if (!family->stalled)
        return;
    family->stalled = false;
    wake(family);
}

/* Goes on from a member that has nothing waiting.  Returns: whether somebody else's turn is now. */
static bool pass_turn(struct rem_family *root, struct rem_family *family)
{
    struct rem_family *parent;

    if (family == root || !family->out_done)
        return false;
    parent = family->request->parent->family;
    REM_CHECK(parent->first == family->place);
    pop_item(parent);
    family->place = NULL;
    take_turn(root, parent);
    return true;
}

int rem_order_advance(struct rem_family *root)
{
    int rc = REM_OK;

    if (!may_pass(root))
        return REM_OK;
    while (rc == REM_OK) {
        struct rem_family *family = root->active->family;
        struct rem_order_item *item = family->first;
        struct rem_buf *list;

        if (item == NULL) {
            if (!pass_turn(root, family))
                break;
        } else if (item->bufs != NULL) {
            list = item->bufs;
            pop_item(family);
            family->held -= item->size;
            rc = pass(root, family, list);
            take_turn(root, family);
        } else if (item->child == NULL) {
            pop_item(family);
        } else {
            take_turn(root, item->child->family);
        }
    }
    return rc;
}

int rem_order_output(struct rem_request *request, struct rem_buf *list)
{
    struct rem_family *family = request->family, *root = family->root->family;
    bool direct = root->active == request && family->first == NULL && may_pass(root);
    int rc;

    if (root->request->over) {
        give_back(list);
        return REM_ECLOSED;
    }
    /* Filters behind may have something to go on with, whosever turn it is. */
    if (direct || (list == NULL && family == root && may_pass(root)))
        rc = pass(root, family, list);
    else
        rc = append(family, list);
    if (rc == REM_OK)
        rc = rem_order_advance(root);
    if (rc != REM_OK && rc != REM_EAGAIN)
        return rc;
    if (family->held >= ORDER_HELD_MAX) {
        family->stalled = true;
        return REM_EAGAIN;
    }
    /* That the client is slow holds up only whose turn it is. */
    return root->active == request ? rc : REM_OK;
}

/* ---- the module ---- */

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    if (request->parent != NULL)
        return request->exchange->send_head(request);
    return next->run(request, next->next);
}

static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next)
{
    if (request->family == NULL)
        return next->run(request, list, next->next);
    return rem_order_output(request, list);
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_header_filter(setup, on_head);

    return rc != 0 ? rc : rem_http_add_body_filter(setup, on_body);
}

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_order_module = {
    .name = "order",
    .kind = REM_MODULE_HTTP,
    .hooks = &hooks,
};
