# SPDX-License-Identifier: Apache-2.0
"""The configurations of deploy/examples: as they are, `remora -t` takes them; moved into a directory of the test's own,
with free ports, they do what they say."""
import os
import re
import shutil
import tempfile

import pytest
from conftest import ROOT, free_port, ok, run_remora, wait_for

EXAMPLES = ROOT + "/deploy/examples"
NAMES = ("reverse-proxy.conf", "sidecar.conf", "canary.conf", "distribution/nginx.conf")


def moved(directory, name, ports):
    """The example with its directories below `directory` and its ports replaced: files come along, too."""
    for path in ("run/remora", "var/log/remora", "var/log/nginx", "var/lib/remora", "etc", "var/www"):
        os.makedirs(f"{directory}/{path}", exist_ok=True)
    shutil.copytree(EXAMPLES + "/distribution", directory + "/etc/nginx", dirs_exist_ok=True)
    shutil.copy(ROOT + "/deploy/mime.types", directory + "/etc/nginx/mime.types")
    os.chmod(directory, 0o755)
    os.chmod(directory + "/var/lib/remora", 0o777)
    for base, _, files in os.walk(directory + "/etc"):
        for file in files:
            with open(f"{base}/{file}") as f:
                text = f.read()
            with open(f"{base}/{file}", "w") as f:
                f.write(change(text, directory, ports))
    with open(f"{EXAMPLES}/{name}") as f:
        return change(f.read(), directory, ports)


def change(text, directory, ports):
    text = re.sub(r"(?<![\w.])/(run|var|etc)/", rf"{directory}/\1/", text)
    text = text.replace("user www-data;", "user nobody;")
    text = re.sub(r"(?<=[:\s])(\d+)(?=[ ;])", lambda m: str(ports.get(int(m[1]), m[1])), text)
    return re.sub(r"listen (\d+)(?=[ ;])", r"listen 127.0.0.1:\1", text)


@pytest.fixture
def place():
    """A directory that workers may look into, whoever they are."""
    with tempfile.TemporaryDirectory(prefix="remora-example-") as directory:
        os.chmod(directory, 0o755)
        yield directory


@pytest.mark.parametrize("name", NAMES)
def test_syntax(place, name):
    with open(place + "/x.conf", "w") as f:
        f.write(moved(place, name, {}))
    result = run_remora("-t", "-p", place + "/", "-c", place + "/x.conf")
    assert result.returncode == 0, result.stderr
    warned = set(re.findall(r'\[warn\] the "(\w+)" directive has no effect', result.stderr))
    assert warned == ({"types_hash_max_size"} if "nginx" in name else set()), result.stderr


def instance(remora, place, name, ports):
    text = moved(place, name, ports)
    text = re.sub(r"^pid .*\n", "", text, flags=re.M)
    text = re.sub(r"^error_log .*\n", "", text, flags=re.M)
    return remora(text)


def echo(name):
    """Says who it is, and what it was asked."""
    def answer(request):
        fields = dict(request.fields)
        return ok("\n".join([name, request.line, fields.get("host", ""), fields.get("x-forwarded-for", "")]))
    return answer


def test_reverse_proxy(remora, backend, place):
    one, two = backend(echo("one")), backend(echo("two"))
    ports = {8080: free_port(), 8081: int(one.addr.split(":")[1]), 8082: int(two.addr.split(":")[1])}
    r = instance(remora, place, "reverse-proxy.conf", ports)
    web = ("127.0.0.1", ports[8080])
    seen = {r.request(web, "GET", "/x?y", {"Host": "app"}).body.decode() for _ in range(4)}
    assert seen == {f"{name}\nGET /x?y HTTP/1.1\napp\n127.0.0.1" for name in ("one", "two")}
    assert r.request(web, "GET", "/ws/x", {"Host": "app"}).status == 200
    assert r.request(web, "GET", "/away").status == 404
    one.stop()
    assert [r.request(web, "GET", "/").body[:3] for _ in range(4)] == [b"two"] * 4
    two.stop()
    response = r.request(web, "GET", "/")
    assert response.status == 503 and response.headers["retry-after"] == "5" and b"away" in response.body
    assert response.headers["server"] == "remora"
    wait_for(lambda: '"GET / HTTP/1.1" 503' in open(place + "/var/log/remora/access.log").read(), "the log")


def test_sidecar(remora, backend, place):
    orders, other, stock, me = [backend(echo(n)) for n in ("orders", "other", "stock", "self")]
    ports = {15001: free_port(), 15006: free_port(), 9901: free_port()}
    for port, server in ((8101, orders), (8102, other), (8201, stock), (8080, me)):
        ports[port] = int(server.addr.split(":")[1])
    r = instance(remora, place, "sidecar.conf", ports)
    out = ("127.0.0.1", ports[15001])
    health = ("127.0.0.1", ports[9901])
    for path in ("/livez", "/readyz", "/startupz"):
        assert r.request(health, "GET", path).status == 200
    assert r.request(out, "GET", "/", {"Host": "stock"}).body.startswith(b"stock\n")
    assert {r.request(out, "GET", "/", {"Host": "orders"}).body.split(b"\n")[0] for _ in range(4)} == {b"orders", b"other"}
    assert r.request(out, "GET", "/", {"Host": "nobody"}).status == 421
    assert r.request(("127.0.0.1", ports[15006]), "POST", "/in", {}, b"x").body.startswith(b"self\nPOST /in")
    # a swap through the socket, and the next request goes there
    with r.client(f"{place}/run/remora/admin.sock") as c:
        answer = c.request("PUT", "/v1/http/upstreams/orders/servers", {"Content-Type": "application/json"},
                           b'[{"server":"%s"}]' % stock.addr.encode())
        assert answer.status == 200, answer
    assert {r.request(out, "GET", "/", {"Host": "orders"}).body.split(b"\n")[0] for _ in range(4)} == {b"stock"}


def test_canary(remora, backend, place):
    stable, canary = backend(ok(b"stable")), backend(ok(b"canary"))
    ports = {8080: free_port(), 8081: int(stable.addr.split(":")[1]), 8082: int(canary.addr.split(":")[1])}
    r = instance(remora, place, "canary.conf", ports)
    web = ("127.0.0.1", ports[8080])
    json_type = {"Content-Type": "application/json"}

    def versions():
        return [r.request(web, "GET", "/", {"X-User": "user-%d" % i}).body for i in range(200)]

    before = versions()
    assert 0 < before.count(b"canary") < 30
    assert r.request(web, "PUT", "/api/v1/http/splits/by_share", json_type, b'{"stable": 50, "canary": 50}').status == 200
    after = versions()
    assert 70 < after.count(b"canary") < 130
    assert all(a == b"canary" for b, a in zip(before, after) if b == b"canary")
    user = after.index(b"stable")
    assert r.request(web, "POST", "/api/9/http/keyvals/pins", json_type,
                     b'{"user-%d": "canary"}' % user).status == 201
    assert r.request(web, "GET", "/", {"X-User": "user-%d" % user}).body == b"canary"
    assert b"user-%d" % user in open(place + "/var/lib/remora/pins.json", "rb").read()


def test_distribution(remora, backend, place):
    """What `include` brings (types, sites, parameters of the proxy) counts as if it stood there."""
    first, backup = backend(echo("first")), backend(echo("backup"))
    ports = {80: free_port(), 3000: int(first.addr.split(":")[1]), 3001: int(backup.addr.split(":")[1])}
    for name, text in (("html/index.html", "<p>it works</p>\n" * 20), ("html/.htaccess", "secret"), ("app/a.css", "p{}\n")):
        path = f"{place}/var/www/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
    r = instance(remora, place, "distribution/nginx.conf", ports)
    web = ("127.0.0.1", ports[80])
    page = r.request(web, "GET", "/", {"Accept-Encoding": "gzip"})
    assert page.status == 200 and page.headers["content-type"] == "text/html"
    assert page.headers["content-encoding"] == "gzip" and page.headers["vary"] == "Accept-Encoding"
    assert r.request(web, "GET", "/.htaccess").status == 403
    assert r.request(web, "GET", "/none").status == 404
    css = r.request(web, "GET", "/static/a.css", {"Host": "app.example.org"})
    assert css.body == b"p{}\n" and css.headers["content-type"] == "text/css"
    assert css.headers["cache-control"] == "max-age=3600"
    app = r.request(web, "GET", "/a/b", {"Host": "app.example.org"})
    assert app.body == b"first\nGET /a/b HTTP/1.1\napp.example.org\n127.0.0.1"
    first.stop()
    assert r.request(web, "GET", "/", {"Host": "app.example.org"}).body.startswith(b"backup\n")
    moved_to = r.request(web, "GET", "/x?y=z", {"Host": "www.example.org"})
    assert moved_to.status == 301 and moved_to.headers["location"] == "http://app.example.org/x?y=z"
