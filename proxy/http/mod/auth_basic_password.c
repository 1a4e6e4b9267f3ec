/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/auth_basic_password.h"

#include "proto/base/base64.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { SHA1_SIZE = 20, MD5_SIZE = 16, APR1_SALT = 8, APR1_ROUNDS = 1000 };

/* In time that does not depend on where they differ. */
static bool same(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

/* ---- {SHA} and {SSHA} ---- */

/* `digest` is of the password and the salt behind it. */
static bool sha_matches(struct rem_str password, struct rem_str text, bool salted)
{
    char bytes[REM_PASSWORD_MAX];
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md;
    size_t n;
    bool ok;

    if (text.n > sizeof(bytes) || !rem_base64_decode(text, bytes, &n) || n < SHA1_SIZE ||
        (!salted && n != SHA1_SIZE))
        return false;
    md = EVP_MD_CTX_new();
    ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha1(), NULL) == 1 &&
         EVP_DigestUpdate(md, password.p, password.n) == 1 &&
         EVP_DigestUpdate(md, bytes + SHA1_SIZE, n - SHA1_SIZE) == 1 &&
         EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok && same(digest, bytes, SHA1_SIZE);
}

/* ---- $apr1$: Apache's variant of crypt's MD5 scheme ---- */

static bool md5(EVP_MD_CTX *md, const struct rem_str *parts, size_t count,
                unsigned char digest[EVP_MAX_MD_SIZE])
{
    if (EVP_DigestInit_ex(md, EVP_md5(), NULL) != 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n != 0 && EVP_DigestUpdate(md, parts[i].p, parts[i].n) != 1)
            return false;
    }
    return EVP_DigestFinal_ex(md, digest, NULL) == 1;
}

static struct rem_str digest_str(const unsigned char *digest, size_t n)
{
    return rem_str_make((const char *)digest, n);
}

/* The first digest: password, magic, salt; as many bytes of the digest of password, salt, password
 * as the password has; and for each bit of that length, lowest first, a NUL (1) or the password's
 * first byte (0). */
static bool apr1_start(EVP_MD_CTX *md, struct rem_str password, struct rem_str salt,
                       unsigned char digest[EVP_MAX_MD_SIZE])
{
    const struct rem_str inner[] = {password, salt, password};
    bool ok = md5(md, inner, REM_COUNT(inner), digest) &&
              EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1 &&
              EVP_DigestUpdate(md, password.p, password.n) == 1 &&
              EVP_DigestUpdate(md, "$apr1$", 6) == 1 && EVP_DigestUpdate(md, salt.p, salt.n) == 1;

    for (size_t left = password.n; ok && left > 0;) {
        size_t n = left < MD5_SIZE ? left : MD5_SIZE;

        ok = EVP_DigestUpdate(md, digest, n) == 1;
        left -= n;
    }
    for (size_t length = password.n; ok && length != 0; length >>= 1)
        ok = EVP_DigestUpdate(md, (length & 1) != 0 ? "" : password.p, 1) == 1;
    return ok && EVP_DigestFinal_ex(md, digest, NULL) == 1;
}

static bool apr1_digest(EVP_MD_CTX *md, struct rem_str password, struct rem_str salt,
                        unsigned char digest[EVP_MAX_MD_SIZE])
{
    bool ok = apr1_start(md, password, salt, digest);

    for (unsigned i = 0; ok && i < APR1_ROUNDS; i++) {
        struct rem_str last = digest_str(digest, MD5_SIZE);
        struct rem_str none = {NULL, 0};
        const struct rem_str parts[] = {
            i % 2 != 0 ? password : last,
            i % 3 != 0 ? salt : none,
            i % 7 != 0 ? password : none,
            i % 2 != 0 ? last : password,
        };

        ok = md5(md, parts, REM_COUNT(parts), digest);
    }
    return ok;
}

/* 22 characters of crypt's own alphabet, the bytes taken in its own order. */
static void apr1_text(const unsigned char *digest, char text[22])
{
    static const char alphabet[] =
        "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const uint8_t order[5][3] = {{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}};
    size_t at = 0;

    for (size_t i = 0; i < REM_COUNT(order); i++) {
        uint32_t bits = (uint32_t)digest[order[i][0]] << 16 | (uint32_t)digest[order[i][1]] << 8 |
                        digest[order[i][2]];

        for (int k = 0; k < 4; k++, bits >>= 6)
            text[at++] = alphabet[bits & 0x3f];
    }
    text[at++] = alphabet[digest[11] & 0x3f];
    text[at] = alphabet[digest[11] >> 6];
}

/* `rest` is what stands behind "$apr1$": SALT$TEXT. */
static bool apr1_matches(struct rem_str password, struct rem_str rest)
{
    const char *dollar = rem_str_chr(rest, '$');
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct rem_str salt, text;
    char made[22];
    EVP_MD_CTX *md;
    bool ok;

    if (dollar == NULL)
        return false;
    salt = rem_str_make(rest.p, (size_t)(dollar - rest.p));
    text = rem_str_skip(rest, salt.n + 1);
    if (salt.n > APR1_SALT)
        salt.n = APR1_SALT;
    if (text.n != sizeof(made))
        return false;
    md = EVP_MD_CTX_new();
    ok = md != NULL && apr1_digest(md, password, salt, digest);
    EVP_MD_CTX_free(md);
    if (!ok)
        return false;
    apr1_text(digest, made);
    return same(made, text.p, sizeof(made));
}

/* ---- crypt(3) ---- */

static bool crypt_matches(struct rem_str password, struct rem_str stored)
{
    char key[REM_PASSWORD_MAX], setting[REM_PASSWORD_MAX];
    struct crypt_data *data;
    const char *made;
    bool ok;

    if (password.n >= sizeof(key) || stored.n >= sizeof(setting))
        return false;
    memcpy(key, password.p, password.n);
    key[password.n] = '\0';
    memcpy(setting, stored.p, stored.n);
    setting[stored.n] = '\0';
    data = OPENSSL_zalloc(sizeof(*data)); /* some 32 KiB: no place on the stack */
    made = data != NULL ? crypt_r(key, setting, data) : NULL;
    /* A text that begins with "*" says that the setting is none. */
    ok =
        made != NULL && made[0] != '*' && strlen(made) == stored.n && same(made, setting, stored.n);
    OPENSSL_clear_free(data, sizeof(*data));
    OPENSSL_cleanse(key, sizeof(key));
    return ok;
}

bool rem_password_matches(struct rem_str password, struct rem_str stored)
{
    if (memchr(password.p, '\0', password.n) != NULL)
        return false;
    if (rem_str_has_prefix(stored, REM_STR("{PLAIN}"))) {
        struct rem_str plain = rem_str_skip(stored, 7);

        return plain.n == password.n && same(plain.p, password.p, plain.n);
    }
    if (rem_str_has_prefix(stored, REM_STR("{SHA}")))
        return sha_matches(password, rem_str_skip(stored, 5), false);
    if (rem_str_has_prefix(stored, REM_STR("{SSHA}")))
        return sha_matches(password, rem_str_skip(stored, 6), true);
    if (rem_str_has_prefix(stored, REM_STR("$apr1$")))
        return apr1_matches(password, rem_str_skip(stored, 6));
    return stored.n != 0 && crypt_matches(password, stored);
}
