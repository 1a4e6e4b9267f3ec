# SPDX-License-Identifier: Apache-2.0
"""The audit log: a line for every request that changes something, or was refused to."""
import json
import os
import re
import socket
import stat
import time
from signal import SIGKILL, SIGUSR1

import pytest

from conftest import Client, refuses_admin, wait_for

HTTP = "http { upstream u { zone u; server 127.0.0.1:8001; } }\n"
SERVERS = "/v1/http/upstreams/u/servers"
BODY = [{"server": "127.0.0.1:8002"}]


def start(remora, more="", audit="@DIR@/audit.log", listen="", **kw):
    return remora("admin { listen unix:@DIR@/admin.sock; write on; audit %s; %s %s }" % (audit, listen, more) + HTTP,
                  **kw)


def lines(r, name="audit.log"):
    with open(r.dir + "/" + name) as f:
        return [json.loads(line) for line in f.read().splitlines()]


def test_changes(remora):
    r = start(remora)
    assert r.admin("PUT", SERVERS, BODY).json["revision"] == 2
    assert r.admin("POST", "/api/9/http/upstreams/u/servers", {"server": "127.0.0.1:8003"}).status == 201
    reset = r.admin("DELETE", "/api/9/http/requests")
    first, second, third = lines(r)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert re.fullmatch("[0-9a-f]{32}", first["request_id"]) and first.pop("request_id") != second["request_id"]
    assert re.fullmatch(r"uid:%d\(pid %d\)" % (os.getuid(), os.getpid()), first.pop("who"))
    assert first == {"role": "admin", "address": "unix:", "method": "PUT", "path": SERVERS, "revision_before": 1,
                     "revision_after": 2, "status": 200}
    assert (second["method"], second["status"], second["revision_before"], second["revision_after"]) == ("POST", 201, 2, 3)
    assert (third["method"], third["path"], third["status"]) == ("DELETE", "/api/9/http/requests", reset.status)
    assert third["request_id"] == reset.headers["x-request-id"]


def test_what_is_refused(remora):
    r = start(remora)
    for method, path, body, headers, status, code in (
            ("PUT", "/v1/http/upstreams/none/servers", BODY, {}, 404, "UpstreamNotFound"),
            ("POST", "/v1/status", BODY, {}, 405, "MethodDisabled"),
            ("OPTIONS", "/v1/status", None, {}, 405, "MethodDisabled"),
            ("PUT", SERVERS, b"[", {}, 400, "JsonError"),
            ("PUT", SERVERS, BODY, {"Content-Type": "text/plain"}, 415, "UnsupportedMediaType"),
            ("PUT", SERVERS, BODY, {"Origin": "http://evil"}, 403, "OriginRefused"),
            ("PUT", SERVERS, BODY, {"If-Match": '"99"'}, 412, "RevisionMismatch"),
            ("DELETE", "/api/9/http/upstreams/u/servers/99", None, {}, 404, "UpstreamServerNotFound"),
            ("POST", "/nowhere?a=b", None, {}, 404, "PathNotFound")):
        answer = r.admin(method, path, body, headers)
        assert answer.status == status
        line = lines(r)[-1]
        assert (line["method"], line["status"], line["code"]) == (method, status, code)
        assert line["path"] + ("?" + line["query"] if "query" in line else "") == path
        assert line["revision_before"] == line["revision_after"] == 1
        if path.startswith("/api"):
            assert answer.json["request_id"] == line["request_id"]
    assert len(lines(r)) == 9


def test_what_never_became_whole(remora):
    r = start(remora)
    with r.client(r.dir + "/admin.sock") as c:
        c.send("PUT %s HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" % SERVERS)
        assert c.response().status == 413
    with r.client(r.dir + "/admin.sock") as c:
        c.send("PUT %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" % SERVERS)
        assert c.response().status == 400
    with r.client(r.dir + "/admin.sock") as c:
        c.send("nonsense\r\n\r\n")
        assert c.response().status == 400
    assert [(line["status"], line["code"]) for line in lines(r)] == [(413, "RequestTooLarge"), (400, "BadRequest")]


def test_reading_is_not_worth_a_line(remora):
    r = start(remora)
    for path in ("/livez", "/readyz", "/startupz", "/metrics", "/v1/status", "/api/9/nginx", "/nowhere"):
        assert r.admin("GET", path).status in (200, 404)
    r.admin("HEAD", "/v1/status")
    assert lines(r) == []


def test_who(remora):
    r = start(remora, listen="listen 127.0.0.1:@PORT:admin@;")
    r.request("admin", "PUT", SERVERS, {"Content-Type": "application/json"}, json.dumps(BODY).encode())
    (line,) = lines(r)
    assert line["who"] == "loopback" and re.fullmatch(r"127\.0\.0\.1:\d+", line["address"])


def test_tokens(remora):
    r = remora("admin { listen unix:@DIR@/admin.sock; }" + HTTP)
    path = r.dir + "/token"
    with open(path, "w") as f:
        f.write("w" * 30)
    os.chmod(path, 0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    r.write("admin { listen 127.0.0.1:@PORT:admin@; listen unix:@DIR@/admin.sock; write on; token ci write %s; "
            "auth_failures 3r/m; audit @DIR@/audit.log; }" % path + HTTP)
    r.reload()

    def ask(method, target, token, body=b""):
        fields = {"Content-Type": "application/json"}
        if token:
            fields["Authorization"] = "Bearer " + token
        return r.request("admin", method, target, fields, body).status

    body = json.dumps(BODY).encode()
    wait_for(lambda: ask("GET", "/v1/status", "w" * 30) == 200)
    assert ask("PUT", SERVERS, "w" * 30, body) == 200
    assert ask("PUT", SERVERS, None, body) == 401
    assert ask("POST", "/v1/drain", "w" * 30) == 403
    assert ask("PUT", SERVERS, "wrong", body) == 401
    assert ask("GET", "/v1/status", "wrong") == 401
    assert ask("GET", "/v1/status", None) == 401
    assert ask("PUT", SERVERS, "wrong", body) == 401
    assert [ask("PUT", SERVERS, "wrong", body) for _ in range(20)] == [429] * 20
    assert [(line["method"], line["who"], line["role"], line["status"]) for line in lines(r)] == [
        ("PUT", "token:ci", "write", 200), ("PUT", "loopback", "none", 401), ("POST", "token:ci", "write", 403),
        ("PUT", "loopback", "none", 401), ("GET", "loopback", "none", 401), ("PUT", "loopback", "none", 401)]
    assert "wwww" not in open(r.dir + "/audit.log").read() and "wrong" not in open(r.dir + "/audit.log").read()


def test_through_a_location(remora):
    r = remora("admin { listen unix:@DIR@/admin.sock; audit @DIR@/audit.log; } http { upstream u { zone u; } server { "
               "listen 127.0.0.1:@PORT:web@; location /api { api write=on; } location /ro { api; } } }")
    wait_for(lambda: r.get("web", "/api/9/nginx").status == 200)
    with r.client() as c:
        answer = c.request("POST", "/api/9/http/upstreams/u/servers", {"Remora-Remote": "forged"},
                           b'{"server":"127.0.0.1:9"}')
        port = c.sock.getsockname()[1]
    assert answer.status == 201
    assert r.request("web", "POST", "/ro/9/http/upstreams/u/servers", {}, b"{}").status == 405
    assert [(line["who"], line["role"], line["status"]) for line in lines(r)] == [("location", "write", 201),
                                                                                 ("location", "read", 405)]
    assert lines(r)[0]["address"] == "127.0.0.1:%d" % port


def test_odd_bytes(remora):
    r = start(remora)
    for path in ("/v1/%00%ff%22", "/v1/\xe9\"\\\x01x", "/v1/" + "y" * 9000, "/v1/x?" + "\xff" * 5000):
        with r.client(r.dir + "/admin.sock") as c:
            c.send("DELETE %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            assert c.response().status >= 400
    r.admin("DELETE", "/v1/x")
    found = lines(r)
    assert found[-1]["path"] == "/v1/x"
    for line in found:
        assert len(json.dumps(line)) < 4096
    assert any(line["path"].endswith("yyy...") for line in found)


def test_reopened(remora):
    r = start(remora)
    r.admin("PUT", SERVERS, BODY)
    os.rename(r.dir + "/audit.log", r.dir + "/audit.log.1")
    r.admin("PUT", SERVERS, BODY)
    r.signal(SIGUSR1)
    wait_for(lambda: os.path.exists(r.dir + "/audit.log"), "the new file")

    def written():
        r.admin("PUT", SERVERS, BODY)
        return lines(r)

    wait_for(written, "lines in the new file")
    assert len(lines(r, "audit.log.1")) >= 2


def test_another_agent_goes_on(remora):
    r = start(remora)
    r.admin("PUT", SERVERS, BODY)
    agent = r.agent()
    r.allow.append(re.compile("exited on signal 9"))
    os.kill(agent, SIGKILL)
    wait_for(lambda: r.agent() not in (None, agent), "the next agent")
    wait_for(lambda: r.admin("PUT", SERVERS, BODY).status == 200)
    assert lines(r)[0]["revision_after"] == 2 and lines(r)[-1]["revision_after"] >= 2
    assert all(line["status"] == 200 for line in lines(r))


def test_as_many_lines_as_changes(remora):
    r = start(remora)
    with r.client(r.dir + "/admin.sock") as c:
        body = json.dumps(BODY)
        one = "PUT %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            SERVERS, len(body), body)
        c.send(one * 200)
        for _ in range(200):
            assert c.response().status == 200
    found = lines(r)
    assert len(found) == 200 and len({line["request_id"] for line in found}) == 200
    assert all(line["revision_before"] <= line["revision_after"] for line in found)


def test_a_client_that_does_not_wait(remora):
    """Its change is made, so it is told."""
    r = start(remora)
    body = json.dumps([{"server": "127.0.0.1:%d" % (9000 + i)} for i in range(500)])
    before = r.admin("GET", "/v1/revision").json["revision"]
    for _ in range(20):
        with Client(r.dir + "/admin.sock") as c:
            c.send("PUT %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
                SERVERS, len(body), body))
    wait_for(lambda: len(lines(r)) == 20, "20 lines")
    assert {line["status"] for line in lines(r)} <= {200, 499}
    assert r.admin("GET", "/v1/revision").json["revision"] > before


def test_stderr(remora):
    r = start(remora, audit="stderr")
    r.admin("PUT", SERVERS, BODY)
    with open(r.dir + "/stderr.txt") as f:
        (line,) = [json.loads(text) for text in f if text.startswith("{")]
    assert line["status"] == 200


def test_syslog(remora):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(10)
        r = start(remora, audit="syslog:server=127.0.0.1:%d,tag=remora_audit" % s.getsockname()[1])
        r.admin("PUT", SERVERS, BODY)
        text = s.recv(65536).decode()
        assert "remora_audit: {" in text and json.loads(text[text.index("{"):])["status"] == 200


def test_a_collector_that_does_not_read(remora, tmp_path):
    """The API goes on; what is lost is told."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert stat.S_ISFIFO(os.stat(fifo).st_mode)
        r = start(remora, audit=fifo)
        for _ in range(400):
            assert r.admin("PUT", SERVERS, BODY).status == 200
        r.wait_log(r"audit: \d+ lines could not be written")
        metrics = r.admin("GET", "/metrics?scope=admin").body.decode()
        data = os.read(reader, 1 << 20).decode()
        assert all(json.loads(line)["status"] == 200 for line in data.splitlines()), "no halves"
        assert 'remora_log_dropped_total{log="audit"} %d\n' % (400 - len(data.splitlines())) in metrics
    finally:
        os.close(reader)


def test_strangers_fill_no_disk(remora):
    r = start(remora, more="peer uid=%d write;" % (os.getuid() + 1))
    begin = time.monotonic()
    with r.client(r.dir + "/admin.sock") as c:
        for _ in range(200):
            assert c.request("DELETE", "/api/9/http/requests").status == 403
    took = time.monotonic() - begin
    found = lines(r)
    assert 10 <= len(found) <= 10 * (took + 2) and {line["role"] for line in found} == {"none"}
    r.wait_log(r"audit: \d+ lines could not be written")


def test_a_full_disk(remora):
    r = start(remora, audit="/dev/full")
    for _ in range(20):
        assert r.admin("PUT", SERVERS, BODY).status == 200
    assert len(r.wait_log(r"audit: \d+ lines could not be written")) == 1, "once a minute"


@pytest.mark.parametrize("text, message", [
    ("audit a; audit b;", '"audit" directive is duplicate'),
    ('audit "";', 'invalid value ""|invalid parameter ""'),
    ("audit;", 'invalid number of arguments in "audit" directive'),
    ("audit syslog:;", "syslog"),
    ("audit /nonexistent/dir/file;", 'open() "/nonexistent/dir/file" failed'),
])
def test_bad_configuration(tmp_path, text, message):
    refuses_admin(tmp_path, text, message)
