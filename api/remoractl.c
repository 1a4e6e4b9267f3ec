/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl: looks at and changes a running remora through its admin API. */
#include "api/remoractl_commands.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct rem_ctl_args args;
    struct rem_err err = {0};
    int status = REM_CTL_OK;

    if (rem_ctl_args_parse(argc, argv, getenv("REMORA_ADMIN"), getenv("REMORA_TOKEN_FILE"), &args,
                           &err) != 0) {
        (void)fprintf(stderr, "remoractl: %s\n", err.text);
        return REM_CTL_FAILED;
    }
    if (args.help)
        rem_ctl_help(args.command);
    else if (args.version)
        (void)puts("remoractl " REM_VERSION);
    else
        status = args.command->run(&args);
    /* What was printed must have got somewhere. */
    if (fflush(stdout) != 0 && status == REM_CTL_OK) {
        perror("remoractl: stdout");
        status = REM_CTL_FAILED;
    }
    return status;
}
