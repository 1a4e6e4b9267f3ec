# SPDX-License-Identifier: Apache-2.0
"""remoractl: documents, upstreams, history, the instance's end."""
import json
import os
import re
import subprocess
import time

import pytest

from conftest import wait_for
from admin_client import REMORACTL, instance, remora  # noqa: F401 (fixtures)
from test_remoractl_more import TABLES, ctl, ok, refused, start  # noqa: F401 (fixture)


# ---- documents ----

def document(remora, tmp_path, content):
    path = tmp_path / "doc.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_apply_and_diff(remora, tmp_path):
    doc = document(remora, tmp_path, {"upstreams": {
        "app": {"servers": [{"server": "127.0.0.1:8001", "weight": 4}, {"server": "127.0.0.1:8003"}]},
        "empty": [{"server": "127.0.0.9:1", "backup": True}]}})
    before = remora.revision()
    expected = ("upstream app: changed\n  - server 127.0.0.1:8002 weight=3\n  + server 127.0.0.1:8003\n"
                "  ~ server 127.0.0.1:8001\n      weight: 1 -> 4\n")
    out = ok(remora.ctl("diff", "-f", doc), 3)
    assert expected in out and "upstream empty: changed\n  + server 127.0.0.9:1 backup=true\n" in out
    assert ok(remora.ctl("apply", "-f", doc, "--dry-run")) == out and remora.revision() == before
    assert ok(remora.ctl("apply", "-f", doc)) == f"revision {before + 1}, used by all workers\n"
    assert [(s["server"], s["weight"]) for s in remora.servers("app")] == [("127.0.0.1:8001", 4), ("127.0.0.1:8003", 1)]
    assert remora.servers("empty")[0]["backup"] is True and len(remora.servers("fixed")) == 1
    assert ok(remora.ctl("diff", "-f", doc)) == ""
    assert ok(remora.ctl("apply", "-f", doc, "--dry-run")) == "nothing would change\n"


def test_what_list_printed_can_be_applied(remora):
    saved = ok(remora.ctl("list", "--json"))
    ok(remora.ctl("remove", "app", "127.0.0.1:8002"))
    ok(remora.ctl("add", "empty", "127.0.0.1:1"))
    assert ok(remora.ctl("diff", "-f", "-", stdin=saved), 3) != ""
    ok(remora.ctl("apply", "-f", "-", stdin=saved))
    assert [s["server"] for s in remora.servers("app")] == ["127.0.0.1:8001", "127.0.0.1:8002"]
    assert remora.servers("empty") == []
    assert ok(remora.ctl("diff", "-f", "-", stdin=saved)) == ""


def test_run_time_upstreams(remora, tmp_path):
    ok(remora.ctl("create", "blue", "method=least_conn", 'servers=[{"server": "127.0.0.1:1"}]',
                  "limits.requests=7"))
    got = remora.get("/v1/http/upstreams/blue").json
    assert got["method"] == "least_conn" and got["limits"]["requests"] == 7 and len(got["servers"]) == 1
    out = ok(remora.ctl("update", "blue", "method=random", "--dry-run"))
    assert out == "upstream blue: changed\n  ~ method: least_conn -> random\n"
    ok(remora.ctl("update", "blue", "method=random", "limits=null"))
    assert remora.get("/v1/http/upstreams/blue").json["method"] == "random"
    refused(remora.ctl("create", "blue"), "EntryExists")
    doc = document(remora, tmp_path, {"upstreams": {"green": {"servers": []}}})
    ok(remora.ctl("apply", "-f", doc))
    assert remora.get("/v1/http/upstreams/green").status == 200
    ok(remora.ctl("apply", "-f", doc, "--prune"))
    assert remora.get("/v1/http/upstreams/blue").status == 404
    ok(remora.ctl("apply", "-f", "-", stdin='{"upstreams": {"green": null, "never": null}}'))
    assert remora.get("/v1/http/upstreams/green").status == 404
    ok(remora.ctl("create", "red"))
    ok(remora.ctl("delete", "red"))
    refused(remora.ctl("delete", "app"), "409" if "409" in remora.ctl("delete", "app").stderr else "(")
    refused(remora.ctl("update", "app"), "usage", 2)


@pytest.mark.parametrize("content, error", [
    ("{", "line 1"), ("[]", "an object with"), ('{"splits": []}', "must be an object"), ('{"a": 1}', 'unknown member "a"'), ('{"upstreams": 1}', "must be an object"),
    ('{"upstreams": {"app": 1}}', "is no object, list or null"), ('{"upstreams": [{}]}', "has no name"),
    ('{"upstreams": [{"name": "a"}, {"name": "a"}]}', "has no name of its own"),
])
def test_documents_that_are_none(remora, tmp_path, content, error):
    refused(remora.ctl("apply", "-f", document(remora, tmp_path, content)), error, 2)


def test_documents_are_refused_as_a_whole(remora, tmp_path):
    doc = document(remora, tmp_path, {"upstreams": {"app": [], "empty": [{"server": "x"}]}})
    refused(remora.ctl("apply", "-f", doc), "400")
    assert len(remora.servers("app")) == 2
    doc = document(remora, tmp_path, {"upstreams": {"app": []}})
    refused(remora.ctl("apply", "-f", doc, "--if-match", str(remora.revision() + 1)), "RevisionMismatch")
    ok(remora.ctl("apply", "-f", doc, "--if-match", str(remora.revision())))
    assert remora.servers("app") == []


def test_tables_in_documents(start):
    r = start(TABLES % "")
    [name] = [s["name"] for s in json.loads(ok(ctl(r, "splits", "--json")))["splits"]]
    doc = json.dumps({"splits": {name: {"v1": 20, "v2": "*"}}, "keyvals": {"routes": {"/a": "x", "/b": "y"}},
                      "upstreams": {"app": [{"server": "127.0.0.5:1"}]}})
    out = ok(ctl(r, "diff", "-f", "-", input=doc), 3)
    assert f"split {name}: changed" in out and "keyval routes: changed" in out and "+ server 127.0.0.5:1" in out
    ok(ctl(r, "apply", "-f", "-", input=doc))
    assert "20%" in ok(ctl(r, "splits")) and "/b" in ok(ctl(r, "keyvals", "routes"))
    ok(ctl(r, "apply", "-f", "-", input='{"keyvals": {"routes": {"/b": null}}}'))
    assert "/b" not in ok(ctl(r, "keyvals", "routes"))


def test_diff_of_what_is_there_is_empty(start):
    """Or whoever applies a document as long as it differs never ends."""
    r = start(TABLES % "")
    ok(ctl(r, "keyval-set", "routes", "/a=b"))
    [name] = [s["name"] for s in json.loads(ok(ctl(r, "splits", "--json")))["splits"]]
    document = {"splits": {name: {"v1": 90, "v2": "*"}}, "keyvals": {"routes": {"/a": "b", "/none": None}},
                "upstreams": {"app": ["127.0.0.1:1"]}}
    assert ok(ctl(r, "diff", "-f", "-", input=json.dumps(document))) == ""
    assert ok(ctl(r, "apply", "-f", "-", "--dry-run", input=json.dumps(document))) == "nothing would change\n"
    before = json.loads(ok(ctl(r, "revision", "--json")))["revision"]
    assert ok(ctl(r, "apply", "-f", "-", input=json.dumps(document))) == "nothing would change\n"
    assert json.loads(ok(ctl(r, "revision", "--json")))["revision"] == before
    document["splits"][name]["v1"] = 80
    assert ok(ctl(r, "diff", "-f", "-", input=json.dumps(document)), 3) == (
        f"split {name}: changed\n  ~ shares: v1 90%, v2 10% -> v1 80%, v2 20%\n")
    document = {"keyvals": {"routes": {"/a": "c"}}}
    assert ok(ctl(r, "diff", "-f", "-", input=json.dumps(document)), 3) == "keyval routes: changed\n"


def test_refusals_name_what_they_are_about(remora, tmp_path):
    """Not the operations that a command, or a document, was sent as."""
    refused(remora.ctl("set", "app", "99", "weight=1"), 'remoractl: server not found in upstream "app" (404')
    refused(remora.ctl("add", "app", "bad"), 'remoractl: upstream "app": bad is a name')
    document = {"upstreams": {"empty": {"servers": ["127.0.0.1:1"]}, "app": {"method": "foo"}}}
    file = tmp_path / "x.json"
    file.write_text(json.dumps(document))
    refused(remora.ctl("apply", "-f", str(file)), 'remoractl: upstream "app": unknown method "foo"')
    document["upstreams"]["app"] = [{"server": "127.0.0.1:8001", "weight": 4}, "127.0.0.1:8009"]
    file.write_text(json.dumps(document))
    ok(remora.ctl("apply", "-f", str(file)))
    assert [(s["server"], s["weight"]) for s in remora.servers("app")] == [("127.0.0.1:8001", 4), ("127.0.0.1:8009", 1)]
    assert [s["server"] for s in remora.servers("empty")] == ["127.0.0.1:1"]


# ---- history ----

def test_history_and_rollback(remora):
    before = remora.revision()
    ok(remora.ctl("set", "app", "127.0.0.1:8001", "weight=9"))
    ok(remora.ctl("remove", "app", "127.0.0.1:8002"))
    lines = ok(remora.ctl("history", "--limit", "2")).splitlines()
    assert lines[0].split() == ["REVISION", "AT", "WHO", "WHAT", "CHANGED"]
    assert [line.split()[0] for line in lines[1:]] == [str(before + 2), str(before + 1)]
    for line, change in zip(lines[1:], ("app -1", "app ~1")):
        assert re.search(rf"uid:\d+.*  POST /v1/transactions  {change}$", line), line
    first = ok(remora.ctl("history")).splitlines()[-1]
    assert "app added +2" in first and len(first[first.index("generation"):]) < 120
    one = ok(remora.ctl("history", str(before + 1)))
    assert one.startswith(f"revision {before + 1} at 20") and "weight: 1 -> 9" in one
    assert "+ server 127.0.0.1:8002" in ok(remora.ctl("rollback", str(before), "--dry-run"))
    assert ok(remora.ctl("rollback", str(before))).startswith(f"revision {before + 3}")
    assert [(s["server"], s["weight"]) for s in remora.servers("app")] == [("127.0.0.1:8001", 1), ("127.0.0.1:8002", 3)]
    refused(remora.ctl("rollback", "99999"), "404")


# ---- events ----

def stream(remora, *args):
    return subprocess.Popen([REMORACTL, "-s", "unix:" + remora.unix, *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_events(remora):
    p = stream(remora, "events", "--count", "2")
    time.sleep(0.3)  # should it come later still, the first change is one that it has missed
    ok(remora.ctl("add", "empty", "127.0.0.1:1"))
    first = p.stdout.readline()
    assert re.match(r"\d+ 20\S+Z revision revision=%d by uid:" % remora.revision(), first) and first.endswith(": empty +1\n")
    ok(remora.ctl("drain", "empty", "127.0.0.1:1"))
    assert "empty ~1" in p.stdout.readline()
    assert p.wait(10) == 0 and p.stderr.read() == ""
    number = int(first.split()[0])
    done = remora.ctl("events", "--since", str(number - 1), "--count", "2", "--json")
    events = [json.loads(line) for line in ok(done).splitlines()]
    assert [e["id"] for e in events] == [str(number), str(number + 1)] and events[0]["event"] == "revision"
    assert events[0]["data"]["revision"] == remora.revision() - 1


def test_events_go_on_over_a_reload(start):
    r = start(TABLES % "")
    p = subprocess.Popen([REMORACTL, "-s", f"unix:{r.dir}/admin.sock", "events"], stdout=subprocess.PIPE)
    os.set_blocking(p.stdout.fileno(), False)
    seen = []

    def told(text):
        seen.append((p.stdout.read() or b"").decode())
        return text in "".join(seen)

    def listens():
        ok(ctl(r, "keyval-set", "routes", f"/a={len(seen)}"))
        return told("routes")

    try:
        wait_for(listens, "the stream")
        r.reload(TABLES % "history 50;")
        ok(ctl(r, "set", "app", "127.0.0.1:1", "weight=3"))
        wait_for(lambda: told(": app ~1\n"), "what happened after the reload")
        assert p.poll() is None and " reload revision=" in "".join(seen)
    finally:
        p.kill()
        p.wait()


def test_watch_draws_at_once_when_something_changes(remora):
    p = stream(remora, "watch", "empty", "-n", "60", "--count", "2")
    assert re.match(r"\d\d:\d\d:\d\d  revision", p.stdout.readline())
    ok(remora.ctl("add", "empty", "127.0.0.77:1"))
    out, err = p.communicate(timeout=20)
    assert "127.0.0.77:1" in out and p.returncode == 0 and err == ""


# ---- the end ----

def test_ready_and_drain(start):
    r = start(TABLES % "")
    assert ok(ctl(r, "ready")) == ok(ctl(r, "ready", "app")) == "ready\n"
    refused(ctl(r, "ready", "app", "a&b"), "not ready: upstream a&b: failed")
    p = ctl(r, "ready", "nope", "--json")
    assert p.returncode == 1 and json.loads(p.stdout)["checks"]["upstream nope"] is False
    refused(ctl(r, "drain"), "usage", 2)
    refused(ctl(r, "drain", "--instance", "app"), "usage", 2)
    refused(ctl(r, "drain", "app", "127.0.0.1:1", "--timeout", "3s"), "usage", 2)
    refused(ctl(r, "drain", "--instance", "--timeout", "soon"), "400")
    assert ok(ctl(r, "drain", "--instance", "--timeout", "10s", "--delay", "300ms")).startswith("draining: ")
    refused(ctl(r, "ready"), "not ready: not_draining")
    r.process.wait(20)
