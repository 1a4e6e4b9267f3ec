/* SPDX-License-Identifier: Apache-2.0 */
/* openapi.h - the OpenAPI document, as the build has put it into the program.
 *
 * Source:     openapi.yaml, written as openapi.json by tests/openapi.py --write.  */
#ifndef REM_API_OPENAPI_H
#define REM_API_OPENAPI_H

#include <stddef.h>

extern const unsigned char rem_openapi_json[];
extern const size_t rem_openapi_json_size;

#endif
