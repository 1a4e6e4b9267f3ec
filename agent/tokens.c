/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tokens.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A file that was written less than so long ago is read again at the next look: another write may
 * carry the same time stamp. */
enum { UNSETTLED_SEC = 2 };

static bool digest_of(const struct rem_tokens *tokens, struct rem_str text,
                      unsigned char out[REM_TOKENS_DIGEST])
{
    unsigned n = 0;

    return EVP_DigestInit_ex2(tokens->digest, tokens->sha256, NULL) == 1 &&
           EVP_DigestUpdate(tokens->digest, text.p, text.n) == 1 &&
           EVP_DigestFinal_ex(tokens->digest, out, &n) == 1 && n == REM_TOKENS_DIGEST;
}

/* Whether two looks at a path found the same file with the same bytes, as far as stat() tells. */
static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Tells once of each change for the worse. */
static void complain(const struct rem_tokens *tokens, struct rem_token *token,
                     const struct rem_err *err)
{
    if (token->looked && !token->valid)
        return;
    REM_LOG(tokens->log, REM_LOG_ERROR, 0,
            "the file \"%s\" of token \"%.*s\" in %.*s %s: the token is not accepted",
            token->spec->path, REM_STR_ARG(token->spec->name), REM_STR_ARG(token->spec->place),
            err->text);
}

static void read_token(const struct rem_tokens *tokens, struct rem_token *token)
{
    struct rem_admin_secret secret = {.n = 0};
    unsigned char former[REM_TOKENS_DIGEST];
    struct rem_err err = {0};
    bool valid;

    memcpy(former, token->digest, sizeof(former));
    valid = rem_admin_secret_read(token->spec->path, &secret, &err) == REM_OK &&
            digest_of(tokens, rem_str_make(secret.text, secret.n), token->digest);

    if (!valid)
        complain(tokens, token, &err);
    else if (token->looked && (!token->valid || memcmp(former, token->digest, sizeof(former)) != 0))
        REM_LOG(tokens->log, REM_LOG_NOTICE, 0, "token \"%.*s\" was read again from \"%s\"",
                REM_STR_ARG(token->spec->name), token->spec->path);
    token->valid = valid;
    token->st = secret.st;
    token->unsettled = tokens->clock->wall_sec - secret.st.st_ctim.tv_sec < UNSETTLED_SEC;
    token->looked = true;
    explicit_bzero(&secret, sizeof(secret));
}

static void look(const struct rem_tokens *tokens, struct rem_token *token)
{
    struct stat st;

    if (token->valid && !token->unsettled && stat(token->spec->path, &st) == 0 &&
        same_file(&st, &token->st))
        return;
    read_token(tokens, token);
}

int rem_tokens_init(struct rem_tokens *tokens, const struct rem_admin_token *specs,
                    const struct rem_log *log, const struct rem_clock *clock)
{
    size_t n = 0;

    *tokens = (struct rem_tokens){.log = log, .clock = clock, .looked_ms = clock->mono_ms};
    for (const struct rem_admin_token *spec = specs; spec != NULL; spec = spec->next)
        n++;
    if (n == 0)
        return REM_OK;
    tokens->each = calloc(n, sizeof(*tokens->each));
    tokens->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    tokens->digest = EVP_MD_CTX_new();
    if (tokens->each == NULL || tokens->sha256 == NULL || tokens->digest == NULL)
        return REM_ENOMEM;
    for (const struct rem_admin_token *spec = specs; spec != NULL; spec = spec->next) {
        struct rem_token *token = &tokens->each[tokens->count++];

        token->spec = spec;
        (void)snprintf(token->who, sizeof(token->who), "token:%.*s", REM_STR_ARG(spec->name));
        read_token(tokens, token);
    }
    return REM_OK;
}

void rem_tokens_fini(struct rem_tokens *tokens)
{
    if (tokens->each != NULL)
        explicit_bzero(tokens->each, tokens->count * sizeof(*tokens->each));
    free(tokens->each);
    EVP_MD_CTX_free(tokens->digest);
    EVP_MD_free(tokens->sha256);
    *tokens = (struct rem_tokens){0};
}

const struct rem_token *rem_tokens_find(struct rem_tokens *tokens, struct rem_str text)
{
    unsigned char digest[REM_TOKENS_DIGEST];
    const struct rem_token *found = NULL;

    if (tokens->clock->mono_ms - tokens->looked_ms >= REM_TOKENS_LOOK_MS) {
        tokens->looked_ms = tokens->clock->mono_ms;
        for (size_t i = 0; i < tokens->count; i++)
            look(tokens, &tokens->each[i]);
    }
    if (!digest_of(tokens, text, digest))
        return NULL;
    for (size_t i = 0; i < tokens->count; i++) {
        const struct rem_token *token = &tokens->each[i];
        bool same = CRYPTO_memcmp(token->digest, digest, sizeof(digest)) == 0;

        if (same && token->valid && found == NULL)
            found = token;
    }
    return found;
}
