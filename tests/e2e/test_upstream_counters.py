# SPDX-License-Identifier: Apache-2.0
"""What the registry counts of upstreams and servers while they are used, as the API shows it."""
import json

from conftest import free_port, wait_for
from proxy_lab import Backend, Client, Proxy, ask, reply
from test_swap import admin


def peers(api, upstream="app"):
    api.request("GET", f"/api/9/http/upstreams/{upstream}")
    answer = json.loads(api.getresponse().read())
    return {p["server"]: p for p in answer["peers"]}, answer


def test_counts():
    good = Backend(lambda conn, reader, request: reply(conn, b"x" * 100))
    bad = Backend(lambda conn, reader, request: reply(conn, b"e", "503 X"))
    dead = f"127.0.0.1:{free_port()}"
    proxy = Proxy(f"""upstream app {{ zone app 64k; server {good.addr}; server {bad.addr};
                          server {dead} max_fails=2 fail_timeout=60s; }}
        server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://app; }} }}""",
                  main="admin {{ listen unix:{dir}/admin.sock; }}".format(dir="{dir}"))
    for _ in range(30):
        ask(proxy)
    api = admin(proxy)
    # a client has its answer a moment before the worker has counted it
    wait_for(lambda: sum(p["responses"]["total"] for p in peers(api)[0].values()) == 30, "the last answer's count")
    seen, answer = peers(api)
    sent = len(good.requests[0].head) + 4
    assert seen[good.addr]["requests"] == 15 and seen[good.addr]["responses"]["2xx"] == 15
    assert seen[good.addr]["sent"] == 15 * sent
    assert seen[good.addr]["received"] == 15 * (100 + len(b"HTTP/1.1 200 OK\r\n"
                                                           b"Content-Length: 100\r\n\r\n"))
    assert seen[bad.addr]["responses"]["5xx"] == 15 and seen[bad.addr]["fails"] == 0
    assert seen[dead]["fails"] == 2 and seen[dead]["state"] == "unavail"
    assert seen[dead]["responses"]["total"] == 0  # it never answered
    assert all(p["active"] == 0 for p in seen.values())
    assert answer["keepalive"] == 2
    proxy.stop()
    good.close()
    bad.close()


def test_active_is_given_back():
    """However a request ends, its server is no longer busy with it."""
    def script(conn, reader, request):
        if request.target == "/hang":
            conn.recv(1)
        elif request.target == "/cut":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        else:
            conn.sendall(b"garbage\r\n\r\n")
        return False

    backend = Backend(script)
    proxy = Proxy(f"""proxy_read_timeout 300ms; upstream app {{ zone app 64k; server {backend.addr}; }}
        server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://app; }} }}""",
                  main="admin { listen unix:{dir}/admin.sock; }")
    api = admin(proxy)

    def active():
        return peers(api)[0][backend.addr]["active"]

    gone = Client(proxy)
    gone.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: active() == 1, "a busy server")
    gone.close()
    wait_for(lambda: active() == 0, "a server let go of by the client's going")
    assert ask(proxy, "/hang").status == 504
    assert active() == 0
    for target in ("/garbage", "/cut"):
        client = Client(proxy)
        client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        client.closed()
        client.close()
        wait_for(lambda: active() == 0, f"a server let go of after {target}")
    proxy.stop()
    backend.close()
