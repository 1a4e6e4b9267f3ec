/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/base64.h"

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

bool rem_base64_decode(struct rem_str text, char *out, size_t *n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t made = 0;

    while (text.n > 0 && text.p[text.n - 1] == '=')
        text.n--;
    if (text.n % 4 == 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int value = base64_value(text.p[i]);

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[made++] = (char)(bits >> have & 0xff);
        }
    }
    *n = made;
    return true;
}
