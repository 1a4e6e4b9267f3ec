#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api_bench.py - the admin API's speed, idle and while wrk runs, and what it does to wrk's latency.

usage: api_bench.py BUILD [CASE...]      BUILD is a Release build with remora and bench_api_bench"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CONF = """\
worker_processes 1;
daemon off;
pid %(dir)s/pid;
error_log %(dir)s/error.log;
shared_memory 512m;
events { worker_connections 1024; }
admin { listen unix:%(dir)s/admin.sock; write on; }
http {
    access_log off;
    upstream app { zone app 64k; server 127.0.0.1:81; server 127.0.0.1:82; }
    upstream web { zone web 64k; server 127.0.0.1:%(backend)d; keepalive 64; }
    server { listen 127.0.0.1:%(backend)d; return 200 "hello, world\\n"; }
    server { listen 127.0.0.1:%(port)d; location / { proxy_pass http://web; } }
}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def find(build, name):
    for folder in (build, os.path.join(build, "tests")):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    sys.exit("api_bench: no %s in %s" % (name, build))


def agent_of(master):
    for _ in range(100):
        children = open("/proc/%d/task/%d/children" % (master, master)).read().split()
        for pid in children:
            if b"agent" in open("/proc/%s/cmdline" % pid, "rb").read():
                return pid
        time.sleep(0.05)
    sys.exit("api_bench: no agent")


def wrk(port, seconds):
    return subprocess.Popen(["wrk", "-t1", "-c16", "-d%d" % seconds, "--latency",
                             "http://127.0.0.1:%d/" % port], stdout=subprocess.PIPE, text=True)


def latency(process):
    text = process.communicate()[0]
    p99 = re.search(r"99%\s+(\S+)", text).group(1)
    rate = re.search(r"Requests/sec:\s+(\S+)", text).group(1)
    return "wrk: p99 %s, %s requests/s" % (p99, rate)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build, cases = sys.argv[1], sys.argv[2:] or ["small", "pipelined", "put", "large"]
    directory = tempfile.mkdtemp(prefix="api_bench")
    values = {"dir": directory, "backend": free_port(), "port": free_port()}
    conf = os.path.join(directory, "remora.conf")
    with open(conf, "w") as f:
        f.write(CONF % values)
    remora = subprocess.Popen([find(build, "remora"), "-p", directory, "-c", conf])
    admin = os.path.join(directory, "admin.sock")
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", values["port"])).close()
                break
            except OSError:
                if remora.poll() is not None:
                    sys.exit("api_bench: remora did not start")
                time.sleep(0.05)
        bench = [find(build, "bench_api_bench"), admin, agent_of(remora.pid)]
        subprocess.check_call(bench + cases)
        if shutil.which("wrk"):
            print(latency(wrk(values["port"], 5)), "(nothing else)")
            for case in cases:
                load = wrk(values["port"], 8)
                time.sleep(0.5)
                until = time.monotonic() + 6
                while time.monotonic() < until:
                    subprocess.check_call(bench + [case])
                print(latency(load), "(%s)" % case)
    finally:
        remora.send_signal(signal.SIGTERM)
        remora.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
