#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What health checks cost: ten thousand servers, each asked every five seconds.

    REMORA=build/remora tests/bench/check_bench.py [--servers N] [--interval S] [--seconds S] [--match] [--down]

All servers are one process that listens on all of 127.0.0.0/8.  Measured is the agent's CPU time, after the first round,
with a connection for every check and with connections that are kept.  Exits with 1 when it is more than a tenth of a core.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import conftest  # noqa: E402

ALLOWED = 0.10
ANSWER = (b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Fri, 20 Nov 2026 07:00:00 GMT\r\nContent-Type: text/plain\r\n"
          b"Content-Length: 3\r\n\r\nok\n")

CONF = """
worker_processes 1;
shared_memory 256m;
error_log @DIR@/error.log notice;
http {
    access_log off;
    match ok { status 200; header Content-Type ~ text; body ~ ok; }
    upstream u { zone u 64k; %(servers)s }
    server {
        listen 127.0.0.1:@PORT:web@;
        location / { proxy_pass http://u; health_check interval=%(interval)ss %(more)s; }
    }
}
"""


def serve():
    """Forks the server; returns its port and pid."""
    import select
    import socket
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", 0))
    listener.listen(4096)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    pid = os.fork()
    if pid:
        listener.close()
        return port, pid
    poll, open_ = select.epoll(), {}
    poll.register(listener.fileno(), select.EPOLLIN)
    parent = os.getppid()
    while os.getppid() == parent:
        for fd, _ in poll.poll(1):
            if fd == listener.fileno():
                try:
                    while True:
                        sock, peer = listener.accept()
                        sock.setblocking(False)
                        if not peer[0].startswith("127."):
                            sock.close()
                            continue
                        open_[sock.fileno()] = sock
                        poll.register(sock.fileno(), select.EPOLLIN)
                except OSError:
                    continue
            sock = open_[fd]
            try:
                data = sock.recv(4096)
                if data:
                    sock.send(ANSWER)
            except OSError:
                data = b""
            if not data or b"Connection: close" in data:
                del open_[fd]
                sock.close()
    os._exit(0)


def cpu(pid):
    """Seconds of CPU time: user, system."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return [int(x) / os.sysconf("SC_CLK_TCK") for x in fields[11:13]]


def switches(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(f.read().partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def checks(r):
    answer = r.admin("GET", "/api/9/http/upstreams/u?fields=peers").json["peers"]
    return sum(p["health_checks"]["checks"] for p in answer), sum(p["health_checks"]["fails"] for p in answer)


def measure(a, name, more, port):
    servers = " ".join(f"server 127.{1 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}:{port};" for i in range(a.servers))
    r = conftest.Remora(CONF % {"servers": servers, "interval": a.interval, "more": more})
    agent = r.agent()
    conftest.wait_for(lambda: checks(r)[0] >= a.servers, "the first round", 60)
    time.sleep(a.interval)  # from the second round on everybody has a place
    before, base, woken, start = checks(r)[0], cpu(agent), switches(agent), time.monotonic()
    time.sleep(a.seconds)
    after, (user, system), took = cpu(agent), base, time.monotonic() - start
    user, system = after[0] - user, after[1] - system
    woken = switches(agent) - woken
    with open(f"/proc/{agent}/status") as f:
        rss = int(f.read().partition("VmRSS:")[2].split()[0])
    done, failed = checks(r)
    done -= before
    share = (user + system) / took
    print(f"{name:28} {done / took:7.0f} checks/s  {share * 100:5.1f} % of a core ({user / took * 100:.1f} user, "
          f"{system / took * 100:.1f} system)  {(user + system) / done * 1e6:5.1f} us each  "
          f"{woken / took:5.0f} sleeps/s  {rss / 1024:.0f} MB  {failed} failed")
    r.stop()
    return share


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--servers", type=int, default=10000)
    p.add_argument("--interval", type=float, default=5)
    p.add_argument("--seconds", type=float, default=15)
    p.add_argument("--only", help="the cases whose name has this in it")
    a = p.parse_args()
    port, server = serve()
    cases = [("a connection each", ""), ("kept connections", "keepalive_time=1h"),
             ("a connection each, match", "match=ok"), ("nobody listens", "port=9")]
    try:
        worst = max(measure(a, name, more, port) for name, more in cases if not a.only or a.only in name)
    finally:
        os.kill(server, 9)
        os.waitpid(server, 0)
    if worst > ALLOWED:
        sys.exit(f"more than {ALLOWED * 100:.0f} % of a core")


if __name__ == "__main__":
    main()
