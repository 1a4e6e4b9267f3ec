# SPDX-License-Identifier: Apache-2.0
"""remoractl against a running instance."""
import json
import os

import pytest

import exposition
from admin_client import REMORACTL, instance, remora  # noqa: F401 (fixtures)


def ok(done):
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def test_list(remora):
    lines = ok(remora.ctl("list")).splitlines()
    assert lines[0].split() == ["UPSTREAM", "ZONE", "SERVERS", "UP", "UNWELL", "DRAINING", "DOWN", "ACTIVE",
                                "REQUESTS"]
    assert lines[1].split()[:4] == ["app", "app", "2", "2"]
    assert [line.split()[0] for line in lines[1:]] == ["app", "fixed", "empty"]
    assert len({len(line) for line in lines}) == 1, "columns line up"


def test_show(remora):
    lines = ok(remora.ctl("show", "app")).splitlines()
    assert len(lines) == 6 and lines[3:5] == ["", "method: round_robin"] and lines[5].startswith("keepalive: connections=")
    assert lines[2].split()[1:5] == ["127.0.0.1:8002", "up", "3", "-"]


def test_changes(remora):
    ok(remora.ctl("add", "empty", "127.0.0.1", "weight=2", "backup", "fail_timeout=1m"))
    server = remora.servers("empty")[0]
    assert (server["server"], server["weight"], server["backup"], server["fail_timeout"]) == \
        ("127.0.0.1:80", 2, True, "1m")
    for target in ("127.0.0.1", "127.0.0.1:80", str(server["id"])):
        ok(remora.ctl("set", "empty", target, "weight=9", "max_conns=4"))
        assert remora.servers("empty")[0]["weight"] == 9
        ok(remora.ctl("set", "empty", target, "weight=1"))
        ok(remora.ctl("drain", "empty", target))
        assert remora.servers("empty")[0]["drain"] is True
        ok(remora.ctl("down", "empty", target))
        assert remora.servers("empty")[0]["down"] is True
        ok(remora.ctl("up", "empty", target))
        assert remora.servers("empty")[0] == dict(server, weight=1, max_conns=4)
    out = ok(remora.ctl("remove", "empty", "127.0.0.1"))
    assert out == "revision %d, used by all workers\n" % remora.revision()
    assert remora.servers("empty") == []


def test_replace(remora, tmp_path):
    path = tmp_path / "servers"
    path.write_text("# ours\n10.0.0.1\n\n10.0.0.2:81 weight=3 backup # spare\n")
    ok(remora.ctl("replace", "app", "-f", str(path)))
    assert [(s["server"], s["weight"], s["backup"]) for s in remora.servers("app")] == \
        [("10.0.0.1:80", 1, False), ("10.0.0.2:81", 3, True)]
    saved = ok(remora.ctl("show", "app", "--json"))
    ok(remora.ctl("replace", "fixed", "-f", "-", stdin=saved))
    assert [s["server"] for s in remora.servers("fixed")] == ["10.0.0.1:80", "10.0.0.2:81"]
    ok(remora.ctl("replace", "app", "-f", "-", stdin=json.dumps([{"server": "10.0.0.3"}])))
    assert len(remora.servers("app")) == 1
    ok(remora.ctl("replace", "app", "-f", "-", stdin=""))
    assert remora.servers("app") == []


def test_if_match(remora):
    revision = remora.revision()
    ok(remora.ctl("--if-match", str(revision), "drain", "app", "127.0.0.1:8001"))
    done = remora.ctl("--if-match", str(revision), "up", "app", "127.0.0.1:8001")
    assert done.returncode == 1 and "RevisionMismatch" in done.stderr
    assert remora.servers("app")[0]["drain"] is True


def test_json(remora):
    assert json.loads(ok(remora.ctl("--json", "list")))["revision"] == remora.revision()
    assert json.loads(ok(remora.ctl("drain", "app", "127.0.0.1:8001", "--json")))["applied"] is True


def test_status_revision_metrics(remora):
    assert ok(remora.ctl("status")).startswith("remora ")
    assert ok(remora.ctl("revision")).splitlines()[0] == "revision %d" % remora.revision()
    text = ok(remora.ctl("metrics"))
    assert ("remora_workers", ()) in exposition.parse(text)
    assert "remora_upstream_server_up" not in text
    assert "remora_upstream_server_up" in ok(remora.ctl("metrics", "--detail"))
    some = ok(remora.ctl("metrics", "ap*", "nobody"))
    assert 'upstream="app"' in some and "remora_upstream_server_up" not in some
    assert 'upstream="' not in ok(remora.ctl("metrics", "a,b"))


@pytest.mark.parametrize("words, code", [
    (["show", "nope"], "UpstreamNotFound"),
    (["add", "app", "127.0.0.1:8001"], "EntryExists"),
    (["add", "app", "some.name:80"], "UpstreamConfNoResolver"),
    (["add", "app", "127.0.0.1:1", "weight=0"], "UpstreamBadWeight"),
    (["set", "app", "127.0.0.1:8001", "fail_timeout=soon"], "UpstreamBadFailTimeout"),
    (["set", "app", "127.0.0.1:8001", "backup"], "UpstreamConfFormatError"),
    (["remove", "app", "99"], "UpstreamServerNotFound"),
    (["drain", "app", "127.0.0.1"], "UpstreamServerNotFound"),
])
def test_refusals(remora, words, code):
    done = remora.ctl(*words)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("remoractl: ") and code in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [
    [], ["frobnicate"], ["list", "extra"], ["show"], ["show", "a", "b"], ["add", "app"],
    ["set", "app", "1"], ["set", "app", "1", "weight"], ["set", "app", "1", "weight=x"],
    ["set", "app", "1", "colour=red"], ["set", "app", "1", "down=maybe"], ["replace", "app"],
    ["list", "-f", "x"], ["replace", "app", "-f", "/nonexistent"], ["--frob"], ["-s"],
    ["--json=yes", "list"], ["--if-match", "x", "list"],
])
def test_wrong_usage(remora, words):
    done = remora.ctl(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("remoractl: ") and done.stderr.count("\n") == 1


def test_no_connection(remora, tmp_path):
    for server in ("unix:%s/none" % tmp_path, "http://127.0.0.1:1", "%s/none" % tmp_path,
                   "http://nobody.invalid", "unix:", "http://", "https://127.0.0.1:1"):
        done = remora.ctl("list", server=server)
        assert done.returncode == 2 and done.stderr.startswith("remoractl: "), server


def test_ways_to_the_server(remora):
    port = remora.port("admin")
    for server in ("unix:" + remora.unix, remora.unix, "http://127.0.0.1:%d" % port,
                   "http://127.0.0.1:%d/" % port, "127.0.0.1:%d" % port):
        ok(remora.ctl("list", server=server))
    env = dict(os.environ, REMORA_ADMIN="unix:" + remora.unix)
    ok(remora.ctl("list", env=env))


def test_help(remora):
    out = ok(remora.ctl("--help"))
    for word in ("list", "show", "add", "set", "drain", "down", "up", "remove", "replace", "status",
                 "revision", "metrics", "Examples:"):
        assert word in out
    assert ok(remora.ctl("-V")).startswith("remoractl ")


def test_full_output_device(remora):
    import subprocess
    with open("/dev/full", "w") as full:
        done = subprocess.run([REMORACTL, "-s", "unix:" + remora.unix, "list"], stdout=full,
                              stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 2 and done.stderr
