/* SPDX-License-Identifier: Apache-2.0 */
/* auth_basic_password.h - passwords as htpasswd files keep them. */
#ifndef REM_HTTP_MOD_AUTH_BASIC_PASSWORD_H
#define REM_HTTP_MOD_AUTH_BASIC_PASSWORD_H

#include "proto/base/str.h"

enum { REM_PASSWORD_MAX = 512 };

/* Whether `password` is the one `stored` was made of: {PLAIN}, {SHA}, {SSHA}, $apr1$, or whatever
 * crypt(3) knows.  What is malformed is nobody's password. */
bool rem_password_matches(struct rem_str password, struct rem_str stored);

#endif
