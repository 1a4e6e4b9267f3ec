/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/journal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC UINT64_C(0x6c6e6a61726f6d72)

enum { LAYOUT = 2, UNIT = 8, DEFLATED = 1, SEQUENCES_PER_SECOND = 1000000 };

/* Positions only grow; where a position lies is its remainder.  The first is not zero. */
struct ring {
    uint64_t off; /* in the mapping */
    uint64_t size;
    _Atomic uint64_t first;    /* oldest record (release: it is gone before it is overwritten) */
    _Atomic uint64_t end;      /* behind the latest (release: it is whole before it counts) */
    _Atomic uint64_t prepared; /* == end: a whole record lies there that does not count yet */
    _Atomic uint64_t dropped;  /* number of the latest record that is gone */
};

struct rem_journal_map {
    uint64_t magic;
    uint32_t layout;
    uint32_t reserved;
    uint64_t size;
    _Atomic uint64_t sequence; /* the last one given */
    _Atomic uint64_t marks[REM_JOURNAL_MARKS];
    struct ring rings[REM_JOURNAL_RINGS];
};

/* In front of each body. */
struct head {
    uint32_t size; /* with the head, a multiple of UNIT */
    uint32_t kind; /* PADDING: `size` bytes up to the ring's end, and there is nothing else here */
    uint64_t sequence;
    uint64_t revision;
    int64_t wall_ms;
    uint32_t head;
    uint32_t raw;
    uint32_t stored;
    uint32_t flags;
};

_Static_assert(sizeof(struct head) % UNIT == 0, "layout");

enum { DATA = 4096, MAP_SIZE = DATA + REM_JOURNAL_CHANGES_SIZE + REM_JOURNAL_OTHERS_SIZE };

_Static_assert(sizeof(struct rem_journal_map) <= DATA, "layout");

static unsigned ring_of(enum rem_journal_kind kind)
{
    return kind != REM_JOURNAL_REVISION;
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static struct head *head_at(const struct rem_journal *journal, const struct ring *ring, uint64_t at)
{
    return (void *)((char *)journal->map + ring->off + at % ring->size);
}

/* ---- life ---- */

static int map_it(struct rem_journal *journal, int fd)
{
    void *at = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

    if (at == MAP_FAILED)
        return REM_EIO;
    *journal = (struct rem_journal){
        .map = at, .fd = fd, .limits = {REM_JOURNAL_CHANGES, REM_JOURNAL_OTHERS}};
    return REM_OK;
}

int rem_journal_create(struct rem_journal *journal, int64_t wall_sec)
{
    int fd = memfd_create("remora-journal", MFD_CLOEXEC);
    struct rem_journal_map *map;

    if (fd < 0)
        return REM_EIO;
    if (ftruncate(fd, MAP_SIZE) != 0 || map_it(journal, fd) != REM_OK) {
        close(fd);
        return REM_EIO;
    }
    map = journal->map;
    map->layout = LAYOUT;
    map->size = MAP_SIZE;
    map->rings[0] = (struct ring){.off = DATA, .size = REM_JOURNAL_CHANGES_SIZE};
    map->rings[1] =
        (struct ring){.off = DATA + REM_JOURNAL_CHANGES_SIZE, .size = REM_JOURNAL_OTHERS_SIZE};
    store(&map->sequence, (uint64_t)wall_sec * SEQUENCES_PER_SECOND);
    for (unsigned i = 0; i < REM_JOURNAL_RINGS; i++) {
        store(&map->rings[i].first, map->rings[i].size);
        store(&map->rings[i].end, map->rings[i].size);
        store(&map->rings[i].dropped, load(&map->sequence));
    }
    map->magic = MAGIC;
    return REM_OK;
}

int rem_journal_attach(struct rem_journal *journal, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return REM_EIO;
    if (st.st_size != MAP_SIZE)
        return REM_EINVAL;
    if (map_it(journal, fd) != REM_OK)
        return REM_EIO;
    if (journal->map->magic == MAGIC && journal->map->layout == LAYOUT &&
        journal->map->size == MAP_SIZE)
        return REM_OK;
    (void)munmap(journal->map, MAP_SIZE);
    journal->map = NULL;
    return REM_EINVAL;
}

void rem_journal_close(struct rem_journal *journal)
{
    if (journal->map == NULL)
        return;
    (void)munmap(journal->map, MAP_SIZE);
    close(journal->fd);
    journal->map = NULL;
}

/* ---- the old end of a ring ---- */

/* Gives back the pages between two positions that hold nothing any more. */
static void give_back(const struct rem_journal *journal, const struct ring *ring, uint64_t from,
                      uint64_t to)
{
    const uint64_t page = 4096;
    uint64_t begin = from / page * page; /* what lies before `from` is gone already */
    uint64_t end = to / page * page;

    /* One lap later, the same page may hold what is newest. */
    if (load(&ring->end) > begin + ring->size)
        begin += page;
    for (; begin < end; begin += page)
        (void)madvise((char *)journal->map + ring->off + begin % ring->size, page, MADV_REMOVE);
}

/* Drops the oldest record. */
static void drop_first(struct rem_journal *journal, unsigned which)
{
    struct ring *ring = &journal->map->rings[which];
    uint64_t first = load(&ring->first), next = first;
    const struct head *head = head_at(journal, ring, next);

    next += head->size;
    if (head->kind != REM_JOURNAL_PADDING) {
        journal->counts[which]--;
        store(&ring->dropped, head->sequence);
    }
    store(&ring->first, next);
    give_back(journal, ring, first, next);
}

static void drop_beyond(struct rem_journal *journal, unsigned which, uint32_t limit)
{
    const struct ring *ring = &journal->map->rings[which];

    while (journal->counts[which] > limit && load(&ring->first) != load(&ring->end))
        drop_first(journal, which);
}

/* ---- the new end ---- */

/* Makes room for `size` bytes in one piece behind the end.  Returns: their position. */
static uint64_t make_room(struct rem_journal *journal, unsigned which, uint32_t size)
{
    struct ring *ring = &journal->map->rings[which];
    uint64_t end = load(&ring->end), rest = ring->size - end % ring->size;
    uint64_t at = rest < size ? end + rest : end;

    while (at + size > load(&ring->first) + ring->size)
        drop_first(journal, which);
    if (at != end) {
        struct head *padding = head_at(journal, ring, end);
        padding->size = (uint32_t)rest;
        padding->kind = REM_JOURNAL_PADDING;
        store(&ring->end, at);
    }
    return at;
}

/* Deflates into fresh memory.  Returns: its size; 0 without memory. */
static size_t pack(struct rem_str body, Bytef **out)
{
    uLongf size = compressBound(body.n);

    *out = malloc(size);
    if (*out == NULL)
        return 0;
    if (compress2(*out, &size, (const Bytef *)body.p, body.n, Z_BEST_SPEED) != Z_OK) {
        free(*out);
        *out = NULL;
        return 0;
    }
    return size;
}

static uint64_t write_record(struct rem_journal *journal, struct rem_journal_record *record,
                             struct rem_str stored, uint32_t raw)
{
    unsigned which = ring_of(record->kind);
    struct ring *ring = &journal->map->rings[which];
    uint32_t size = (uint32_t)((sizeof(struct head) + stored.n + UNIT - 1) / UNIT * UNIT);
    uint64_t at = make_room(journal, which, size);
    struct head *head = head_at(journal, ring, at);

    record->sequence = load(&journal->map->sequence) + 1;
    *head = (struct head){
        .size = size,
        .kind = record->kind,
        .sequence = record->sequence,
        .revision = record->revision,
        .wall_ms = record->wall_ms,
        .head = record->head,
        .raw = raw,
        .stored = (uint32_t)stored.n,
        .flags = stored.n != raw ? DEFLATED : 0,
    };
    if (stored.n != 0)
        memcpy(head + 1, stored.p, stored.n);
    store(&journal->map->sequence, record->sequence);
    return at;
}

/* Writes the record behind the end, where it does not count yet.  *out: its position. */
static int put(struct rem_journal *journal, struct rem_journal_record *record, struct rem_str body,
               uint64_t *out)
{
    struct rem_str stored = body;
    Bytef *packed = NULL;

    if (body.n > REM_JOURNAL_RAW_MAX)
        return REM_ETOOBIG;
    if (body.n >= REM_JOURNAL_DEFLATE_MIN) {
        size_t n = pack(body, &packed);
        if (n == 0)
            return REM_ENOMEM;
        if (n < body.n)
            stored = rem_str_make((const char *)packed, n);
    }
    if (stored.n >
        (ring_of(record->kind) == 0 ? REM_JOURNAL_BODY_MAX : REM_JOURNAL_OTHERS_SIZE / 8)) {
        free(packed);
        return REM_ETOOBIG;
    }
    *out = write_record(journal, record, stored, (uint32_t)body.n);
    free(packed);
    return REM_OK;
}

/* The record at `at`, which is the ring's end, counts from here on. */
static void accept(struct rem_journal *journal, unsigned which, uint64_t at)
{
    struct ring *ring = &journal->map->rings[which];

    store(&ring->end, at + head_at(journal, ring, at)->size);
    store(&ring->prepared, 0);
    journal->counts[which]++;
    drop_beyond(journal, which, journal->limits[which]);
}

int rem_journal_append(struct rem_journal *journal, struct rem_journal_record *record,
                       struct rem_str body)
{
    uint64_t at;
    int rc;

    if (record->kind == REM_JOURNAL_REVISION)
        store(&journal->map->rings[0].prepared, 0);
    rc = put(journal, record, body, &at);
    if (rc == REM_OK)
        accept(journal, ring_of(record->kind), at);
    return rc;
}

int rem_journal_prepare(struct rem_journal *journal, struct rem_journal_record *record,
                        struct rem_str body)
{
    unsigned which = ring_of(record->kind);
    uint64_t at;
    int rc;

    store(&journal->map->rings[which].prepared, 0);
    rc = put(journal, record, body, &at);
    if (rc == REM_OK)
        store(&journal->map->rings[which].prepared, at);
    return rc;
}

void rem_journal_commit(struct rem_journal *journal)
{
    for (unsigned which = 0; which < REM_JOURNAL_RINGS; which++) {
        const struct ring *ring = &journal->map->rings[which];
        uint64_t at = load(&ring->prepared);
        if (at != 0 && at == load(&ring->end))
            accept(journal, which, at);
    }
}

void rem_journal_recover(struct rem_journal *journal, uint64_t revision, uint32_t history)
{
    journal->limits[0] = history > REM_JOURNAL_CHANGES ? history : REM_JOURNAL_CHANGES;
    for (unsigned which = 0; which < REM_JOURNAL_RINGS; which++) {
        struct ring *ring = &journal->map->rings[which];
        uint64_t end = load(&ring->end), prepared = load(&ring->prepared);
        journal->counts[which] = 0;
        for (uint64_t at = load(&ring->first); at != end;) {
            const struct head *head = head_at(journal, ring, at);
            journal->counts[which] += head->kind != REM_JOURNAL_PADDING;
            at += head->size;
        }
        if (prepared != 0 && prepared == end &&
            head_at(journal, ring, prepared)->revision <= revision)
            accept(journal, which, prepared);
        store(&ring->prepared, 0);
        drop_beyond(journal, which, journal->limits[which]);
    }
}

void rem_journal_cancel(struct rem_journal *journal)
{
    for (unsigned which = 0; which < REM_JOURNAL_RINGS; which++)
        store(&journal->map->rings[which].prepared, 0);
}

uint64_t rem_journal_mark(const struct rem_journal *journal, enum rem_journal_mark mark)
{
    return load(&journal->map->marks[mark]);
}

void rem_journal_set_mark(struct rem_journal *journal, enum rem_journal_mark mark, uint64_t value)
{
    store(&journal->map->marks[mark], value);
}

/* ---- reading ---- */

static void read_record(const struct head *head, struct rem_journal_record *out)
{
    *out = (struct rem_journal_record){
        .kind = head->kind,
        .sequence = head->sequence,
        .revision = head->revision,
        .wall_ms = head->wall_ms,
        .head = head->head,
        .body = rem_str_make((const char *)(head + 1), head->stored),
        .raw = head->raw,
        .deflated = head->flags & DEFLATED,
    };
}

uint64_t rem_journal_sequence(const struct rem_journal *journal)
{
    return load(&journal->map->sequence);
}

/* The first record at or behind *at; moves *at to it.  NULL: there is none. */
static const struct head *look(const struct rem_journal *journal, unsigned which, uint64_t *at)
{
    const struct ring *ring = &journal->map->rings[which];

    while (*at != load(&ring->end)) {
        const struct head *head = head_at(journal, ring, *at);
        if (head->kind != REM_JOURNAL_PADDING)
            return head;
        *at += head->size;
    }
    return NULL;
}

void rem_journal_seek_end(const struct rem_journal *journal, struct rem_journal_cursor *out)
{
    for (unsigned which = 0; which < REM_JOURNAL_RINGS; which++)
        out->at[which] = load(&journal->map->rings[which].end);
}

bool rem_journal_seek(const struct rem_journal *journal, uint64_t sequence,
                      struct rem_journal_cursor *out)
{
    bool known = sequence <= rem_journal_sequence(journal);

    for (unsigned which = 0; which < REM_JOURNAL_RINGS; which++) {
        const struct ring *ring = &journal->map->rings[which];
        const struct head *head;
        known = known && sequence >= load(&ring->dropped);
        out->at[which] = load(&ring->first);
        while ((head = look(journal, which, &out->at[which])) != NULL && head->sequence <= sequence)
            out->at[which] += head->size;
    }
    if (!known)
        rem_journal_seek_end(journal, out);
    return known;
}

int rem_journal_next(const struct rem_journal *journal, struct rem_journal_cursor *cursor,
                     struct rem_journal_record *out)
{
    const struct head *best = NULL;
    unsigned from = 0;

    for (unsigned which = 0; which < REM_JOURNAL_RINGS; which++) {
        const struct head *head;
        uint64_t first = load(&journal->map->rings[which].first);
        if (cursor->at[which] == 0)
            cursor->at[which] = first;
        if (cursor->at[which] < first)
            return REM_EFULL;
        head = look(journal, which, &cursor->at[which]);
        if (head != NULL && (best == NULL || head->sequence < best->sequence)) {
            best = head;
            from = which;
        }
    }
    if (best == NULL)
        return REM_EAGAIN;
    read_record(best, out);
    cursor->at[from] += best->size;
    return REM_OK;
}

int rem_journal_revision(const struct rem_journal *journal, uint64_t revision,
                         struct rem_journal_record *out)
{
    const struct head *head;
    uint64_t at = load(&journal->map->rings[0].first);

    for (; (head = look(journal, 0, &at)) != NULL; at += head->size) {
        if (head->revision == revision) {
            read_record(head, out);
            return REM_OK;
        }
    }
    return REM_ENOTFOUND;
}

/* Inflates the first `size` bytes. */
static int unpack(const struct rem_journal_record *record, char *out, size_t size)
{
    z_stream stream = {
        .next_in = (Bytef *)(uintptr_t)record->body.p,
        .avail_in = (uInt)record->body.n,
        .next_out = (Bytef *)out,
        .avail_out = (uInt)size,
    };
    int rc;

    if (inflateInit(&stream) != Z_OK)
        return REM_ENOMEM;
    rc = inflate(&stream, Z_SYNC_FLUSH);
    (void)inflateEnd(&stream);
    return (rc == Z_OK || rc == Z_STREAM_END) && stream.avail_out == 0 ? REM_OK : REM_EPROTO;
}

static int read_first(const struct rem_journal_record *record, size_t size, struct rem_sbuf *out)
{
    char *raw;
    int rc;

    if (!record->deflated) {
        rem_sbuf_add(out, rem_str_make(record->body.p, size));
        return out->failed ? REM_ENOMEM : REM_OK;
    }
    raw = malloc(size != 0 ? size : 1);
    if (raw == NULL)
        return REM_ENOMEM;
    rc = unpack(record, raw, size);
    if (rc == REM_OK)
        rem_sbuf_add(out, rem_str_make(raw, size));
    free(raw);
    return rc == REM_OK && out->failed ? REM_ENOMEM : rc;
}

int rem_journal_body(const struct rem_journal_record *record, struct rem_sbuf *out)
{
    return read_first(record, record->raw, out);
}

int rem_journal_head(const struct rem_journal_record *record, struct rem_sbuf *out)
{
    return read_first(record, record->head < record->raw ? record->head : record->raw, out);
}
