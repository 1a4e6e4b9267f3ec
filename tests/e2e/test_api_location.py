# SPDX-License-Identifier: Apache-2.0
"""`api` in a location: the agent's API through a normal server, with what guards such a server."""
import base64
import json
import os
import re
import socket
import threading
import time
from signal import SIGCONT, SIGHUP, SIGKILL, SIGQUIT, SIGSTOP

import pytest

from conftest import Client, ok, run_remora, wait_for

CONF = """
worker_processes 2;
http {
    upstream app { zone app 64k; server 127.0.0.1:8001; }
    server {
        listen 127.0.0.1:@PORT:web@;
        location /api { api write=on; }
        location /view/ { api; }
        location /off { api write=off; }
        location = /only { api; }
        location / { return 200 web; }
    }
}
"""
SERVERS = "/9/http/upstreams/app/servers"


def call(r, method, path, body=None, where="web", **headers):
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    if data:
        headers.setdefault("Content-Type", "application/json")
    return r.request(where, method, path, {k.replace("_", "-"): v for k, v in headers.items()}, data)


def test_server_life_cycle(remora):
    r = remora(CONF)
    for path in ("/api", "/api/"):
        answer = r.get("web", path)
        assert (answer.status, answer.json) == (200, list(range(1, 10)))
        assert answer.headers["content-type"] == "application/json"
    for end in ("", "/"):
        assert [s["server"] for s in r.get("web", "/api" + SERVERS + end).json] == ["127.0.0.1:8001"]
    made = call(r, "POST", "/api" + SERVERS + "/", {"server": "127.0.0.1:8002", "weight": 2})
    assert (made.status, made.json["server"], made.json["weight"]) == (201, "127.0.0.1:8002", 2)
    one = "/api%s/%d" % (SERVERS, made.json["id"])
    assert call(r, "PATCH", one + "/", {"weight": 5}).json["weight"] == 5
    assert r.get("web", one).json["weight"] == 5
    assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"}).status == 409
    gone = call(r, "DELETE", one)
    assert (gone.status, [s["server"] for s in gone.json]) == (200, ["127.0.0.1:8001"])
    assert r.get("web", one).status == 404


def test_answers_as_the_agent(remora):
    r = remora(CONF)
    nginx = r.get("web", "/api/9/nginx").json
    assert nginx["address"] == "127.0.0.1"
    assert r.get("web", "/api/9/nginx?fields=pid").json == {"pid": nginx["pid"]}
    for path, code in (("/api/10/", "UnknownVersion"), ("/api/9/nothing", "PathNotFound"),
                       ("/apix", "UnknownVersion"), ("/api/9/http/upstreams/x%2Fy%20%25", "UpstreamNotFound")):
        answer = r.get("web", path)
        assert (answer.status, answer.json["error"]["code"]) == (404, code), path
    head = r.request("web", "HEAD", "/api/9/nginx")
    assert head.status == 200 and int(head.headers["content-length"]) > 50
    assert call(r, "POST", "/api" + SERVERS, b"{").status == 415
    assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:9", "x": 1}).status == 400
    with r.client() as c:  # the client's connection goes on, whatever becomes of ours to the agent
        for _ in range(20):
            assert c.get("/api/9/connections").status == 200
            assert c.get("/").body == b"web"


@pytest.mark.parametrize("end, host", [("HTTP/1.0", ""), ("HTTP/1.0", "Host: any\r\n"), ("HTTP/1.1", "Host: any:99\r\n")])
def test_hosts_mean_nothing(remora, end, host):
    """Clients know the API by a path or a socket; those of HTTP/1.0 need not name a host at all."""
    r = remora(CONF)

    def ask(text, body=b""):
        with r.client() as c:
            c.send("%s %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n" % (text, end, host, len(body)))
            c.send(body)
            return c.response()

    assert ask("GET /api/9/nginx").json["version"]
    assert ask("GET http://elsewhere/api/9/nginx").json["version"]
    made = ask("POST /api" + SERVERS, b'{"server":"127.0.0.1:8002"}')
    assert made.status == 201 and ask("DELETE /api%s/%d" % (SERVERS, made.json["id"])).status == 200
    with r.client(timeout=20) as c:
        c.send("GET /api/v1/events %s\r\n%s\r\n" % (end, host))
        c.stream.until(b"\r\n\r\n")
        assert ask("POST /api" + SERVERS, b'{"server":"127.0.0.1:8003"}').status == 201
        c.stream.until(b"127.0.0.1:8003")


def test_own_tree(remora):
    r = remora(CONF)
    own = r.get("web", "/api/v1/revision")
    assert own.status == 200 and own.json["revision"] >= 0
    revision = own.json["revision"]
    path = "/api/v1/http/upstreams/app/servers"
    stale = call(r, "PUT", path, [{"server": "127.0.0.1:8009"}], If_Match='"%d"' % (revision + 7))
    assert stale.status == 412
    put = call(r, "PUT", path, [{"server": "127.0.0.1:8009"}], If_Match='"%d"' % revision)
    assert put.status == 200 and put.headers["etag"] == '"%d"' % (revision + 1)
    assert call(r, "PUT", path, [], Origin="http://evil.example").status == 403
    assert r.get("web", "/api/v1x").status == 404


@pytest.mark.parametrize("prefix", ["/view", "/off"])
def test_read_only(remora, prefix):
    r = remora(CONF)
    assert r.get("web", prefix + SERVERS).status == 200
    for method, path in (("POST", SERVERS), ("DELETE", SERVERS + "/0"), ("DELETE", SERVERS + "/x"),
                         ("PATCH", "/9/http/upstreams/nothing/servers/0")):
        answer = call(r, method, prefix + path, {"server": "127.0.0.1:8003"})
        assert (answer.status, answer.json["error"]["code"]) == (405, "MethodDisabled")
    assert call(r, "PUT", prefix + "/v1/http/upstreams/app/servers", []).status == 405
    assert r.get("web", "/only").json == list(range(1, 10))
    assert len(r.get("web", "/api" + SERVERS).json) == 1


@pytest.mark.parametrize("admin", [True, False])
def test_stands_without_an_admin_block(remora, admin):
    """`admin` says nothing about the location, be it missing or read-only."""
    r = remora(("admin { listen unix:@DIR@/admin.sock; write off; }" if admin else "") + CONF, admin=False)
    assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"}).status == 201
    if admin:
        assert r.admin("DELETE", "/api" + SERVERS + "/0").status == 405
        assert len(r.admin("GET", "/api" + SERVERS).json) == 2


def test_in_one_process(remora):
    r = remora("master_process off;" + CONF, admin=False)
    assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"}).status == 201
    assert len(r.get("web", "/api" + SERVERS).json) == 2


# ---- who may ----

GUARDED = """
http {
    upstream app { zone app 64k; server 127.0.0.1:8001; }
    server {
        listen 127.0.0.1:@PORT:web@;
        location /api {
            auth_basic api;
            auth_basic_user_file @DIR@/users;
            api write=on;
            client_max_body_size 2k;
        }
        location /closed { deny all; api; }
        location /gate { limit_except GET { deny all; } api write=on; }
        location /open { limit_except GET { allow 127.0.0.1; deny all; } api write=on; }
        location /in { internal; api; }
        location /jump { error_page 404 /in/9/nginx; return 404; }
    }
}
"""


def test_access_is_the_locations(remora):
    r = remora(GUARDED)
    with open(r.dir + "/users", "w") as f:
        f.write("ann:{PLAIN}secret\n")
    right = "Basic " + base64.b64encode(b"ann:secret").decode()
    wrong = "Basic " + base64.b64encode(b"ann:guess").decode()
    for headers, status in (({}, 401), ({"Authorization": wrong}, 401), ({"Authorization": right}, 200)):
        assert r.get("web", "/api" + SERVERS, **headers).status == status
        assert r.get("web", "/api/9/nginx", **headers).status == status
    assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"}).status == 401
    made = call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"}, Authorization=right)
    assert made.status == 201
    big = b'{"server":"127.0.0.1:8003","route":"' + b"x" * 3000 + b'"}'
    assert call(r, "POST", "/api" + SERVERS, big, Authorization=right).status == 413
    assert len(r.get("web", "/api" + SERVERS, Authorization=right).json) == 2
    assert r.get("web", "/closed/9/nginx").status == 403
    assert r.get("web", "/gate" + SERVERS).status == 200
    assert call(r, "DELETE", "/gate" + SERVERS + "/0").status == 403
    assert call(r, "POST", "/open" + SERVERS, {"server": "127.0.0.1:8004"}).status == 201
    assert r.get("web", "/in/9/nginx").status == 404
    assert r.get("web", "/jump").json["version"]
    # who is refused is told so as the API tells it
    for answer, status, code in ((r.get("web", "/api/9/"), 401, "Unauthorized"),
                                 (r.get("web", "/closed/9/nginx"), 403, "Forbidden"),
                                 (call(r, "DELETE", "/gate" + SERVERS + "/0"), 403, "Forbidden"),
                                 (call(r, "POST", "/api/9/", big, Authorization=right), 413,
                                  "RequestEntityTooLarge")):
        assert answer.headers["content-type"] == "application/json", answer
        assert answer.status == answer.json["error"]["status"] == status and answer.json["error"]["code"] == code
    assert re.fullmatch("[0-9a-f]{32}", r.get("web", "/closed/9/").json["request_id"])
    assert "basic" in r.get("web", "/api/9/").headers["www-authenticate"].lower()
    assert b"<html>" in r.get("web", "/elsewhere").body


def inlets(r):
    """The abstract sockets that the master listens on."""
    found = set()
    for fd in os.listdir(f"/proc/{r.pid}/fd"):
        try:
            link = os.readlink(f"/proc/{r.pid}/fd/{fd}")
        except OSError:
            continue
        if link.startswith("socket:["):
            found.add(link[8:-1])
    names = []
    for line in open("/proc/net/unix").read().splitlines()[1:]:
        fields = line.split()
        if len(fields) == 8 and fields[6] in found and fields[7].startswith("@"):
            names.append("\0" + fields[7][1:])
    return names


def test_the_inlet_believes_nobody_else(remora):
    r = remora(CONF)
    (name,) = inlets(r)
    for field in ("", "Remora-Inlet: write\r\n", "Remora-Inlet: %s write\r\n" % ("0" * 32),
                  "Remora-Inlet: %s\r\n" % ("0" * 33)):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(name)
        s.sendall(("GET /v1/revision HTTP/1.1\r\nHost: x\r\n%s\r\n" % field).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = s.recv(65536)
            assert data
            answer += data
        assert answer.startswith(b"HTTP/1.1 403 "), answer
        s.close()
    # a client's own field does not get through to the agent
    answer = r.get("web", "/view" + SERVERS, **{"Remora-Inlet": "0" * 32 + " write"})
    assert answer.status == 200
    plain = remora("http { server { listen 127.0.0.1:@PORT:web@; } }")
    assert inlets(plain) == []


def test_wrong_configurations(tmp_path):
    for text, message in (("location ~ ^/api { api; }", "cannot be used in a location given by regular expression"),
                          ("location @x { api; }", "or in a named location"),
                          ("location / { api; api; }", "duplicate"),
                          ("location / { api write=yes; }", 'invalid parameter "write=yes"'),
                          ("location / { api write=on x; }", "invalid number of arguments"),
                          ("api;", "not allowed here")):
        conf = tmp_path / "x.conf"
        conf.write_text("events {} http { server { listen 127.0.0.1:1; %s } }" % text)
        done = run_remora("-t", "-p", str(tmp_path) + "/", "-c", str(conf))
        assert done.returncode != 0 and message in done.stderr, (text, done.stderr)


def test_streams_events(remora):
    """/v1/events, for as long as the client listens: longer than an answer may take to begin."""
    r = remora(CONF)
    with r.client(timeout=20) as c:
        c.send("GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        head = c.stream.until(b"\r\n\r\n").decode().lower()
        assert " 200 " in head and "content-type: text/event-stream" in head
        made = call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"})
        assert made.status == 201
        c.stream.until(b"127.0.0.1:8002")
        time.sleep(6)
        assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8003"}).status == 201
        c.stream.until(b"127.0.0.1:8003")
    wait_for(lambda: r.get("web", "/api/9/connections").json["active"] <= 2, "the end of the stream")


@pytest.mark.parametrize("number", [SIGQUIT, SIGHUP])
def test_streams_let_workers_leave(remora, number):
    """Who watches through a location does not keep the instance, or a former worker, from its end."""
    r = remora(CONF)
    with r.client(timeout=20) as c:
        c.send("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        c.stream.until(b"\r\n\r\n")
        r.signal(number)
        c.stream.until(b"\r\n0\r\n\r\n")
    r.wait_log("worker process [0-9]+ exited with code 0")


def test_bodies_of_all_kinds(remora):
    r = remora(CONF.replace("api write=on;", "api write=on; client_max_body_size 20m; client_body_buffer_size 8k;"))
    body = json.dumps({"server": "127.0.0.1:8002", "route": "x" * 20}).encode()
    with r.client() as c:
        c.send(b"POST /api" + SERVERS.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
               b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n")
        assert c.stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        for i in range(0, len(body), 7):
            part = body[i:i + 7]
            c.send(b"%x\r\n%s\r\n" % (len(part), part))
        c.send(b"0\r\n\r\n")
        assert c.response().status == 201
        # more than the buffer: by way of a temporary file
        servers = [{"server": "10.%d.%d.%d:80" % (i // 65536, i // 256 % 256, i % 256)} for i in range(5000)]
        done = c.request("PUT", "/api/v1/http/upstreams/app/servers", {"Content-Type": "application/json"},
                         json.dumps(servers).encode())
        assert done.status == 200 and len(c.get("/api/v1/http/upstreams/app/servers").json) == 5000
    huge = call(r, "PUT", "/api/v1/http/upstreams/app/servers", b"[" + b" " * (9 << 20) + b"]")
    assert huge.status == 413 and huge.json["status"] == 413
    assert len(r.get("web", "/api/v1/http/upstreams/app/servers").json) == 5000
    assert r.request("web", "OPTIONS", "/api/9/nginx").status == 405


def test_changes_are_put_down_to_the_location(remora):
    r = remora(CONF)
    assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"}).status == 201
    latest = r.get("web", "/api/v1/history").json
    assert "location" in json.dumps(latest), latest


# ---- the agent comes and goes ----

def test_dead_agents_only_delay(remora):
    r = remora(CONF, allow=("agent process \\d+ (exited|was killed)", "exited on signal", "agent .* signal"))
    for _ in range(3):
        agent = r.agent()
        os.kill(agent, SIGKILL)
        for _ in range(10):
            answer = r.get("web", "/api" + SERVERS)
            assert answer.status == 200, answer
        wait_for(lambda: r.agent() not in (None, agent), "another agent")


def test_requests_outlive_the_agent_they_came_to(remora):
    """One that reads is asked of the next agent; one that writes had better not be."""
    r = remora(CONF, allow=("exited on signal",))
    answers = {}

    def ask(method):
        answers[method] = call(r, method, "/api" + SERVERS, {"server": "127.0.0.1:8002"} if method == "POST" else None)

    agent = r.agent()
    os.kill(agent, SIGSTOP)
    threads = [threading.Thread(target=ask, args=(m,)) for m in ("GET", "POST")]
    for t in threads:
        t.start()
    time.sleep(0.3)  # both are in the queue, or in the stopped agent's hands
    os.kill(agent, SIGKILL)
    for t in threads:
        t.join(20)
    assert answers["GET"].status == 200
    assert answers["POST"].status in (201, 503)
    count = len(r.get("web", "/api" + SERVERS).json)
    assert count == (2 if answers["POST"].status == 201 else 1)


def test_an_agent_that_hangs(remora):
    r = remora(CONF)
    agent = r.agent()
    os.kill(agent, SIGSTOP)
    try:
        began = time.monotonic()
        answer = r.request("web", "GET", "/api/9/nginx")
        took = time.monotonic() - began
    finally:
        os.kill(agent, SIGCONT)
    assert answer.status == 503 and answer.json["error"]["status"] == 503
    assert len(answer.json["request_id"]) == 32
    assert answer.headers["content-type"] == "application/json"
    assert 4 < took < 9
    wait_for(lambda: r.get("web", "/api/9/nginx").status == 200, "the agent")


def crowd(r, size):
    """So many clients, all of which ask before the agent gets to answer; each must get its answer."""
    agent, clients, name = r.agent(), [r.client() for _ in range(size)], "@" + inlets(r)[0][1:]
    os.kill(agent, SIGSTOP)
    try:
        for c in clients:
            c.send("GET /api/9/nginx HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: open("/proc/net/unix").read().count(name) > len(clients), "all of them in the queue")
    finally:
        os.kill(agent, SIGCONT)
    assert {c.response().status for c in clients} == {200}
    return clients


def test_a_crowd_waits_for_a_busy_agent(remora):
    """Scrapers that all come at once are a queue, not an error."""
    for c in crowd(remora("events { worker_connections 4096; }" + CONF), 700):
        c.close()


def test_limit_conn_lets_scrapers_in(remora, backend):
    """A request for the API counts when it comes, and not for as long as the agent takes."""
    r = remora("""http {
        limit_conn_zone $server_name zone=lc:64k;
        upstream app { zone app 64k; server %s; }
        server { listen 127.0.0.1:@PORT:web@; server_name s; limit_conn lc 2;
                 location /api { api write=on; } location / { proxy_pass http://app; } } }""" % backend(ok("x")).addr)
    clients = crowd(r, 14)
    for c in clients[:2]:  # who is held elsewhere takes their place all the same
        c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    refused = wait_for(lambda: next((a for a in [r.get("web", "/api/9/nginx")] if a.status == 503), None), "a refusal")
    assert refused.json["error"]["status"] == 503
    for c in clients[:2]:
        c.send("hello")
        assert c.response().body == b"x"
    wait_for(lambda: r.get("web", "/api/9/http/limit_conns").status == 200, "room")
    assert r.get("web", "/api/9/http/limit_conns").json["lc"]["rejected"] >= 1
    for c in clients:
        c.close()


def test_reloads_keep_it(remora):
    """The inlet stays over reloads: workers of before use it, and a configuration may begin to."""
    r = remora("http { upstream app { zone app 64k; server 127.0.0.1:8001; }\n"
               "server { listen 127.0.0.1:@PORT:web@; } }")
    r.reload(CONF)
    names = inlets(r)
    assert len(names) == 1
    assert call(r, "POST", "/api" + SERVERS, {"server": "127.0.0.1:8002"}).status == 201
    stop, wrong = threading.Event(), []

    def poll():
        while not stop.is_set():
            answer = r.get("web", "/api" + SERVERS)
            if answer.status != 200 or len(answer.json) != 2:
                wrong.append(answer)

    poller = threading.Thread(target=poll)
    poller.start()
    for _ in range(3):
        r.reload()
    stop.set()
    poller.join()
    assert not wrong and inlets(r) == names
