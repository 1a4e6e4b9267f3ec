/* SPDX-License-Identifier: Apache-2.0 */
/* Every edge between two states of an exchange: the legal ones are taken, the others abort. */
#include "proxy/upstream/upstream.h"

#include "proxy/upstream/upstream_priv.h"

#include "tests/unit/suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the order of the enum: what may follow what. */
static const char legal[REM_UPSTREAM_STATES][REM_UPSTREAM_STATES + 1] = {
    /* to:                       I N P C S H R T F */
    [REM_UPSTREAM_INIT] = "-xx-----x",     [REM_UPSTREAM_RESOLVE] = "--x-----x",
    [REM_UPSTREAM_PICK] = "---xx---x",     [REM_UPSTREAM_CONNECT] = "--x-x---x",
    [REM_UPSTREAM_SEND] = "--x--x--x",     [REM_UPSTREAM_READ_HEAD] = "--x---xxx",
    [REM_UPSTREAM_RELAY] = "--------x",    [REM_UPSTREAM_TUNNEL] = "--------x",
    [REM_UPSTREAM_FINALIZE] = "---------",
};

/* Returns: whether the move was made, in a process of its own. */
static bool moves(enum rem_upstream_state from, enum rem_upstream_state to)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct rem_request request = {.log = {.log = rem_log_stderr(REM_LOG_STDERR)}};
        struct rem_upstream_exchange x = {
            .magic = REM_UPSTREAM_MAGIC, .request = &request, .state = from};
        int null = open("/dev/null", O_WRONLY);

        (void)dup2(null, STDERR_FILENO);
        rem_upstream_goto(&x, to);
        _exit(x.state == to ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
    ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
    return WIFEXITED(status);
}

START_TEST(edges)
{
    enum rem_upstream_state from = (enum rem_upstream_state)(_i / REM_UPSTREAM_STATES);
    enum rem_upstream_state to = (enum rem_upstream_state)(_i % REM_UPSTREAM_STATES);

    ck_assert_msg(moves(from, to) == (legal[from][to] == 'x'), "%s to %s",
                  rem_upstream_state_name(from), rem_upstream_state_name(to));
}
END_TEST

START_TEST(names)
{
    for (int i = 0; i < REM_UPSTREAM_STATES; i++)
        ck_assert_ptr_nonnull(rem_upstream_state_name((enum rem_upstream_state)i));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("states");

    tcase_add_loop_test(tc, edges, 0, REM_UPSTREAM_STATES * REM_UPSTREAM_STATES);
    tcase_add_test(tc, names);
    return run_suite("upstream", tc);
}
