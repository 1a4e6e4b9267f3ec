/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/handover.h"

#include "tests/unit/proto/shm/fixture.h"

#include <unistd.h>

START_TEST(messages_pass_whole)
{
    struct rem_msg out = {.kind = REM_MSG_RELOADED, .result = -3, .generation = 7, .sec = 8};
    struct rem_msg in;
    int fds[2];

    ck_assert_int_eq(rem_msg_pair(fds), REM_OK);
    ck_assert_int_eq(rem_msg_recv(fds[1], &in), REM_EAGAIN);
    memset(out.text, 'x', sizeof(out.text)); /* no NUL: the receiver adds one */
    ck_assert_int_eq(rem_msg_send(fds[0], &out), REM_OK);
    out.kind = REM_MSG_QUIT;
    ck_assert_int_eq(rem_msg_send(fds[0], &out), REM_OK);
    ck_assert_int_eq(rem_msg_recv(fds[1], &in), REM_OK);
    ck_assert_uint_eq(in.kind, REM_MSG_RELOADED);
    ck_assert_int_eq(in.result, -3);
    ck_assert_uint_eq(in.generation, 7);
    ck_assert_int_eq(in.sec, 8);
    ck_assert_uint_eq(strlen(in.text), sizeof(in.text) - 1);
    ck_assert_int_eq(rem_msg_recv(fds[1], &in), REM_OK);
    ck_assert_uint_eq(in.kind, REM_MSG_QUIT);
    close(fds[0]);
    ck_assert_int_eq(rem_msg_recv(fds[1], &in), REM_ECLOSED);
    ck_assert_int_eq(rem_msg_send(fds[1], &out), REM_ECLOSED);
    close(fds[1]);
    ck_assert_int_eq(rem_msg_send(fds[1], &out), REM_EIO);
}
END_TEST

START_TEST(other_bytes_are_refused)
{
    struct rem_msg msg = {.kind = 99}, in;
    int fds[2];

    ck_assert_int_eq(rem_msg_pair(fds), REM_OK);
    ck_assert_int_eq(write(fds[0], "abc", 3), 3);
    ck_assert_int_eq(rem_msg_recv(fds[1], &in), REM_EPROTO);
    ck_assert_int_eq(rem_msg_send(fds[0], &msg), REM_OK);
    ck_assert_int_eq(rem_msg_recv(fds[1], &in), REM_EPROTO);
    msg.kind = REM_MSG_READY;
    int sent = 0;
    int rc;
    while ((rc = rem_msg_send(fds[0], &msg)) == REM_OK)
        sent++;
    ck_assert_int_eq(rc, REM_EAGAIN);
    ck_assert_int_gt(sent, 4);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("handover");

    tcase_add_test(tcase, messages_pass_whole);
    tcase_add_test(tcase, other_bytes_are_refused);
    return run_suite("handover", tcase);
}
