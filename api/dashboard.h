/* SPDX-License-Identifier: Apache-2.0 */
/* dashboard.h - the page at "/" of the admin listeners, for people.
 *
 * Made of:    dashboard/page.html, style.css and script.js, put into one page by the build.
 * Rights:     the page itself says nothing about the instance and needs no role; what it asks the
 *             API needs what it always needs.
 * Safety:     nothing is loaded from elsewhere and no other script runs in it, by its
 *             Content-Security-Policy.  */
#ifndef REM_API_DASHBOARD_H
#define REM_API_DASHBOARD_H

#include "api/call.h"

/* Made by the build. */
extern const unsigned char rem_dashboard_page[];
extern const size_t rem_dashboard_page_size;

int rem_dashboard_get(struct rem_api_call *call);

#endif
