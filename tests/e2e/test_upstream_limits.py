# SPDX-License-Identifier: Apache-2.0
"""`limits` of an upstream: what is refused, what is not, and that everything is given back."""
import json
import signal
import threading

import pytest
from conftest import free_port, run_remora, wait_for
from proxy_lab import Backend, Client, Proxy, ask, reply
from test_swap import admin
from test_upstream_counters import peers


class Gate:
    """A backend whose answers wait until the gate is open."""

    def __init__(self):
        self.open = threading.Event()
        self.seen = threading.Semaphore(0)
        self.backend = Backend(self.script)
        self.addr = self.backend.addr

    def script(self, conn, reader, request):
        if not request.target.startswith("/free"):
            self.seen.release()
            self.open.wait(20)
        reply(conn, b"ok")

    def arrived(self, n=1):
        for _ in range(n):
            assert self.seen.acquire(timeout=20)

    def close(self):
        self.open.set()
        self.backend.close()


@pytest.fixture
def gate():
    g = Gate()
    yield g
    g.close()


def proxy_of(limits, *servers, upstream="", location="", workers=1):
    lines = "".join(f"server {s};" for s in servers)
    return Proxy(f"""upstream app {{ zone app 64k; {lines} limits {limits}; {upstream} }}
        server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://app; {location} }} }}""",
                 main="admin {{ listen unix:{dir}/admin.sock; }}".format(dir="{dir}"), workers=workers)


def hang(proxy, target="/"):
    client = Client(proxy)
    client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("workers", [1, 2])
def test_requests(gate, workers):
    proxy = proxy_of("requests=2", gate.addr, workers=workers)
    clients = [hang(proxy) for _ in range(2)]
    gate.arrived(2)
    for _ in range(3):
        assert ask(proxy).status == 503
    assert "upstream limit of requests reached while connecting to upstream" in proxy.log()
    gate.open.set()
    for client in clients:
        assert client.response().status == 200
    for _ in range(5):  # one after another: never more than one
        assert ask(proxy).status == 200
    proxy.stop()


def test_requests_that_clients_gave_up(gate):
    """Whatever way a request ends, its place is free again."""
    proxy = proxy_of("requests=1", gate.addr)
    for _ in range(3):
        client = hang(proxy)
        gate.arrived()
        client.close()
        wait_for(lambda: ask(proxy, "/free").status == 200, "the place")
    proxy.stop()


def test_connections(gate):
    proxy = proxy_of("connections=2", gate.addr)
    clients = [hang(proxy) for _ in range(2)]
    gate.arrived(2)
    assert ask(proxy).status == 503
    assert "upstream limit of connections reached" in proxy.log()
    gate.open.set()
    for client in clients:
        assert client.response().status == 200
    assert ask(proxy).status == 200
    proxy.stop()


def test_an_idle_connection_makes_room():
    """Two servers and one connection: the one that waits for its next request goes."""
    backends = [Backend(lambda conn, reader, request: reply(conn, b"ok")) for _ in range(2)]
    proxy = proxy_of("connections=1", *(b.addr for b in backends), upstream="keepalive 10;")
    for _ in range(6):
        assert ask(proxy).status == 200
    assert [len(b.requests) for b in backends] == [3, 3]
    proxy.stop()
    for b in backends:
        b.close()


def test_no_worker_keeps_the_only_connection():
    """An idle connection of one worker is out of reach of the others."""
    backend = Backend(lambda conn, reader, request: reply(conn, b"ok"))
    proxy = proxy_of("connections=1", backend.addr, upstream="keepalive 10;", location="add_header X-Pid $pid;", workers=2)
    of_worker, spare = {}, []
    while len(of_worker) < 2:
        client = Client(proxy)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        response = client.response()
        spare.append(client)
        if response.status == 200:
            of_worker.setdefault(response.get("x-pid"), client)
        assert len(spare) < 100, "one worker has it all"
    for _ in range(3):
        for client in of_worker.values():
            def answered():
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                return client.response().status == 200
            wait_for(answered, "the connection of the other worker to go", 5)
    for client in spare:
        client.close()
    proxy.stop()
    backend.close()


def test_places_are_given_back_by_connections_that_fail():
    """Sockets that cannot be made, or are refused, count no longer than they are."""
    good = Backend(lambda conn, reader, request: reply(conn, b"ok"))
    proxy = proxy_of("connections=1", f"127.0.0.1:{free_port()} max_fails=0", "unix:/nonexistent max_fails=0", good.addr,
                     upstream="keepalive 1;")
    for _ in range(12):
        assert ask(proxy).status == 200
    assert "connections reached" not in proxy.log()
    proxy.stop()
    good.close()


def test_pending():
    """A server that does not accept: its queue of connections is full."""
    import socket
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", free_port()))
    deaf.listen(0)
    fill = [socket.socket() for _ in range(2)]
    for s in fill:
        s.setblocking(False)
        s.connect_ex(deaf.getsockname())
    proxy = proxy_of("pending=2", f"127.0.0.1:{deaf.getsockname()[1]}", location="proxy_connect_timeout 20s;")
    clients = [hang(proxy) for _ in range(2)]
    wait_for(lambda: ask(proxy).status == 503, "the third to be refused")
    assert "upstream limit of pending requests reached" in proxy.log()
    for s in fill + clients + [deaf]:
        s.close()
    proxy.stop()


def test_pending_in_the_queue(gate):
    proxy = proxy_of("pending=1", gate.addr + " max_conns=1", upstream="queue 10 timeout=20s;")
    clients = [hang(proxy)]
    gate.arrived()
    clients.append(hang(proxy))
    wait_for(lambda: ask(proxy).status == 503, "the second that would wait")
    gate.open.set()
    for client in clients:
        assert client.response().status == 200
    assert ask(proxy).status == 200
    proxy.stop()


def test_waiting_outlives_a_reload():
    """A worker that is to finish goes on looking after those who wait for a server."""
    dead = " ".join(f"server 127.0.0.1:{free_port()} max_fails=1 fail_timeout=60s;" for _ in range(2))
    proxy = Proxy(f"upstream app {{ {dead} queue 10 timeout=2s; }}"
                  "server { listen 127.0.0.1:{port}; location / { proxy_pass http://app; } }")
    assert ask(proxy).status == 502
    client = hang(proxy)
    with pytest.raises(TimeoutError):
        client.sock.settimeout(0.3)
        client.head()
    proxy.process.send_signal(signal.SIGHUP)
    client.sock.settimeout(20)
    assert client.response().status == 502
    wait_for(lambda: "exited with code 0" in proxy.log(), "the former worker's end")
    client.close()
    proxy.stop()


@pytest.mark.parametrize("limits,allowed", [("retries=1", 1), ("retry_budget=50% retry_budget_min=1", 1),
                                            ("retry_budget=1%", 2), ("requests=9", 2)])
def test_retries(gate, limits, allowed):
    """While one request hangs at its second server, others are not retried."""
    dead = f"127.0.0.1:{free_port()}"
    proxy = proxy_of(limits, dead + " max_fails=0", gate.addr, upstream="hash $arg_k;",
                     location="proxy_next_upstream_tries 2;")
    # a key whose first server is the dead one: it logs a failure
    key = next(k for k in range(100) if len(ask(proxy, f"/free?k={k}").body) and "connect() failed" in proxy.log())
    clients = [hang(proxy, f"/?k={key}")]
    gate.arrived()
    answer = ask(proxy, f"/free?k={key}")
    assert answer.status == (502 if allowed == 1 else 200)
    gate.open.set()
    assert clients[0].response().status == 200
    assert ask(proxy, f"/free?k={key}").status == 200
    proxy.stop()


def test_who_finds_no_second_server_is_not_retried(gate):
    """The only server's 500 is passed on, which takes its time; others may be retried meanwhile."""
    def script(conn, reader, request):
        if request.target == "/slow":
            conn.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n")
            gate.seen.release()
            gate.open.wait(20)
            conn.sendall(b"no")
        else:
            reply(conn, b"ok", "500 X" if request.target == "/bad" else "200 OK")

    one = Backend(script)
    two = Backend(lambda conn, reader, request: reply(conn, b"two"))
    proxy = Proxy(f"""upstream app {{ zone app 64k; server {one.addr} max_fails=0; limits retries=1; }}
        server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://app; proxy_buffering off;
            proxy_next_upstream http_500; }} }}""", main="admin { listen unix:{dir}/admin.sock; write on; }")
    client = hang(proxy, "/slow")
    gate.arrived()
    api = admin(proxy)
    wait_for(lambda: b"HTTP/1.1 500" in client.sock.recv(4096), "the head")
    api.request("GET", "/v1/http/upstreams/app")
    assert json.loads(api.getresponse().read())["counters"]["overflows"]["retries"] == 0
    api.request("POST", "/api/9/http/upstreams/app/servers", json.dumps({"server": two.addr, "weight": 1, "max_fails": 0}))
    answer = api.getresponse()
    assert answer.read() and answer.status == 201
    for _ in range(6):
        assert ask(proxy, "/bad").body == b"two"
    gate.open.set()
    client.close()
    proxy.stop()
    for backend in (one, two):
        backend.close()


def test_changed_limits_and_counts(gate):
    """The upstream's slots outlive a reload, whatever is counted meanwhile."""
    proxy = proxy_of("requests=1", gate.addr)
    client = hang(proxy)
    gate.arrived()
    assert ask(proxy).status == 503
    seen, answer = peers(admin(proxy))
    assert seen[gate.addr]["active"] == 1
    gate.open.set()
    assert client.response().status == 200
    proxy.stop()


@pytest.mark.parametrize("text,message", [
    ("limits requests=x;", 'invalid parameter "requests=x"'),
    ("limits foo=1;", 'invalid parameter "foo=1"'),
    ("limits;", 'invalid number of arguments in "limits"'),
    ("limits requests=1; limits pending=1;", '"limits" directive is duplicate'),
    ("limits retry_budget=101%;", 'invalid parameter "retry_budget=101%"'),
    ("limits retry_budget_min=3;", '"retry_budget_min" needs "retry_budget"'),
    ("limits requests=-1;", 'invalid parameter "requests=-1"'),
    ("limits requests=4294967296;", 'invalid parameter'),
    ("outlier_detection interval=0;", 'invalid parameter "interval=0"'),
    ("outlier_detection max_ejection_percent=200;", 'invalid parameter'),
    ("outlier_detection success_rate_stdev_factor=1.9;", 'invalid parameter'),
    ("outlier_detection base_ejection_time=10m max_ejection_time=300s;",
     '"max_ejection_time" is less than "base_ejection_time"'),
    ("outlier_detection; outlier_detection;", '"outlier_detection" directive is duplicate'),
])
def test_mistakes(tmp_path, text, message):
    conf = tmp_path / "r.conf"
    conf.write_text(f"events {{ }} http {{ upstream a {{ server 127.0.0.1:1;\n {text} }} }}")
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert done.returncode == 1 and message in done.stderr and ":2" in done.stderr, done.stderr
