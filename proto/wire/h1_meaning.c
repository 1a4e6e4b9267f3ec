/* SPDX-License-Identifier: Apache-2.0 */
/* h1_meaning.c - what the fields of a complete head say about the connection and the body. */
#include "proto/wire/h1_priv.h"

/* A client that names more fields in Connection than this is up to something. */
enum { MAX_OPTIONS = 64 };

/* What was met while walking the fields. */
struct met {
    struct rem_str coding; /* the value of Transfer-Encoding */
    unsigned hosts;
    unsigned lengths;
    unsigned codings;
    unsigned upgrades;
    bool connection;
    bool named; /* Connection names a field */
    bool option_upgrade;
    bool upgrade;
};

static bool is_response(const struct rem_h1_head *head)
{
    return head->cursor.kind == REM_H1_RESPONSE;
}

static int refuse(struct rem_h1_head *head, unsigned status, const char *client,
                  const char *upstream)
{
    return rem_h1_fail(head, status == 400 ? REM_EPROTO : REM_EUNSUPPORTED, status,
                       is_response(head) ? upstream : client);
}

/* Digits alone, below 2^63; a list of equal values is refused like one of different values. */
static int take_length(struct rem_h1_head *head, struct rem_str value)
{
    if (rem_str_to_u64(value, INT64_MAX, &head->content_length) != REM_OK)
        return refuse(head, 400, "client sent invalid \"Content-Length\" header",
                      "upstream sent invalid \"Content-Length\" header");
    head->flags |= REM_H1_HAS_LENGTH;
    return REM_OK;
}

/* Only "chunked" alone is served.  Lists that end in something else, or have it twice, or have
 * empty elements, are ambiguous (400); other codings are unknown (501). */
static int take_coding(struct rem_h1_head *head, struct rem_str value)
{
    struct rem_str rest = value;
    bool bad = value.n == 0;
    bool chunked = false;

    if (rem_str_eq_nocase(value, REM_STR("chunked"))) {
        head->framing = REM_FRAMING_CHUNKED;
        return REM_OK;
    }
    while (rest.p != NULL) {
        const char *comma = rem_str_chr(rest, ',');
        size_t n = comma != NULL ? (size_t)(comma - rest.p) : rest.n;
        struct rem_str item = rem_str_trim(rem_str_make(rest.p, n));

        bad = bad || chunked || item.n == 0;
        chunked = chunked || rem_str_eq_nocase(item, REM_STR("chunked"));
        rest = comma != NULL ? rem_str_skip(rest, n + 1) : (struct rem_str){NULL, 0};
    }
    return refuse(head, bad ? 400 : 501,
                  bad ? "client sent invalid \"Transfer-Encoding\" header"
                      : "client sent unknown \"Transfer-Encoding\"",
                  "upstream sent unknown \"Transfer-Encoding\"");
}

static int take_expect(struct rem_h1_head *head, struct rem_str value)
{
    if (is_response(head) || head->minor == 0)
        return REM_OK;
    if (!rem_str_eq_nocase(value, REM_STR("100-continue")))
        return rem_h1_fail(head, REM_EUNSUPPORTED, 417, "client sent unknown \"Expect\" header");
    head->flags |= REM_H1_EXPECT_CONTINUE;
    return REM_OK;
}

static void take_options(struct rem_h1_head *head, struct rem_str value, struct met *met)
{
    struct rem_str item;

    met->connection = true;
    while (rem_field_list_next(&value, &item)) {
        if (rem_str_eq_nocase(item, REM_STR("close")))
            head->flags |= REM_H1_CLOSE;
        else if (rem_str_eq_nocase(item, REM_STR("keep-alive")))
            head->flags |= REM_H1_KEEP_ALIVE;
        else if (rem_str_eq_nocase(item, REM_STR("upgrade")))
            met->option_upgrade = true;
        else
            met->named = true;
    }
}

/* h2c is never upgraded to, nor passed on: the upgraded stream would escape all routing. */
static bool offers_upgrade(struct rem_str value)
{
    struct rem_str item;
    bool any = false;

    while (rem_field_list_next(&value, &item)) {
        if (rem_str_eq_nocase(item, REM_STR("h2c")))
            return false;
        any = true;
    }
    return any;
}

static int take_field(struct rem_h1_head *head, struct rem_field *field, struct met *met)
{
    switch ((enum rem_field_id)field->id) {
    case REM_FIELD_HOST:
        if (++met->hosts > 1 && !is_response(head))
            return rem_h1_fail(head, REM_EPROTO, 400, "client sent duplicate host header");
        return REM_OK;
    case REM_FIELD_CONTENT_LENGTH:
        if (++met->lengths > 1)
            return refuse(head, 400, "client sent duplicate \"Content-Length\" header",
                          "upstream sent duplicate header line: \"Content-Length\"");
        return take_length(head, field->value);
    case REM_FIELD_TRANSFER_ENCODING:
        field->flags |= REM_FIELD_HOP;
        if (++met->codings > 1)
            return refuse(head, 400, "client sent duplicate \"Transfer-Encoding\" header",
                          "upstream sent duplicate header line: \"Transfer-Encoding\"");
        met->coding = field->value;
        return REM_OK;
    case REM_FIELD_EXPECT:
        return take_expect(head, field->value);
    case REM_FIELD_CONNECTION:
        field->flags |= REM_FIELD_HOP;
        take_options(head, field->value, met);
        return REM_OK;
    case REM_FIELD_UPGRADE:
        field->flags |= REM_FIELD_HOP;
        met->upgrade = ++met->upgrades == 1 && offers_upgrade(field->value);
        return REM_OK;
    default:
        if (REM_UNLIKELY(rem_field_is_hop((enum rem_field_id)field->id)))
            field->flags |= REM_FIELD_HOP;
        return REM_OK;
    }
}

/* Fields that frame or route the message stay whatever Connection names. */
static bool is_immune(enum rem_field_id id)
{
    return id == REM_FIELD_HOST || id == REM_FIELD_CONTENT_LENGTH ||
           id == REM_FIELD_TRANSFER_ENCODING;
}

static void mark_named(struct rem_h1_head *head, struct rem_str name)
{
    enum rem_field_id id = rem_field_id(name);

    if (is_immune(id))
        return;
    REM_FIELDS_EACH(field, &head->fields)
        if (field->id == id && (id != REM_FIELD_OTHER || rem_str_eq_nocase(field->name, name)))
            field->flags |= REM_FIELD_HOP;
}

static int mark_all_named(struct rem_h1_head *head)
{
    unsigned options = 0;

    REM_FIELDS_EACH(field, &head->fields) {
        struct rem_str rest = field->value;
        struct rem_str item;

        if (field->id != REM_FIELD_CONNECTION)
            continue;
        while (rem_field_list_next(&rest, &item)) {
            if (++options > MAX_OPTIONS)
                return refuse(head, 400, "client sent too many connection options",
                              "upstream sent too many connection options");
            mark_named(head, item);
        }
    }
    return REM_OK;
}

static int settle_framing(struct rem_h1_head *head, const struct met *met)
{
    if (met->codings == 0) {
        if (head->flags & REM_H1_HAS_LENGTH)
            head->framing = REM_FRAMING_LENGTH;
        return REM_OK;
    }
    if (head->minor == 0)
        return refuse(head, 400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header",
                      "upstream sent \"Transfer-Encoding\" header in HTTP/1.0 response");
    if (met->lengths != 0)
        return refuse(head, 400,
                      "client sent \"Content-Length\" and \"Transfer-Encoding\" headers "
                      "at the same time",
                      "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers "
                      "at the same time");
    return take_coding(head, met->coding);
}

int rem_h1_fields_finish(struct rem_h1_head *head, const char *buf)
{
    struct met met = {0};
    int rc = REM_OK;

    REM_FIELDS_EACH(field, &head->fields) {
        field->name = rem_h1_resolve(field->name, buf); /* of a bad head's last field, too */
        field->value = rem_h1_resolve(field->value, buf);
        if (field->id != REM_FIELD_OTHER && rc == REM_OK)
            rc = take_field(head, field, &met);
    }
    if (rc == REM_OK)
        rc = settle_framing(head, &met);
    if (rc != REM_OK)
        return rc;
    if (met.option_upgrade && met.upgrade && head->minor >= 1)
        head->flags |= REM_H1_UPGRADE;
    return met.named ? mark_all_named(head) : REM_OK;
}
