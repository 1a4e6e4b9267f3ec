# SPDX-License-Identifier: Apache-2.0
"""Small configurations, right and wrong, judged by nginx and by remora: both take them, or both refuse them for the same
reason.  They are in differential/verdicts.list."""
import os
import re
import subprocess

import pytest
from conftest import run_remora
from oracle import NGINX

HERE = os.path.dirname(os.path.abspath(__file__))
AROUND = {
    "S": "http { upstream u { server 127.0.0.1:1; } limit_req_zone $uri zone=z:1m rate=1r/s; limit_conn_zone $uri zone=c:1m;"
         " server { %s\n } }",
    "H": "http { %s\n }",
    "M": "%s"}


def read():
    cases, reason = [], None
    with open(HERE + "/differential/verdicts.list") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("! "):
                reason = line[2:]
            elif line and not line.startswith("#"):
                cases.append((line[0], line[2:], reason))
                reason = None
    return cases


def verdict(result):
    """None, or why not; where is left out: remora says it more often."""
    if result.returncode == 0:
        return None
    reason = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*)", result.stderr)
    return re.sub(r" in \S+:\d+$", "", reason[1]) if reason else result.stderr


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.parametrize("place, text, differs", read(), ids=lambda v: None)
def test_verdict(tmp_path, place, text, differs):
    path = tmp_path / "x.conf"
    inside = AROUND[place] % text.replace("@DIR@", str(tmp_path))
    events = "" if "events" in inside else "events { }\n"
    path.write_text(f"pid {tmp_path}/x.pid;\n{inside}\n{events}")
    os.mkdir(tmp_path / "logs")
    args = ["-t", "-p", f"{tmp_path}/", "-c", str(path)]
    theirs = subprocess.run([NGINX, *args, "-e", "stderr"], capture_output=True, text=True, timeout=30)
    ours = run_remora(*args)
    if differs:
        assert verdict(ours) != verdict(theirs), f"no longer different: {differs}"
    else:
        assert verdict(ours) == verdict(theirs), text
