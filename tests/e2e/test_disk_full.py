# SPDX-License-Identifier: Apache-2.0
"""A disk without room for logs, bodies and state: what needs none goes on, nothing is acknowledged that is not kept, and when
there is room again all is well."""
import contextlib
import json
import os
import re
import subprocess
import time

import pytest

from conftest import Client as AdminClient, REMORA, wait_for
from proxy_lab import Backend, Client, Proxy, ask, pattern, reply

NAMESPACE = ["unshare", "-m", "--propagation", "private"]
LARGE = 12 << 20  # more than sockets take
CAN_MOUNT = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
pytestmark = pytest.mark.skipif(not CAN_MOUNT, reason="may not mount")

MAIN = "admin {{ listen unix:{dir}/admin.sock; write on; state {dir}/small/state; }}"
CONF = """
    upstream app {{ zone app; server {addr}; }}
    server {{ listen 127.0.0.1:{{port}};
        access_log {{dir}}/small/access.log;
        client_body_temp_path {{dir}}/small/c; proxy_temp_path {{dir}}/small/p;
        proxy_buffers 4 4k; proxy_buffer_size 4k; client_body_buffer_size 4k;
        location / {{ proxy_pass http://app; }}
        location /streamed {{ proxy_pass http://app; proxy_request_buffering off; }}
        location /kept {{ proxy_pass http://app; proxy_temp_path {{dir}}/temp; proxy_store {{dir}}/small$uri; }}
    }}
"""


@pytest.fixture
def small(tmp_path):
    """(proxy, its backend, the path of its small disk)"""
    def script(conn, reader, request):
        reply(conn, pattern(LARGE) if "large" in request.target else b"small",
              fields=[("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")])

    wrapper = tmp_path / "remora"
    wrapper.write_text(f"""#!/bin/sh
mkdir -p "$2/small" && exec {' '.join(NAMESPACE)} sh -c 'mount -t tmpfs -o size=1m none "$2/small" && chmod 777 "$2/small" &&
    exec {REMORA} "$@"' sh "$@"
""")
    wrapper.chmod(0o755)
    backend = Backend(script)
    proxy = Proxy(CONF.format(addr=backend.addr), main=MAIN.replace("{{", "{").replace("}}", "}"), binary=str(wrapper))
    try:
        yield proxy, backend, f"/proc/{proxy.process.pid}/root{proxy.dir}/small"
    finally:
        proxy.process.terminate()
        proxy.process.wait(20)
        proxy.output.close()
        backend.close()
        proxy.tmp.cleanup()


def fill(path):
    with open(path + "/filler", "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass


def open_paths(proxy):
    for pid in proxy.children():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(f"/proc/{pid}/fd/{fd}")


def patch(proxy, weight):
    body = json.dumps({"weight": weight}).encode()
    with AdminClient(proxy.dir + "/admin.sock") as client:
        return client.request("PATCH", "/v1/http/upstreams/app/servers/0", {"Content-Type": "application/json"}, body)


def slow_reader(proxy, path):
    """The body of a response that is not read for a while."""
    client = Client(proxy)
    client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    time.sleep(0.3)
    got = bytearray()
    while more := client.sock.recv(1 << 20):
        got += more
    client.close()
    return bytes(got).split(b"\r\n\r\n", 1)[1]


def test_full(small):
    proxy, backend, disk = small
    assert patch(proxy, 2).status == 200
    fill(disk)
    for _ in range(20):
        assert ask(proxy, "/").body == b"small"
    assert ask(proxy, "/", "POST", b"y" * 3000).body == b"small"
    assert ask(proxy, "/streamed", "PUT", b"y" * 200000).body == b"small"
    # There is nowhere to put what the client does not take: the server waits.
    assert (slow_reader(proxy, "/large") == pattern(LARGE)) is True
    began = time.monotonic()
    assert ask(proxy, "/", "POST", b"y" * 200000).status == 500
    answer = patch(proxy, 3)
    assert answer.status in (500, 507) and b"StateNotSaved" in answer.body
    assert time.monotonic() - began < 5
    assert ask(proxy, "/").body == b"small"
    os.unlink(disk + "/filler")
    assert ask(proxy, "/", "POST", b"y" * 200000).body == b"small"
    assert backend.requests[-1].body == b"y" * 200000
    assert patch(proxy, 4).status == 200
    with open(disk + "/state/state.json") as f:
        assert '"weight":4' in f.read()
    wait_for(lambda: ask(proxy, "/").status == 200 and os.path.getsize(disk + "/access.log") > 0, "the log goes on")
    crowd = re.findall(r"\[alert\] .*access.log.*", proxy.log())
    assert len(crowd) <= 15, crowd  # one a second at most
    assert "Sanitizer" not in proxy.log() + proxy.out() and "exited on signal" not in proxy.log()


def test_store_on_another_disk(small):
    """A file that is kept on another disk is a copy: with the response's time, and without traces if it does not fit."""
    proxy, _, disk = small
    assert ask(proxy, "/kept/file").body == b"small"
    wait_for(lambda: os.path.exists(disk + "/kept/file"), "the file")
    assert int(os.stat(disk + "/kept/file").st_mtime) == 1700000000
    for _ in range(5):
        assert len(ask(proxy, "/kept/large").body) == LARGE
    wait_for(lambda: proxy.log().count(f'storing "{proxy.dir}/small/kept/large" failed (28: ') == 5, "the complaints")
    assert os.listdir(disk + "/kept") == ["file"] and os.listdir(proxy.dir + "/temp") == []
    assert [path for path in open_paths(proxy) if "/kept/" in path] == []
