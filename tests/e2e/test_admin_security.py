# SPDX-License-Identifier: Apache-2.0
"""Who may ask the admin API: listeners' roles, tokens, users of unix sockets, browsers."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile
import time

import pytest

from conftest import ROOT, Client, run_remora, wait_for

HTTP = "http { upstream u { zone u; server 127.0.0.1:8001; } }\n"
SERVERS = "/v1/http/upstreams/u/servers"
BODY = [{"server": "127.0.0.1:8002"}]


def put_file(r_dir, name, text):
    path = os.path.join(r_dir, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    return path


def ask(r, method, path, token=None, body=None, where="admin", **headers):
    fields = {k.replace("_", "-"): v for k, v in headers.items()}
    if token is not None:
        fields["Authorization"] = "Bearer " + token
    data = b""
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields.setdefault("Content-Type", "application/json")
    return r.request(where, method, path, fields, data)


def code_of(answer):
    body = answer.json
    return body["error"]["code"] if "error" in body else body["code"]


@pytest.fixture
def tmp_path():
    """As pytest's, but where the agent's user gets to."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="remora-e2e-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


READER, WRITER, BOSS, SCRAPER = "r" * 40, "w" * 40, "a" * 40, "m" * 40


@pytest.fixture
def secured(remora, tmp_path):
    """An instance with four tokens on a TCP listener, and a unix socket beside it."""
    directory = str(tmp_path)
    for name, text in (("r", READER + "\n"), ("w", WRITER), ("a", BOSS + "\r\n"), ("m", SCRAPER + " \n")):
        put_file(directory, name, text)

    def start(extra="", **kw):
        return remora(f"""admin {{
            listen unix:@DIR@/admin.sock;
            listen 127.0.0.1:@PORT:admin@;
            write on;
            token reader read {directory}/r;
            token writer write {directory}/w;
            token boss admin {directory}/a;
            token prometheus metrics {directory}/m;
            {extra}
        }}
        {HTTP}""", **kw)

    start.directory = directory
    return start


def test_roles_of_tokens(secured):
    r = secured()
    for token, metrics, read, write in ((SCRAPER, 200, 403, 403), (READER, 200, 200, 403), (WRITER, 200, 200, 200),
                                        (BOSS, 200, 200, 200)):
        assert ask(r, "GET", "/metrics", token).status == metrics
        assert ask(r, "GET", "/v1/status", token).status == read
        assert ask(r, "GET", "/api/9/nginx", token).status == read
        assert ask(r, "PUT", SERVERS, token, BODY).status == write
    refused = ask(r, "PUT", SERVERS, READER, BODY)
    assert (code_of(refused), refused.headers["content-type"]) == ("Forbidden", "application/problem+json")
    assert code_of(ask(r, "DELETE", "/api/9/http/requests", READER)) == "Forbidden"


def needed(method, path):
    """The least role that may ask, of all there are."""
    if method in ("GET", "HEAD"):
        return {"/": 0, "/livez": 0, "/readyz": 0, "/startupz": 0, "/metrics": 1}.get(path, 2)
    return 4 if path in ("/v1/drain", "/v1/shutdown") else 3


@pytest.mark.parametrize("token", [None, SCRAPER, READER, WRITER, BOSS])
def test_each_route_with_each_role(secured, token):
    r = secured()
    has = [None, SCRAPER, READER, WRITER, BOSS].index(token)
    with open(ROOT + "/api/openapi.json", encoding="utf-8") as f:
        paths = json.load(f)["paths"]
    asked = 0
    for template, item in paths.items():
        path = re.sub(r"{version}", "9", template)
        path = re.sub(r"{object}", "requests" if "http" in path else "processes", path)
        path = re.sub(r"{\w+}", "9999", path)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            name = "get" if method == "HEAD" else method.lower()
            if name not in item or path == "/v1/events" and method == "GET" and has >= 2:
                continue
            # a body that nobody likes, so that nothing comes of it
            body = None if method in ("GET", "HEAD") else b"?"
            query = "?timeout=soon" if needed(method, path) == 4 else ""
            answer = ask(r, method, path + query, token, body)
            what = (method, path, answer)
            asked += 1
            if has >= needed(method, path):
                assert answer.status not in (401, 403), what
            elif method == "HEAD":
                assert answer.status == (403 if has else 401), what
            else:
                assert (answer.status, code_of(answer)) == ((403, "Forbidden") if has else (401, "Unauthorized")), what
    assert asked > 60
    assert ask(r, "GET", "/v1/revision", READER).json["revision"] == 1


def test_without_a_token(secured):
    r = secured()
    for method, path in (("GET", "/v1/status"), ("GET", "/api"), ("GET", "/metrics"), ("GET", "/nowhere"),
                         ("DELETE", "/api/9/http/requests"), ("POST", "/v1/transactions")):
        answer = ask(r, method, path)
        assert (answer.status, code_of(answer)) == (401, "Unauthorized"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/livez", "/readyz", "/startupz"):
        assert ask(r, "GET", path).status == 200
    # the unix socket is guarded by its mode, as ever
    assert ask(r, "PUT", SERVERS, None, BODY, where=r.dir + "/admin.sock").status == 200
    assert ask(r, "GET", "/v1/status", READER, where=r.dir + "/admin.sock").status == 200
    assert ask(r, "PUT", SERVERS, READER, BODY, where=r.dir + "/admin.sock").status == 403, "a token says who asks"


def test_a_body_of_somebody_unknown_is_not_read(secured):
    r = secured()
    with r.client("admin") as c:
        c.send("PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n[" % SERVERS)
        answer = c.response()
        assert answer.status == 401 and answer.headers["connection"] == "close"


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer  ", "Basic " + READER, READER, "bearer" + READER,
                                   "Bearer " + READER[:-1], "Bearer " + READER + "r", "Bearer " + READER.upper(),
                                   "Bearer " + READER + " " + READER, "Bearer \x80\xff", "Bearer " + "x" * 8000])
def test_wrong_credentials(secured, value):
    r = secured("auth_failures off;")
    answer = ask(r, "GET", "/v1/status", Authorization=value)
    assert (answer.status, code_of(answer)) == (401, "Unauthorized")


def test_the_scheme_has_any_case(secured):
    r = secured()
    for scheme in ("bearer", "BEARER", "Bearer  "):
        assert ask(r, "GET", "/v1/status", Authorization=scheme + " " + READER).status == 200


def test_who_may_not_write_sends_no_large_bodies(secured):
    """Or a listener that is open to all would be a way to the agent's memory."""
    r = secured()
    large = b" " * 20000 + json.dumps(BODY).encode()
    assert ask(r, "PUT", SERVERS, WRITER, large).status == 200
    assert ask(r, "PUT", SERVERS, READER, large).status == 403
    assert ask(r, "GET", "/metrics", SCRAPER, large).status == 403
    assert ask(r, "GET", "/metrics", SCRAPER, b"x" * 16384).status == 200
    chunk = b"4000\r\n" + b"x" * 16384 + b"\r\n"
    with r.client("admin") as c:
        c.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + SCRAPER.encode() +
               b"\r\nTransfer-Encoding: chunked\r\n\r\n" + 2 * chunk + b"0\r\n\r\n")
        assert c.response().status == 413


def test_a_token_is_read_again(secured):
    r = secured("auth_failures off;")
    path = secured.directory + "/r"
    assert ask(r, "GET", "/v1/status", READER).status == 200
    put_file(secured.directory, "r", "s" * 40)
    wait_for(lambda: ask(r, "GET", "/v1/status", "s" * 40).status == 200, "the new token")
    assert ask(r, "GET", "/v1/status", READER).status == 401
    os.unlink(path)
    wait_for(lambda: ask(r, "GET", "/v1/status", "s" * 40).status == 401, "the end of the token")
    r.wait_log(r'the file ".*/r" of token "reader" in .*remora.conf:\d+ cannot be read .*: the token is not accepted')
    put_file(secured.directory, "r", "")
    time.sleep(0.3)
    assert ask(r, "GET", "/v1/status", "").status == 401
    put_file(secured.directory, "r", READER)
    wait_for(lambda: ask(r, "GET", "/v1/status", READER).status == 200, "the token's return")


def test_a_token_written_as_it_was_is_no_news(secured):
    """Its file is looked at again and again while it is fresh; the log tells of other tokens only."""
    r = secured("auth_failures off;")
    put_file(secured.directory, "r", READER)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        assert ask(r, "GET", "/v1/status", READER).status == 200
    put_file(secured.directory, "r", "s" * 40)
    wait_for(lambda: ask(r, "GET", "/v1/status", "s" * 40).status == 200, "the new token")
    r.wait_log("was read again")
    assert r.log().count("was read again") == 1


def test_a_token_in_a_mounted_secret(remora, tmp_path):
    """Kubernetes swaps the link ..data, so the file that the path leads to is another, of any age."""
    for version, text in (("..1", READER), ("..2", WRITER)):
        os.mkdir(tmp_path / version, 0o755)
        put_file(str(tmp_path / version), "token", text)
        os.utime(tmp_path / version / "token", (1e9, 1e9))
    os.symlink("..1", tmp_path / "..data")
    os.symlink("..data/token", tmp_path / "token")
    r = remora(f"admin {{ listen 127.0.0.1:@PORT:admin@; auth_failures off;\n token t read {tmp_path}/token; }}" + HTTP)
    time.sleep(2.1)  # past the time in which a fresh file is read again anyway
    assert ask(r, "GET", "/v1/status", READER).status == 200
    os.symlink("..2", tmp_path / "..new")
    os.rename(tmp_path / "..new", tmp_path / "..data")
    wait_for(lambda: ask(r, "GET", "/v1/status", WRITER).status == 200, "the new token")
    assert ask(r, "GET", "/v1/status", READER).status == 401


def test_failures_are_limited(secured):
    r = secured("auth_failures 5r/m;")
    with r.client("admin") as known:
        assert known.get("/v1/status", Authorization="Bearer " + READER).status == 200
        assert [ask(r, "GET", "/v1/status", "x%d" % i).status for i in range(7)] == [401] * 5 + [429] * 2
        answer = ask(r, "GET", "/v1/status", READER)
        assert (answer.status, code_of(answer)) == (429, "TooManyRequests"), "whoever guesses may not learn anything"
        assert 1 <= int(answer.headers["retry-after"]) <= 12
        assert ask(r, "GET", "/livez").status == 200
        assert ask(r, "GET", "/v1/status").status == 401, "no credentials, no attempt"
        assert known.get("/v1/status", Authorization="Bearer " + READER).status == 200
    assert ask(r, "GET", "/v1/status", READER, where=r.dir + "/admin.sock").status == 200, "somebody else"


def test_failures_are_forgiven(secured):
    r = secured("auth_failures 5r/s;")
    assert [ask(r, "GET", "/v1/status", "x").status for _ in range(6)][:5] == [401] * 5
    wait_for(lambda: ask(r, "GET", "/v1/status", READER).status == 200, "forgiveness")


def test_whoever_has_shown_a_token_gives_way_last(secured):
    r = secured()
    held = []
    try:
        known = r.client("admin")
        held.append(known)
        assert known.get("/v1/status", Authorization="Bearer " + READER).status == 200
        for _ in range(300):
            held.append(r.client("admin"))
        assert known.get("/v1/status", Authorization="Bearer " + READER).status == 200
        assert ask(r, "GET", "/v1/status", READER).status == 200
        assert held[1].at_end()
    finally:
        for c in held:
            c.close()


# ---- listeners ----

def test_a_listener_for_metrics(remora):
    r = remora("admin { listen unix:@DIR@/admin.sock; write on; listen 0.0.0.0:@PORT:admin@ role=metrics; }" + HTTP)
    for host in ("localhost", "metrics.example.com:9"):
        assert ask(r, "GET", "/metrics", Host=host).status == 200
        assert ask(r, "GET", "/readyz", Host=host).status == 200
    for method, path in (("GET", "/v1/status"), ("GET", "/api/"), ("PUT", SERVERS), ("DELETE", "/api/9/http/requests")):
        answer = ask(r, method, path)
        assert answer.status == 403 and code_of(answer) == "Forbidden"
    assert ask(r, "GET", "/nowhere").status == 404
    assert ask(r, "PUT", SERVERS, None, BODY, where=r.dir + "/admin.sock").status == 200


def test_a_listener_for_reading(remora):
    r = remora("admin { listen unix:@DIR@/admin.sock role=read mode=0600; write on; listen 127.0.0.1:@PORT:admin@; }"
               + HTTP)
    sock = r.dir + "/admin.sock"
    assert os.stat(sock).st_mode & 0o777 == 0o600
    assert ask(r, "GET", "/v1/status", where=sock).status == 200
    assert ask(r, "PUT", SERVERS, None, BODY, where=sock).status == 403
    assert ask(r, "PUT", SERVERS, None, BODY).status == 200
    r.write("admin { listen unix:@DIR@/admin.sock; write off; }" + HTTP)
    r.reload()
    wait_for(lambda: ask(r, "PUT", SERVERS, None, BODY, where=sock).status == 405, "the reload")


def test_a_reload_changes_the_mode_of_a_socket(remora):
    text = "admin { listen unix:@DIR@/admin.sock%s; write on; %s }" + HTTP
    r = remora(text % ("", ""))
    sock = r.dir + "/admin.sock"
    for mode in ("0600", "0666", "0660"):
        before = os.stat(sock).st_mode
        r.write(text % (" mode=" + mode, "token t read /nonexistent;"))
        r.reload(ok=False)
        assert os.stat(sock).st_mode == before, "a configuration that is refused"
        r.reload(text % (" mode=" + mode, ""))
        assert os.stat(sock).st_mode & 0o777 == int(mode, 8)
        assert ask(r, "GET", "/v1/status", where=sock).status == 200


def test_a_token_gets_no_more_than_its_listener(secured):
    r = secured("listen 127.0.0.1:@PORT:low@ role=read;")
    assert ask(r, "GET", "/v1/status", BOSS, where="low").status == 200
    assert ask(r, "PUT", SERVERS, BOSS, BODY, where="low").status == 403
    assert ask(r, "GET", "/v1/status", where="low").status == 401


# ---- users ----

def test_peers(remora):
    uid = os.getuid()
    r = remora("admin { listen unix:@DIR@/admin.sock; write on; peer uid=%d read; peer uid=%d admin; }" % (uid, uid + 1)
               + HTTP)
    sock = r.dir + "/admin.sock"
    assert ask(r, "GET", "/v1/status", where=sock).status == 200
    assert ask(r, "PUT", SERVERS, None, BODY, where=sock).status == 403
    for peers, status in (("peer uid=%d write;" % uid, 200), ("peer gid=%d write;" % os.getgid(), 200),
                          ("peer uid=%d read; peer gid=%d write;" % (uid, os.getgid()), 200),
                          ("peer uid=%d write; peer gid=%d write;" % (uid + 1, os.getgid() + 1), 403)):
        r.write("admin { listen unix:@DIR@/admin.sock; write on; %s }" % peers + HTTP)
        r.reload()
        wait_for(lambda: ask(r, "GET", "/livez", where=sock).status == 200)
        answer = wait_for(lambda: ask(r, "PUT", SERVERS, None, BODY, where=sock))
        assert answer.status == status, peers
    assert "www-authenticate" not in answer.headers, "there is nothing that it could show"
    assert ask(r, "GET", "/readyz", where=sock).status == 200


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become somebody else")
def test_supplementary_groups(remora):
    r = remora("admin { listen unix:@DIR@/admin.sock mode=0666; write on; peer gid=4321 write; peer uid=0 read; }" + HTTP)

    def put_as(groups):
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os.setgroups(groups)
                os.setgid(65533)
                os.setuid(65533)
                with Client(r.dir + "/admin.sock") as c:
                    answer = c.request("PUT", SERVERS, {"Content-Type": "application/json"}, json.dumps(BODY).encode())
                    os._exit(answer.status - 200 if answer.status < 400 else answer.status - 300)
            os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert put_as([4321]) == 0
    assert put_as(list(range(5000, 5100)) + [4321]) == 0
    assert put_as([]) == 103
    assert ask(r, "PUT", SERVERS, None, BODY, where=r.dir + "/admin.sock").status == 403


# ---- browsers ----

def test_pages_of_other_origins_may_not_write(remora):
    r = remora("admin { listen 127.0.0.1:@PORT:admin@; write on; host ctl.example.com *.example.org; }" + HTTP)
    port = r.port("admin")
    for host, origin, status in (
            ("localhost:%d" % port, "http://localhost:%d" % port, 200),
            ("127.0.0.1:%d" % port, "http://127.0.0.1:%d" % port, 200),
            ("[::1]:%d" % port, "http://[::1]:%d" % port, 200),
            ("app.localhost", "http://app.localhost", 200),
            ("localhost:80", "http://localhost", 200),
            ("LOCALHOST", "http://localhost:80", 200),
            ("localhost", "https://localhost:443", 200),
            ("ctl.example.com", "http://ctl.example.com", 200),
            ("ctl.EXAMPLE.com:1", "http://ctl.example.com:1", 200),
            ("a.b.example.org", "https://a.b.example.org", 200),
            ("localhost:%d" % port, "http://localhost:%d" % (port + 1), 403),
            ("localhost", "http://evil.example", 403),
            ("localhost", "null", 403),
            ("localhost", "", 403),
            ("localhost", "http://localhost/", 403),
            ("localhost", "http://localhost.evil.example", 403),
            ("localhost", "chrome-extension://localhost", 403),
            ("evil.example", "http://evil.example", 403),
            ("example.org", "http://example.org", 403),
            ("xexample.org", "http://xexample.org", 403)):
        answer = ask(r, "PUT", SERVERS, None, BODY, Host=host, Origin=origin)
        assert answer.status == status, (host, origin, answer)
    assert ask(r, "GET", "/v1/status", Host="localhost", Origin="http://evil.example").status == 200


def test_names_that_were_made_to_lead_here(remora):
    r = remora("admin { listen unix:@DIR@/admin.sock; listen 127.0.0.1:@PORT:admin@; write on; host *.example.org; }" + HTTP)
    for host, status in (("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("a.example.org.", 200),
                         ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil", 403),
                         ("example.org", 403)):
        for method, path, body in (("GET", "/v1/status", None), ("PUT", SERVERS, BODY), ("GET", "/api/9/nginx", None)):
            answer = ask(r, method, path, None, body, Host=host)
            assert answer.status == status, (host, path)
            assert status == 200 or code_of(answer) == "HostRefused"
        assert ask(r, "GET", "/livez", Host=host).status == 200
        assert ask(r, "GET", "/metrics", Host=host).status == 200
        assert ask(r, "PUT", SERVERS, None, BODY, where=r.dir + "/admin.sock", Host=host).status == 200
    with r.client("admin") as c:
        c.send("GET /v1/status HTTP/1.0\r\n\r\n")
        assert c.response().status == 200, "no browser"


def test_a_token_stands_for_any_name(secured):
    r = secured()
    assert ask(r, "PUT", SERVERS, WRITER, BODY, Host="remora.default.svc").status == 200
    page = {"Host": "remora.default.svc", "Origin": "http://remora.default.svc"}
    assert ask(r, "PUT", SERVERS, WRITER, BODY, **page).status == 200
    assert ask(r, "PUT", SERVERS, WRITER, BODY, Host="remora", Origin="http://other").status == 403


@pytest.mark.parametrize("value, status", [
    ("application/json", 200), ("Application/JSON; charset=utf-8", 200), ("application/merge-patch+json", 200),
    ("application/problem+json ; x=y", 200), ("text/plain", 415), ("application/x-www-form-urlencoded", 415),
    ("multipart/form-data; boundary=application/json", 415), ("+json", 415), ("application/jsonx", 415), ("", 415)])
def test_bodies_are_json(remora, value, status):
    r = remora("admin { listen 127.0.0.1:@PORT:admin@; write on; }" + HTTP)
    answer = ask(r, "PUT", SERVERS, None, BODY, Content_Type=value)
    assert answer.status == status, answer
    if status == 415:
        assert code_of(answer) == "UnsupportedMediaType"
    plus = ask(r, "POST", "/api/9/http/upstreams/u/servers", None, {"server": "127.0.0.1:9"}, Content_Type=value)
    assert plus.status == 201


# ---- configuration ----

@pytest.mark.parametrize("text, message", [
    ("listen 0.0.0.0:1;", "could be reached from other machines"),
    ("listen [::]:1 role=read;", "could be reached from other machines"),
    ("listen 8080;", "could be reached from other machines"),
    ("listen 127.0.0.1:1 role=root;", 'invalid role "role=root"'),
    ("listen 127.0.0.1:1 role=none;", 'invalid role "role=none"'),
    ("listen 127.0.0.1:1 mode=0600;", "only unix sockets have a mode"),
    ("listen unix:/x mode=999;", 'invalid mode "mode=999"'),
    ("listen unix:/x mode=0;", 'invalid mode "mode=0"'),
    ("listen unix:/x mode=01777;", 'invalid mode "mode=01777"'),
    ("listen unix:/x backlog=1;", 'invalid parameter "backlog=1"|invalid value "backlog=1"'),
    ("listen unix:/x; listen unix:/x role=read;", "duplicate listen unix:/x"),
    ("token a read /nonexistent/token;", 'the file "/nonexistent/token" of token "a" cannot be read'),
    ("token a read @DIR@;", 'the file "@DIR@" of token "a" is no regular file'),
    ("token a read @DIR@/empty;", "is empty"),
    ("token a read @DIR@/blank;", "is empty"),
    ("token a read @DIR@/two;", "holds more than a token"),
    ("token a read @DIR@/long;", "is longer than"),
    ("token a read @DIR@/binary;", "holds more than a token"),
    ("token a none @DIR@/good;", 'invalid role "none"'),
    ("token a,b read @DIR@/good;", 'invalid name "a,b" of a token'),
    ("token a read @DIR@/good; token a write @DIR@/good;", 'duplicate token "a"'),
    ("peer uid=-1 read;", 'there is no user "-1"'),
    ("peer uid=4294967295 read;", 'there is no user "4294967295"'),
    ("peer gid=nosuchgroup read;", 'there is no group "nosuchgroup"'),
    ("peer pid=1 read;", "pid=1"),
    ("peer uid=0 king;", 'invalid role "king"'),
    ("host *;", 'invalid host name'),
    ("host a/b;", 'invalid host name'),
    ("host .a;", 'invalid host name'),
    ("auth_failures 0r/s;", 'invalid rate "0r/s"'),
    ("auth_failures 5r/h;", 'invalid rate "5r/h"'),
    ("auth_failures -5r/m;", 'invalid rate "-5r/m"'),
    ("auth_failures 5r/m; auth_failures 6r/m;", "duplicate"),
])
def test_bad_configuration(tmp_path, text, message):
    files = {"good": READER, "empty": "", "blank": " \n\t\n", "two": "a\nb\n", "long": "x" * 4096, "binary": "x\x01y"}
    for name, content in files.items():
        put_file(str(tmp_path), name, content)
    conf = tmp_path / "remora.conf"
    conf.write_text("events {}\nadmin {\n %s\n}\n" % text.replace("@DIR@", str(tmp_path)))
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(conf), "-e", "stderr")
    assert done.returncode == 1
    assert re.search("|".join(re.escape(m.replace("@DIR@", str(tmp_path))) for m in message.split("|")), done.stderr), done.stderr
    assert "remora.conf:3" in done.stderr, done.stderr


def test_warnings(tmp_path):
    os.chmod(put_file(str(tmp_path), "open", READER), 0o644)
    put_file(str(tmp_path), "short", "abc")
    conf = tmp_path / "remora.conf"
    conf.write_text("events {}\nadmin { listen unix:%s/s;\n token a read open;\n token b read short;\n}\n" % tmp_path)
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(conf), "-e", "stderr")
    assert done.returncode == 0, done.stderr
    assert 'token "a" is open to every user of this machine in %s:3' % conf in done.stderr
    assert 'token "b" in "%s/short" is shorter than 16 bytes in %s:4' % (tmp_path, conf) in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="whoever tests can read its files")
def test_a_token_that_the_agent_could_not_read(tmp_path):
    os.chown(put_file(str(tmp_path), "t", READER), 0, 0)
    conf = tmp_path / "remora.conf"
    conf.write_text("events {}\nadmin { listen unix:%s/s;\n token a read t;\n}\n" % tmp_path)
    done = run_remora("-t", "-p", str(tmp_path), "-c", str(conf), "-e", "stderr")
    assert done.returncode == 1
    assert 'token "a" in %s:3 is not readable for user "nobody"' % conf in done.stderr


def test_network_listeners_with_tokens(remora, tmp_path):
    put_file(str(tmp_path), "t", READER)
    r = remora(f"admin {{ listen 0.0.0.0:@PORT:admin@; token t read {tmp_path}/t; }}" + HTTP)
    assert ask(r, "GET", "/v1/status", READER).status == 200
    assert ask(r, "GET", "/v1/status").status == 401
