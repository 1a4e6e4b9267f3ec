# SPDX-License-Identifier: Apache-2.0
"""keyval and keyval_zone: variables whose values the API changes."""
import json
import os
import stat
import tempfile
import threading
import time
from signal import SIGKILL, SIGQUIT

import pytest

from conftest import run_remora, wait_for

CONF = """
worker_processes 2;
http {
    keyval_zone zone=plain:1m %s;
    keyval_zone zone=timed:64k timeout=1h;
    keyval_zone zone=nets:64k type=ip;
    keyval_zone zone=paths:64k type=prefix;
    keyval_zone zone=small:8k;
    keyval $arg_k $plain zone=plain;
    keyval $arg_k $timed zone=timed;
    keyval $arg_k $net zone=nets;
    keyval $remote_addr $peer zone=nets;
    keyval $uri $path zone=paths;
    server {
        listen 127.0.0.1:@PORT:web@;
        location / { return 200 "$plain|$timed|$net|$peer|$path"; }
        location /api { api write=on; }
        location /route { proxy_pass http://$plain; }
    }
}
"""
V1 = "/v1/http/keyvals/"


def look(r, key="", path="/"):
    """The values of plain, timed, net, peer and path."""
    return r.get("web", "%s?k=%s" % (path, key)).body.decode().split("|")


def patch(r, zone, body, **headers):
    return r.admin("PATCH", V1 + zone, body, {k.replace("_", "-"): v for k, v in headers.items()})


def entries(r, zone):
    return r.admin("GET", V1 + zone).json["entries"]


@pytest.fixture
def keyval(remora):
    return remora(CONF % "")


def test_values_come_and_go(keyval):
    r = keyval
    assert look(r, "a")[0] == "" and entries(r, "plain") == {}
    answer = patch(r, "plain", {"a": "one", "b": "two", "Grün / x": "drei\u20ac"})
    assert answer.status == 200 and answer.json["applied"] is True
    assert (answer.json["before"], answer.json["entries"]) == (0, 3)
    assert look(r, "a")[0] == "one" and look(r, "b")[0] == "two" and look(r, "A")[0] == ""
    assert entries(r, "plain") == {"a": "one", "b": "two", "Grün / x": "drei\u20ac"}
    assert patch(r, "plain", {"a": None, "b": "zwei", "nothing": None}).json["entries"] == 2
    assert look(r, "a")[0] == "" and look(r, "b")[0] == "zwei"
    assert r.admin("GET", V1 + "plain?key=b").json["entries"] == {"b": "zwei"}
    assert r.admin("GET", V1 + "plain?key=Gr%C3%BCn%20/%20x").json["entries"] == {"Grün / x": "drei\u20ac"}
    assert r.admin("GET", V1 + "plain?key=a").json["code"] == "KeyvalKeyNotFound"
    put = r.admin("PUT", V1 + "plain", {"c": ""})
    assert put.status == 200 and entries(r, "plain") == {"c": ""}
    assert r.admin("PUT", V1 + "plain", {}).status == 200 and entries(r, "plain") == {}
    zones = r.admin("GET", "/v1/http/keyvals").json["keyvals"]
    assert [(z["name"], z["type"]) for z in zones] == [("plain", "string"), ("timed", "string"), ("nets", "ip"),
                                                       ("paths", "prefix"), ("small", "string")]
    assert zones[0]["size"] == 1 << 20 and zones[1]["timeout_ms"] == 3600000
    assert r.admin("GET", V1 + "none").json["code"] == "KeyvalNotFound"
    assert patch(r, "none", {"a": "b"}).status == 404


def test_addresses_and_prefixes(keyval):
    r = keyval
    assert patch(r, "nets", {"10.0.0.0/8": "ten", "10.1.0.0/16": "inner", "127.0.0.0/8": "local",
                             "2001:db8::/32": "doc"}).status == 200
    assert look(r, "10.1.2.3")[2] == "inner" and look(r, "10.2.2.3")[2] == "ten"
    assert look(r, "2001:db8::77")[2] == "doc" and look(r, "11.0.0.1")[2] == "" and look(r, "x")[2] == ""
    assert look(r)[3] == "local"
    assert patch(r, "nets", {"127.0.0.1": "self"}).status == 200 and look(r)[3] == "self"
    assert patch(r, "nets", {"127.0.0.1": None}).status == 200 and look(r)[3] == "local"
    assert patch(r, "paths", {"/a": "a", "/a/b": "ab"}).status == 200
    assert look(r, path="/a")[4] == "a" and look(r, path="/a/x")[4] == "a" and look(r, path="/a/bc")[4] == "ab"
    assert look(r, path="/")[4] == ""
    bad = patch(r, "nets", {"10.9.0.0/16": "x", "host.example": "y"})
    assert bad.status == 400 and bad.json["code"] == "KeyvalFormatError" and "host.example" in bad.json["detail"]
    assert look(r, "10.9.1.1")[2] == "ten"


def test_routes_requests(keyval, backend):
    """A value as the name of what is asked: routing that the API changes."""
    b = backend()
    assert patch(keyval, "plain", {"there": b.addr}).status == 200
    assert keyval.get("web", "/route?k=there").body == b"ok"


def test_entries_expire(keyval):
    r = keyval
    assert patch(r, "timed", {"long": "x", "short": {"value": "y", "expire": 300}}).status == 200
    assert patch(r, "plain", {"brief": {"value": "z", "expire": 300}, "stays": "s"}).status == 200
    assert look(r, "short")[1] == "y" and look(r, "brief")[0] == "z"
    shown = entries(r, "timed")
    assert shown["short"]["value"] == "y" and 0 < shown["short"]["expire"] <= 300
    assert 3590000 < shown["long"]["expire"] <= 3600000
    wait_for(lambda: look(r, "short")[1] == "" and look(r, "brief")[0] == "", "expiry")
    assert set(entries(r, "timed")) == {"long"} and entries(r, "plain") == {"stays": "s"}
    used = r.admin("GET", V1 + "plain").json["used"]
    assert patch(r, "plain", {"s": "t"}).status == 200  # takes the dead one's place
    assert r.admin("GET", V1 + "plain").json["used"] <= used
    # a time alone may be given to what is there
    assert patch(r, "plain", {"stays": {"expire": 200}}).status == 200 and look(r, "stays")[0] == "s"
    wait_for(lambda: look(r, "stays")[0] == "", "expiry")


@pytest.mark.parametrize("body", [
    [], "text", {"a": 1}, {"a": True}, {"a": ["x"]}, {"a": {}}, {"a": {"value": 1}}, {"a": {"value": "x", "more": 1}},
    {"a": {"value": "x", "expire": 0}}, {"a": {"value": "x", "expire": -1}}, {"a": {"value": "x", "expire": "1s"}},
    {"a": {"value": "x", "expire": 1.5}}, {"a": {"expire": 1000}}, {"": "x"}, {"k" * 4097: "x"}, {"a": "x" * 65537},
    b"{", b'{"a":"\\u0000"}', b'{"a":"1","a":"2"}',
])
def test_bad_bodies_change_nothing(keyval, body):
    assert patch(keyval, "plain", {"b": "before"}).status == 200
    before = keyval.admin("GET", V1 + "plain").json
    if isinstance(body, dict):
        body = {"good": "value", **body, "also": "good"}
    answer = patch(keyval, "plain", body)
    assert answer.status == 400, answer
    assert answer.json["code"] in ("KeyvalFormatError", "JsonError")
    assert keyval.admin("GET", V1 + "plain").json == before


def test_a_zone_is_as_large_as_it_says(keyval):
    r = keyval
    added = 0
    while True:
        answer = patch(r, "small", {"key%d" % added: "v" * 100})
        if answer.status != 200:
            break
        added += 1
    assert (answer.status, answer.json["code"]) == (507, "KeyvalOutOfMemory")
    assert 20 < added < 80
    zone = r.admin("GET", V1 + "small").json
    assert len(zone["entries"]) == added and 6000 < zone["used"] <= zone["size"] == 8192
    assert patch(r, "small", {"key0": None}).status == 200
    assert patch(r, "small", {"another": "v" * 100}).status == 200


def test_preconditions_and_dry_runs(keyval):
    r = keyval
    revision = r.admin("GET", V1 + "plain").json["revision"]
    assert patch(r, "plain", {"a": "b"}, If_Match='"%d"' % (revision + 3)).status == 412
    dry = r.admin("PATCH", V1 + "plain?dry_run=true", {"a": "b"})
    assert dry.status == 200 and dry.json["dry_run"] is True and dry.json["entries"] == 1
    assert r.admin("PATCH", V1 + "small?dry_run=true", {"a": "b" * 9000}).status == 507
    assert entries(r, "plain") == {}
    assert patch(r, "plain", {"a": "b"}, If_Match='"%d"' % revision).json["revision"] == revision + 1


def test_transactions(keyval):
    r = keyval
    operations = [{"op": "patch_keyval", "keyval": "plain", "value": {"t1": "1"}},
                  {"op": "patch_keyval", "keyval": "plain", "value": {"t2": "2"}}]
    done = r.admin("POST", "/v1/transactions", {"operations": operations})
    assert done.status == 200, done
    assert {k: v for k, v in entries(r, "plain").items() if k[0] == "t"} == {"t1": "1", "t2": "2"}
    record = r.admin("GET", "/v1/history/%d" % done.json["revision"]).json
    assert record["tables"] == [{"kind": "keyval", "name": record["tables"][0]["name"], "change": "changed"}] or \
        record["tables"][0]["change"] == "added"
    back = r.admin("POST", "/v1/rollback/%d" % (done.json["revision"] - 1), {}).json
    assert [t["table"] for t in back["not_restored"]], "that entries do not come back is told"
    operations[1]["value"] = {"t3": 5}
    bad = r.admin("POST", "/v1/transactions", {"operations": [dict(operations[0], value={"t1": None})] + operations[1:]})
    assert bad.status == 400 and "t1" in entries(r, "plain"), "all or nothing"
    put = {"op": "put_keyval", "keyval": "plain", "value": {}}
    assert r.admin("POST", "/v1/transactions", {"operations": [put]}).status == 200
    assert entries(r, "plain") == {}
    assert r.admin("POST", "/v1/transactions", {"operations": [dict(put, keyval="nope")]}).status == 404
    assert r.admin("POST", "/v1/transactions", {"operations": [{"op": "put_keyval", "value": {}}]}).status == 400


def test_ten_thousand_keys_while_they_change(remora):
    """Readers see, for every key, the value of one of the writes, whoever is killed or replaced meanwhile."""
    r = remora(CONF % "", allow=("exited on signal",))
    keys = 10000
    for base in range(0, keys, 2500):
        assert patch(r, "plain", {"k%d" % i: "v0" for i in range(base, base + 2500)}).status == 200
    stop, wrong, asked = threading.Event(), [], [0]

    def ask(seed):
        n = seed
        while not stop.is_set():
            with r.client() as c:
                for _ in range(500):
                    n = (n * 1103515245 + 12345) % (1 << 31)
                    answer = c.get("/?k=k%d" % (n % keys))
                    value = answer.body.split(b"|")[0]
                    asked[0] += 1
                    if not value.startswith(b"v"):
                        wrong.append((n % keys, value))
                    if stop.is_set():
                        return
                    if answer.headers["connection"] == "close":
                        break

    threads = [threading.Thread(target=ask, args=(s,)) for s in range(3)]
    for t in threads:
        t.start()
    began, writes = time.monotonic(), 0
    while writes < 400 or asked[0] < 3000:
        key = (writes * 7919) % keys
        answer = patch(r, "plain", {"k%d" % key: "v%d" % writes, "k%d" % ((key + 1) % keys): "v%d" % writes})
        assert answer.status == 200, answer
        writes += 1
        assert time.monotonic() - began < 60
        if writes == 150:
            agent = r.agent()
            os.kill(agent, SIGKILL)
            wait_for(lambda: r.agent() not in (None, agent), "an agent")
        if writes == 300:
            r.reload()
    stop.set()
    for t in threads:
        t.join()
    assert not wrong, wrong[:5]
    assert len(entries(r, "plain")) == keys


# ---- what stays ----

def test_reloads_and_dead_agents(remora):
    r = remora(CONF % "", allow=("exited on signal",))
    assert patch(r, "plain", {"a": "one", "t": {"value": "x", "expire": 3600000}}).status == 200
    old = r.agent()
    os.kill(old, SIGKILL)
    assert look(r, "a")[0] == "one"
    wait_for(lambda: r.agent() not in (None, old), "an agent")
    r.reload()
    assert look(r, "a")[0] == "one" and set(entries(r, "plain")) == {"a", "t"}
    assert patch(r, "plain", {"b": "two"}).status == 200 and look(r, "b")[0] == "two"
    r.reload(CONF % "type=prefix")  # another type is another zone
    assert entries(r, "plain") == {}
    r.reload("http { server { listen 127.0.0.1:@PORT:web@; return 200 gone; } }")
    assert r.admin("GET", "/v1/http/keyvals").json["keyvals"] == []
    assert patch(r, "plain", {"b": "two"}).status == 404
    r.reload(CONF % "")
    assert look(r, "a")[0] == "" and patch(r, "plain", {"a": "new"}).status == 200 and look(r, "a")[0] == "new"


def restart(remora, r, text, **kw):
    """Another instance, with the same directory."""
    r.process.poll() is None and os.kill(r.pid, SIGQUIT)
    r.process.wait(30)
    r.check()
    r.stopped = True
    return remora(text, directory=r.dir, **kw)


@pytest.fixture
def state_dir():
    """A directory that the agent may write to, whoever it runs as.  It goes with the instance."""
    directory = tempfile.mkdtemp(prefix="remora-e2e-")
    os.mkdir(directory + "/state")
    os.chmod(directory + "/state", 0o777)
    return directory


def test_state_over_restarts(remora, state_dir):
    conf = CONF % "state=@DIR@/state/plain.json timeout=1h"
    r = remora(conf, directory=state_dir)
    path = state_dir + "/state/plain.json"
    assert json.load(open(path)) == {"entries": {}, "expires": {}}
    body = {"a": "one", "ü": "zwei", "gone": {"value": "x", "expire": 200}, "late": {"value": "y", "expire": 7200000}}
    assert patch(r, "plain", body).status == 200
    saved = json.load(open(path))  # before the answer
    assert set(saved["entries"]) == set(body) and set(saved["expires"]) == set(body)
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o022 == 0
    wait_for(lambda: look(r, "gone")[0] == "", "expiry")
    r = restart(remora, r, conf)
    assert look(r, "a")[0] == "one" and look(r, "gone")[0] == ""
    assert set(entries(r, "plain")) == {"a", "ü", "late"}
    assert 7100000 < entries(r, "plain")["late"]["expire"] <= 7200000
    assert patch(r, "plain", {"a": None}).status == 200
    assert "a" not in json.load(open(path))["entries"]


@pytest.mark.parametrize("text", ["{", "[]", '{"entries": 1, "expires": {}}', '{"a": "b"}', "\0\0\0"])
def test_a_broken_state_file_is_kept(remora, state_dir, text):
    path = state_dir + "/state/plain.json"
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o666)
    r = remora(CONF % "state=@DIR@/state/plain.json", directory=state_dir)
    r.wait_log("state file .* of keyval zone \"plain\" is broken")
    assert entries(r, "plain") == {} and open(path).read() == text
    r.reload()  # no other agent writes over it either
    assert entries(r, "plain") == {} and open(path).read() == text
    assert patch(r, "plain", {"a": "b"}).status == 200
    assert json.load(open(path))["entries"] == {"a": "b"}
    assert open(path + ".broken").read() == text


def test_a_state_file_of_another_type(remora, state_dir):
    """What cannot be in the zone is told of; what is dead by now is not missed."""
    path = state_dir + "/state/plain.json"
    later = int(time.time() * 1000) + 3600000
    with open(path, "w") as f:
        json.dump({"entries": {"10.0.0.0/8": "net", "name": "x", "10.9.9.9": 7, "10.1.1.1": "dead", "::1": "one"},
                   "expires": {"10.0.0.0/8": later, "10.1.1.1": 1000}}, f)
    os.chmod(path, 0o666)
    r = remora(CONF % "state=@DIR@/state/plain.json type=ip", directory=state_dir)
    r.wait_log('2 entries of the state file .* cannot be in keyval zone "plain"')
    assert look(r, "10.1.1.1")[0] == "net" and look(r, "::1")[0] == "one"
    shown = entries(r, "plain")
    assert set(shown) == {"10.0.0.0/8", "::1"} and 3500000 < shown["10.0.0.0/8"]["expire"] <= 3600000
    assert set(json.load(open(path))["entries"]) == {"10.0.0.0/8", "::1"}


def test_an_empty_state_file_is_an_empty_zone(remora, state_dir):
    path = state_dir + "/state/plain.json"
    open(path, "w").close()
    os.chmod(path, 0o666)
    r = remora(CONF % "state=@DIR@/state/plain.json", directory=state_dir)
    assert patch(r, "plain", {"a": "b"}).status == 200
    assert "broken" not in r.log() and not os.path.exists(path + ".broken")
    assert json.load(open(path))["entries"] == {"a": "b"}


def test_an_agent_killed_over_its_writes(remora, state_dir):
    """What was acknowledged is in the file, whenever the agent dies."""
    conf = CONF % "state=@DIR@/state/plain.json"
    r = remora(conf, directory=state_dir, allow=("exited on signal",))
    acknowledged, stop = {}, threading.Event()

    def kill():
        while not stop.is_set():
            agent = r.agent()
            if agent:
                try:
                    os.kill(agent, SIGKILL)
                except ProcessLookupError:
                    pass
                wait_for(lambda: r.agent() not in (None, agent), "an agent", 20)
            stop.wait(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    n = 0
    end = time.monotonic() + 6
    while time.monotonic() < end:
        key, n = "k%d" % (n % 50), n + 1
        try:
            if patch(r, "plain", {key: "v%d" % n}).status == 200:
                acknowledged[key] = n
        except (OSError, Exception) as e:  # noqa: BLE001  the connection died with the agent
            if isinstance(e, AssertionError):
                raise
    stop.set()
    killer.join()
    assert len(acknowledged) > 10
    wait_for(lambda: r.admin("GET", "/livez").status == 200, "the agent")
    now = entries(r, "plain")
    saved = json.load(open(state_dir + "/state/plain.json"))["entries"]
    for key, number in acknowledged.items():
        assert int(now[key][1:]) >= number, key
        assert int(saved[key][1:]) >= number, key


# ---- configurations ----

@pytest.mark.parametrize("text, message", [
    ("keyval $a $b zone=x;", 'zero size shared memory zone "x"'),
    ("keyval_zone zone=x:64k; keyval_zone zone=x:64k;", 'duplicate keyval_zone "x"'),
    ("keyval_zone zone=x;", "invalid zone size"),
    ("keyval_zone zone=x:1;", "is too small"),
    ("keyval_zone zone=x:2g;", "invalid zone size"),
    ("keyval_zone zone=:64k;", "invalid zone name"),
    ("keyval_zone type=ip;", 'must have "zone" parameter'),
    ("keyval_zone zone=x:64k type=cidr;", 'invalid type "cidr"'),
    ("keyval_zone zone=x:64k timeout=soon;", "invalid timeout value"),
    ("keyval_zone zone=x:64k timeout=0;", "invalid timeout value"),
    ("keyval_zone zone=x:64k state=;", "invalid state file"),
    ("keyval_zone zone=x:64k more;", 'invalid parameter "more"'),
    ("keyval_zone zone=x:64k; keyval a b zone=x;", "invalid variable name"),
    ("keyval_zone zone=x:64k; keyval a $b x;", "invalid parameter"),
    ("keyval_zone zone=x:64k; keyval $nothing $b zone=x;", "unknown"),
    ("keyval_zone zone=x:64k; keyval $arg_a $uri zone=x;", "duplicate"),
])
def test_wrong_configurations(tmp_path, text, message):
    conf = tmp_path / "x.conf"
    conf.write_text("events {} http { %s server { listen 127.0.0.1:1; return 200 $b; } }" % text)
    done = run_remora("-t", "-p", str(tmp_path) + "/", "-c", str(conf))
    assert done.returncode != 0 and message in done.stderr, done.stderr


def test_sync_is_told_of(tmp_path):
    conf = tmp_path / "x.conf"
    conf.write_text("events {} http { keyval $arg_a $b zone=x; keyval_zone zone=x:64k timeout=1m sync; "
                    "server { listen 127.0.0.1:1; } }")
    done = run_remora("-t", "-p", str(tmp_path) + "/", "-c", str(conf))
    assert done.returncode == 0 and '"sync" of "keyval_zone" has no effect' in done.stderr


# ---- as clients of the Plus API do it, through a location ----

PLUS = "/api/9/http/keyvals"


def plus(r, method, path, body=None):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {}
    return r.request("web", method, PLUS + path, headers, data)


def test_plus_life_cycle(keyval):
    r = keyval
    assert plus(r, "GET", "").json == {"plain": {}, "timed": {}, "nets": {}, "paths": {}, "small": {}}
    assert plus(r, "GET", "/plain/").body == b"{}"
    made = plus(r, "POST", "/plain", {"key1": "val1"})
    assert (made.status, made.body) == (201, b"")
    assert look(r, "key1")[0] == "val1"
    again = plus(r, "POST", "/plain", {"key1": "val2"})
    assert (again.status, again.json["error"]["code"]) == (409, "KeyvalKeyExists")
    assert plus(r, "POST", "/plain", {"key2": "val2"}).status == 201
    assert plus(r, "GET", "/plain").json == {"key1": "val1", "key2": "val2"}
    assert plus(r, "GET", "/plain?key=key2").json == {"key2": "val2"}
    changed = plus(r, "PATCH", "/plain", {"key1": "val3"})
    assert (changed.status, changed.body) == (204, b"") and look(r, "key1")[0] == "val3"
    assert plus(r, "PATCH", "/plain", {"key1": None}).status == 204 and look(r, "key1")[0] == ""
    gone = plus(r, "PATCH", "/plain", {"key1": "x"})
    assert (gone.status, gone.json["error"]["code"]) == (404, "KeyvalKeyNotFound")
    assert plus(r, "GET", "/plain?key=key1").json["error"]["code"] == "KeyvalKeyNotFound"
    assert plus(r, "DELETE", "/plain").status == 204 and plus(r, "GET", "/plain").json == {}
    assert plus(r, "POST", "/plain", {"a": "1", "b": "2"}).status == 201  # several, into an empty zone
    assert plus(r, "POST", "/plain", {"c": "1", "d": "2"}).json["error"]["code"] == "KeyvalFormatError"
    assert plus(r, "PATCH", "/plain", {"a": "1", "b": "2"}).json["error"]["code"] == "KeyvalFormatError"
    assert plus(r, "GET", "/none").json["error"]["code"] == "KeyvalNotFound"
    assert plus(r, "POST", "/none", {"a": "b"}).status == 404
    assert plus(r, "GET", "").json["plain"] == {"a": "1", "b": "2"}


def test_plus_times(keyval):
    r = keyval
    refused = plus(r, "POST", "/plain", {"a": {"value": "v", "expire": 1000}})
    assert refused.status == 400 and "keyval timeout is not enabled" in refused.json["error"]["text"]
    assert plus(r, "POST", "/timed", {"a": {"value": "v", "expire": 300}}).status == 201
    assert plus(r, "GET", "/timed").json == {"a": "v"} and look(r, "a")[1] == "v"
    wait_for(lambda: plus(r, "GET", "/timed").json == {}, "expiry")
    assert plus(r, "POST", "/timed", {"a": "w"}).status == 201  # a dead key is as good as none
    assert plus(r, "PATCH", "/timed", {"a": {"expire": 200}}).status == 204 and look(r, "a")[1] == "w"
    wait_for(lambda: look(r, "a")[1] == "", "expiry")


def test_plus_size(keyval):
    r = keyval
    full = plus(r, "POST", "/small", {"a": "x" * 9000})
    assert (full.status, full.json["error"]["status"]) == (413, 413)
    assert plus(r, "GET", "/small").json == {}


def test_plus_pipelined(keyval):
    """Requests that are published together see those before them, and fail each for itself."""
    r = keyval
    bodies = [{"a": "1"}, {"a": "2"}, {"b": "1"}] + [{"k%d" % i: "v%d" % i} for i in range(40)] + [{"k7": "again"}]
    with r.client(r.dir + "/admin.sock") as c:
        for body in bodies:
            data = json.dumps(body).encode()
            c.send(b"POST /api/9/http/keyvals/plain HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(data) + data)
        answers = [c.response("POST").status for _ in bodies]
    assert answers == [201, 409, 201] + [201] * 40 + [409]
    assert plus(r, "GET", "/plain").json == {"a": "1", "b": "1", **{"k%d" % i: "v%d" % i for i in range(40)}}


def test_a_region_that_is_too_small(remora):
    r = remora("shared_memory 4m;\n" + CONF.replace("zone=plain:1m", "zone=plain:64m") % "")
    added = 0
    while added < 200:
        answer = patch(r, "plain", {"k%d.%d" % (added, i): "x" * 60000 for i in range(5)})
        if answer.status != 200:
            break
        added += 1
    assert answer.status == 507 and 2 < added < 20, answer
    before = entries(r, "plain")
    assert len(before) == 5 * added and look(r, "k0.0")[0] == "x" * 60000
    assert patch(r, "plain", {"k%d.%d" % (n, i): None for n in range(1, added) for i in range(5)}).status == 200
    assert patch(r, "timed", {"a": "b"}).status == 200 and look(r, "a")[1] == "b"
