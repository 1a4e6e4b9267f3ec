/* SPDX-License-Identifier: Apache-2.0 */
/* title.h - what `ps` shows: "remora: worker process".
 *
 * How:   the kernel shows the memory that argv and the environment lay in at start.  It is vacated
 *        once and then written over.
 * State: that memory belongs to the process, so where it is is the one thing kept in a static.  */
#ifndef REM_PROCESS_TITLE_H
#define REM_PROCESS_TITLE_H

/* Moves argv and the environment elsewhere.  To be called first in main().
 * Returns: argv as it is to be used from now on; the old one when memory is short (titles then stay
 * what they are). */
char **rem_title_init(int argc, char **argv);

/* "remora: TEXT", cut to the room there is. */
void rem_title_set(const char *text);

#endif
