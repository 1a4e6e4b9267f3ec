# SPDX-License-Identifier: Apache-2.0
"""The configurations of deploy/examples: as they are, `remora -t` takes them; moved into a directory of the test's own,
with free ports, they do what they say."""
import json
import os
import re
import shutil
import signal
import tempfile

import pytest
import yaml
from conftest import ROOT, free_port, ok, run_remora, wait_for

EXAMPLES = ROOT + "/deploy/examples"
NAMES = ("reverse-proxy.conf", "sidecar.conf", "canary.conf", "admin.conf", "health.conf", "plus-api.conf",
         "kubernetes.yaml", "distribution/nginx.conf")


def text_of(name):
    """An example's configuration; of a document for Kubernetes, the one in its ConfigMap."""
    with open(f"{EXAMPLES}/{name}") as f:
        text = f.read()
    return next(yaml.safe_load_all(text))["data"]["remora.conf"] if name.endswith(".yaml") else text


def tokens(directory):
    """The files that `token` names, as `admin.conf` tells to make them."""
    os.makedirs(f"{directory}/etc/remora/tokens", exist_ok=True)
    for name in ("deploy", "grafana"):
        path = f"{directory}/etc/remora/tokens/{name}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(f"the-token-of-{name}\n")
        if os.geteuid() == 0:
            shutil.chown(path, "nobody")


def moved(directory, name, ports):
    """The example with its directories below `directory` and its ports replaced: files come along, too."""
    for path in ("run/remora", "tmp", "var/log/remora", "var/log/nginx", "var/lib/remora", "etc", "var/www"):
        os.makedirs(f"{directory}/{path}", exist_ok=True)
    shutil.copytree(EXAMPLES + "/distribution", directory + "/etc/nginx", dirs_exist_ok=True)
    shutil.copy(ROOT + "/deploy/mime.types", directory + "/etc/nginx/mime.types")
    os.chmod(directory, 0o755)
    for path in ("var/lib/remora", "tmp"):
        os.chmod(f"{directory}/{path}", 0o777)
    for base, _, files in os.walk(directory + "/etc"):
        for file in files:
            with open(f"{base}/{file}") as f:
                text = f.read()
            with open(f"{base}/{file}", "w") as f:
                f.write(change(text, directory, ports))
    tokens(directory)
    return change(text_of(name), directory, ports)


def change(text, directory, ports):
    text = re.sub(r"(?<![\w.])/(run|var|etc|tmp)/", rf"{directory}/\1/", text)
    text = text.replace("user www-data;", "user nobody;")
    text = re.sub(r"\b(0\.0\.0\.0|10\.0\.0\.5):", "127.0.0.1:", text)
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
    assert result.stderr.count("[warn]") == len(warned), result.stderr


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


def json_of(response, status=200):
    assert response.status == status, response
    return json.loads(response.body)


def test_admin(remora, backend, place):
    app, other = backend(ok(b"app")), backend(ok(b"other"))
    ports = {port: free_port() for port in (8080, 9901, 9145)}
    ports |= {8081: int(app.addr.split(":")[1]), 8082: int(other.addr.split(":")[1])}
    r = instance(remora, place, "admin.conf", ports)
    api, metrics = ("127.0.0.1", ports[9901]), ("127.0.0.1", ports[9145])
    json_type = {"Content-Type": "application/json"}

    def with_token(name):
        return json_type | {"Authorization": f"Bearer the-token-of-{name}"}

    body = b'[{"server":"%s"}]' % other.addr.encode()
    path = "/v1/http/upstreams/app/servers"
    assert r.request(api, "PUT", path, json_type, body).status == 401
    assert r.request(api, "PUT", path, with_token("grafana"), body).status == 403
    assert r.request(api, "PUT", path, with_token("deploy"), body).status == 200
    assert r.request(api, "POST", "/v1/drain", with_token("deploy")).status == 403
    assert r.request(metrics, "PUT", path, with_token("deploy"), body).status == 403
    assert b'remora_http_requests_total{zone="app",code="2xx"} ' in r.request(metrics, "GET", "/metrics").body
    assert {r.request(("127.0.0.1", ports[8080]), "GET", "/").body for _ in range(4)} == {b"other"}
    assert '"who":"token:deploy"' in open(place + "/var/log/remora/audit.log").read()
    assert other.addr in open(place + "/var/lib/remora/state/state.json").read()


def test_health(remora, backend, place):
    well = ok(b'{"status": "ok"}', ["Content-Type: application/json"])
    servers = [backend(well), backend(ok(b"what?")), backend(well)]
    ports = {8080: free_port()} | {8081 + i: int(s.addr.split(":")[1]) for i, s in enumerate(servers)}
    r = instance(remora, place, "health.conf", ports)
    with r.client(f"{place}/run/remora/admin.sock") as c:
        def states():
            found = json_of(c.request("GET", "/v1/http/upstreams/app"))
            return [s["state"] for s in found["servers"]]
        wait_for(lambda: states() == ["up", "unhealthy", "up"], "the checks")
        assert c.request("GET", "/startupz").status == 200
    assert r.request(("127.0.0.1", ports[8080]), "GET", "/").status == 200


def test_plus_api(remora, backend, place):
    one, two = backend(ok(b"one")), backend(ok(b"two"))
    ports = {8080: free_port(), 8090: free_port()}
    r = instance(remora, place, "plus-api.conf", ports)
    api, web = ("127.0.0.1", ports[8090]), ("127.0.0.1", ports[8080])
    path = "/api/9/http/upstreams/app/servers"
    for server in (one, two):
        json_of(r.request(api, "POST", path, {}, b'{"server": "%s", "weight": 2}' % server.addr.encode()), 201)
    wait_for(lambda: {r.request(web, "GET", "/").body for _ in range(8)} == {b"one", b"two"}, "both servers")
    assert json_of(r.request(api, "PATCH", path + "/0", {}, b'{"drain": true}'))["drain"] is True
    assert {r.request(web, "GET", "/").body for _ in range(8)} == {b"two"}
    assert two.addr in open(place + "/var/lib/remora/app.conf").read()
    json_of(r.request(api, "GET", "/api/v1/openapi.json"))
    assert r.request(api, "POST", "/api/9/http/keyvals/banned", {}, b'{"127.0.0.0/8": "1"}').status == 201
    assert r.request(web, "GET", "/").status == 403


def test_kubernetes(remora, backend, place):
    """Its probes answer on the port that they ask, and the end comes within the grace period."""
    shop = backend(ok(b"shop"))
    documents = list(yaml.safe_load_all(open(EXAMPLES + "/kubernetes.yaml")))
    pod = documents[1]["spec"]["template"]["spec"]
    sidecar = pod["initContainers"][0]
    named = {p["name"]: p["containerPort"] for p in sidecar["ports"]}
    ports = {port: free_port() for port in named.values()} | {3000: int(shop.addr.split(":")[1])}
    r = instance(remora, place, "kubernetes.yaml", ports)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        get = sidecar[probe]["httpGet"]
        assert r.request(("127.0.0.1", ports[named[get["port"]]]), "GET", get["path"]).status == 200
    assert r.request(("127.0.0.1", ports[named["http"]]), "GET", "/").body == b"shop"
    mounts = {m["name"] for m in sidecar["volumeMounts"]}
    assert mounts <= {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in documents[1]["spec"]["volumeClaimTemplates"]}
    limit = int(re.search(r"drain_timeout (\d+)s", text_of("kubernetes.yaml"))[1])
    assert limit < pod["terminationGracePeriodSeconds"]
    r.signal(signal.SIGTERM)
    assert r.process.wait(limit) == 0


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
