# SPDX-License-Identifier: Apache-2.0
"""`admin { state DIR; }`: what was changed at run time survives what ends all processes."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest
from conftest import ok, run_remora, wait_for
from test_process_upgrade import new_master
from test_resolve import NAME, A, Dns
from test_state import restart

CONF = """admin { listen unix:@DIR@/admin.sock; write on; state %s; }
http { access_log off; %s
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://u; } } }"""
U = "upstream u { zone z 64k; %s server 127.0.0.1:1; server 127.0.0.2:1 weight=2; }"
V = "upstream v { zone z 64k; server 127.0.0.3:1; }"


def conf(u="", rest=V, directory="@DIR@/state"):
    return CONF % (directory, U % u + rest)


def path(r):
    return r.dir + "/state/state.json"


def file(r):
    with open(path(r)) as f:
        return json.load(f)


def servers(r, name="u"):
    """Those that have an address; names have ids of their own."""
    return [s for s in r.admin("GET", f"/api/9/http/upstreams/{name}/servers").json if s["id"] < NAME]


def names(r, name="u"):
    return [s["server"] for s in servers(r, name)]


def state(r, name=None):
    answer = r.admin("GET", "/v1/state").json
    return next(u for u in answer["upstreams"] if u["name"] == name) if name else answer


def revision(r):
    return r.admin("GET", "/v1/revision").json["revision"]


def test_a_directory_whose_name_is_no_text(remora, tmp_path):
    (tmp_path / "line").write_bytes(b"state d\xe9;")
    r = remora(conf().replace("state @DIR@/state;", f"include {tmp_path}/line;"))
    assert state(r)["file"] == r.dir + "/d?/state.json"


def change(r, method="POST", tail="", name="u", status=(200, 201), **body):
    answer = r.admin(method, f"/api/9/http/upstreams/{name}/servers{tail}", body or None)
    assert answer.status in status, answer
    return answer.json


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_changes_survive(remora, backend, how):
    app = backend(ok("app"))
    r = remora(conf())
    assert file(r)["upstreams"] == [] and r.get().status == 502
    change(r, server=app.addr, weight=3, max_conns=7, max_fails=0, fail_timeout="1m", slow_start="1500ms",
           route='a "b";\\')
    change(r, "PATCH", "/0", down=True)
    change(r, "DELETE", "/1")
    [u] = file(r)["upstreams"]
    assert u["name"] == "u" and [s["server"] for s in u["servers"]] == ["127.0.0.1:1", app.addr]
    before = servers(r), revision(r)
    restart(r, how)
    assert servers(r) == before[0] and [s["id"] for s in servers(r)] == [0, 2]
    assert revision(r) > before[1]
    assert r.get().body == b"app" and names(r, "v") == ["127.0.0.3:1"]
    change(r, "DELETE", "/2")
    change(r, name="v", server="127.0.0.4:1")
    restart(r, how)
    assert names(r) == ["127.0.0.1:1"] and names(r, "v") == ["127.0.0.3:1", "127.0.0.4:1"]
    assert sorted(os.listdir(r.dir + "/state")) == ["state.json"]
    assert file(r)["revision"] <= file(r)["reserved"]


def test_revisions_go_on(remora):
    r = remora(conf())
    last = revision(r)
    for how in ("stop", "kill", "stop"):
        change(r, server="127.0.0.9:1")
        change(r, "DELETE", f"/{servers(r)[-1]['id']}")
        assert revision(r) >= last + 2
        last = revision(r)
        restart(r, how)
        assert last < revision(r) < last + 200000
        assert how == "kill" or revision(r) <= last + 2
        last = revision(r)


def test_back_to_what_the_configuration_says(remora):
    r = remora(conf())
    change(r, "PATCH", "/0", weight=7)
    assert len(file(r)["upstreams"]) == 1 and state(r, "u")["in_effect"] == "run-time"
    assert state(r, "u")["changes"] == "127.0.0.1:1 weight=7"
    change(r, "PATCH", "/0", weight=1)
    assert file(r)["upstreams"] == [] and state(r, "u")["in_effect"] == "configuration"


def test_a_changed_block_wins_at_a_restart(remora):
    r = remora(conf())
    change(r, "PATCH", "/0", weight=7, down=True)
    change(r, "DELETE", "/1")
    change(r, server="127.0.0.9:1")
    change(r, name="v", server="127.0.0.8:1")
    r.write(conf("keepalive 3;"))
    restart(r, "stop")
    assert names(r) == ["127.0.0.1:1", "127.0.0.2:1"] and names(r, "v") == ["127.0.0.3:1", "127.0.0.8:1"]
    r.wait_log(r'\[warn\].*upstream "u": its block in the configuration has changed, so that the configuration is used; '
               r"dropped of what was changed at run time: "
               r"127.0.0.1:1 weight=7 down, \+127.0.0.9:1, -127.0.0.2:1")
    [drop] = state(r)["dropped"]
    assert drop["name"] == "u" and drop["changes"] == "127.0.0.1:1 weight=7 down, +127.0.0.9:1, -127.0.0.2:1"
    assert state(r, "u")["in_effect"] == "configuration" and state(r, "v")["in_effect"] == "run-time"
    restart(r, "kill")  # it is remembered
    assert state(r)["dropped"] == [drop]


def test_a_changed_block_wins_at_a_reload(remora):
    r = remora(conf())
    change(r, server="127.0.0.9:1")
    r.reload()
    assert "127.0.0.9:1" in names(r) and state(r)["dropped"] == []
    r.reload(conf("keepalive 3;"))
    assert names(r) == ["127.0.0.1:1", "127.0.0.2:1"]
    assert [d["changes"] for d in state(r)["dropped"]] == ["+127.0.0.9:1"]
    r.reload(conf("keepalive 4;"))  # nothing of it is left to drop
    assert len(state(r)["dropped"]) == 1 and file(r)["upstreams"] == []


def test_an_upstream_that_is_gone(remora):
    r = remora(conf())
    change(r, name="v", server="127.0.0.9:1")
    r.write(conf(rest=""))
    restart(r, "stop")
    [drop] = state(r)["dropped"]
    assert drop["name"] == "v" and drop["why"] == "the configuration no longer has it"
    r.write(conf())
    restart(r, "stop")
    assert names(r, "v") == ["127.0.0.3:1"]


def test_transactions_are_whole(remora):
    r = remora(conf())
    answer = r.admin("POST", "/v1/transactions", {"upstreams": {"u": [{"server": "127.0.0.5:1"}],
                                                                "v": [{"server": "127.0.0.5:1"}]}})
    assert answer.status == 200
    restart(r, "kill")
    assert names(r) == names(r, "v") == ["127.0.0.5:1"]


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"remora_state":1,"upstreams":{}}', "digest", "\0" * 300])
def test_a_broken_file_is_kept_aside(remora, damage):
    r = remora(conf())
    change(r, server="127.0.0.9:1")
    last = revision(r)
    r.signal(signal.SIGQUIT)
    r.process.wait(20)
    if damage == "digest":
        with open(path(r)) as f:
            damage = f.read().replace("127.0.0.9", "127.0.0.8")
    with open(path(r), "w") as f:
        f.write(damage)
    p = run_remora("-t", "-p", r.dir + "/", "-c", r.conf)
    assert p.returncode == 0, p.stderr
    r.start()
    wait_for(lambda: r.admin("GET", "/readyz").status == 200, "readiness")
    r.wait_log(r'\[error\].*state file ".*state.json" is broken: .*kept as ".*state.json.broken"')
    assert names(r) == ["127.0.0.1:1", "127.0.0.2:1"]
    with open(path(r) + ".broken") as f:
        assert f.read() == damage
    assert file(r)["upstreams"] == [] and revision(r) > last
    change(r, server="127.0.0.7:1")
    restart(r, "kill")
    assert names(r)[-1] == "127.0.0.7:1"


def test_edited_by_hand(remora):
    r = remora(conf())
    change(r, server="127.0.0.9:1")
    r.signal(signal.SIGQUIT)
    r.process.wait(20)
    content = file(r)
    content.pop("digest")
    content["upstreams"][0]["servers"][-1]["server"] = "127.0.0.8:1"
    with open(path(r), "w") as f:
        json.dump(content, f, indent=4)
    r.start()
    wait_for(lambda: r.admin("GET", "/readyz").status == 200, "readiness")
    assert names(r)[-1] == "127.0.0.8:1"
    r.wait_log(r"\[warn\].*edited by hand")


def test_a_newer_version_is_refused(remora, tmp_path):
    r = remora(conf())
    r.signal(signal.SIGQUIT)
    r.process.wait(20)
    text = '{"remora_state":2,\n"revision":3}'
    with open(path(r), "w") as f:
        f.write(text)
    for arguments in (["-t"], []):
        p = run_remora(*arguments, "-p", r.dir + "/", "-c", r.conf)
        assert p.returncode == 1
        assert re.search(r'state file ".*state.json" has version 2, and this remora knows 1.* in .*:\d+', p.stderr)
    with open(path(r)) as f:
        assert f.read() == text
    os.unlink(path(r))
    r.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_directory_that_cannot_be_written(tmp_path):
    text = conf(directory=f"{tmp_path}/state").replace("@DIR@", str(tmp_path)).replace("@PORT:web@", "8080")
    (tmp_path / "x.conf").write_text(f"events {{}} pid {tmp_path}/x.pid;\n" + text)
    os.mkdir(tmp_path / "state", 0o755)
    os.chmod(tmp_path, 0o755)
    p = run_remora("-t", "-p", f"{tmp_path}/", "-c", "x.conf")
    assert p.returncode == 1
    assert (f'directory "{tmp_path}/state" of a state file is not writable for user "nobody" in {tmp_path}/x.conf:2'
            in p.stderr)


@pytest.mark.parametrize("admin, error", [
    ("state a; state b;", '"state" directive is duplicate in'),
    ('state "";', 'invalid value "" in "state" directive in'),
    ("state;", 'invalid number of arguments in "state" directive in'),
])
def test_what_is_refused(tmp_path, admin, error):
    (tmp_path / "x.conf").write_text(f"events {{}} pid {tmp_path}/x.pid; admin {{ {admin} }}")
    p = run_remora("-t", "-p", f"{tmp_path}/", "-c", "x.conf")
    assert p.returncode == 1 and error in p.stderr, p.stderr


def test_what_is_not_saved_is_not_acknowledged(remora):
    r = remora(conf())
    change(r, server="127.0.0.9:1")
    os.mkdir(path(r) + ".new")  # in the way
    answer = r.admin("POST", "/api/9/http/upstreams/u/servers", {"server": "127.0.0.8:1"})
    assert answer.status == 500 and answer.json["error"]["code"] == "StateNotSaved"
    assert "127.0.0.8:1" in names(r) and state(r)["saved"] is False
    os.rmdir(path(r) + ".new")
    change(r, name="v", server="127.0.0.8:1")
    assert state(r)["saved"] is True
    restart(r, "kill")
    assert "127.0.0.8:1" in names(r) and "127.0.0.8:1" in names(r, "v")


def test_without_a_directory_changes_are_explained_too(remora):
    r = remora(conf().replace("state @DIR@/state;", ""))
    change(r, server="127.0.0.9:1")
    assert state(r)["file"] is None
    assert state(r, "u")["at_restart"] == "lost" and state(r, "v")["at_restart"] == "read again"


def test_turned_on_by_a_reload(remora):
    r = remora(conf().replace("state @DIR@/state;", ""))
    change(r, server="127.0.0.9:1")
    r.reload(conf())
    assert len(file(r)["upstreams"]) == 1
    restart(r, "kill")
    assert "127.0.0.9:1" in names(r)


def test_names_that_are_no_utf8(remora):
    r = remora(conf(rest=""))
    change(r, server="127.0.0.9:1", route="ü")
    restart(r, "stop")
    assert servers(r)[-1]["route"] == "ü"


def v1(r, method, tail, body=None, status=(200, 201)):
    answer = r.admin(method, "/v1/http/upstreams" + tail, body)
    assert answer.status in status, answer
    return answer.json


RUNTIME = """admin { listen unix:@DIR@/admin.sock; write on; state @DIR@/state; }
http { access_log off; %s
    server { listen 127.0.0.1:@PORT:web@; location / { set $name made; proxy_pass http://$name; } } }"""


def test_upstreams_made_at_run_time(remora, backend):
    app = backend(ok("app"))
    r = remora(RUNTIME % "")
    v1(r, "POST", "", {"name": "made", "method": "least_conn", "limits": {"requests": 7},
                       "servers": [{"server": app.addr, "weight": 2}]})
    v1(r, "POST", "", {"name": "other", "servers": []})
    v1(r, "DELETE", "/other")
    before = v1(r, "GET", "/made")
    for how in ("kill", "stop"):
        restart(r, how)
        now = v1(r, "GET", "/made")
        assert {k: now[k] for k in ("method", "limits", "keepalive", "zone", "runtime", "servers")} == {
            k: before[k] for k in ("method", "limits", "keepalive", "zone", "runtime", "servers")}
        assert r.get().body == b"app" and r.admin("GET", "/v1/http/upstreams/other").status == 404
        assert state(r, "made")["why"] == "it was made at run time"
    r.write(RUNTIME % "upstream made { zone m 64k; server 127.0.0.7:1; }")
    restart(r, "stop")
    assert names(r, "made") == ["127.0.0.7:1"]
    [drop] = state(r)["dropped"]
    assert drop["why"] == "the configuration has an upstream of this name now"
    assert drop["changes"] == f"+{app.addr} weight=2"


def test_no_way_back_over_a_start(remora):
    """The record of a start has all that is there as added: undone, nothing would be left of it."""
    r = remora(conf())
    v1(r, "PUT", "/made", {"servers": [{"server": "127.0.0.9:1"}]})
    v1(r, "PATCH", "/u", {"method": "least_conn"})
    before = revision(r)
    restart(r, "stop")
    start = revision(r)
    v1(r, "PUT", "/later", {"servers": []})
    answer = r.admin("POST", f"/v1/rollback/{before}")
    assert answer.status == 410 and f"started with revision {start}" in answer.json["detail"]
    assert r.admin("POST", f"/v1/rollback/{start}").json["upstreams"] == ["later"]
    listed = {u["name"]: u["method"] for u in r.admin("GET", "/v1/http/upstreams").json["upstreams"]}
    assert listed == {"u": "least_conn", "v": "round_robin", "made": "round_robin"}


def test_settings(remora):
    r = remora(conf())
    v1(r, "PATCH", "/u", {"method": "random", "keepalive": {"connections": 3}, "outlier_detection": {"consecutive_5xx": 4}})
    before = v1(r, "GET", "/u")
    restart(r, "kill")
    now = v1(r, "GET", "/u")
    assert all(now[k] == before[k] for k in ("method", "keepalive", "limits", "outlier_detection"))
    assert "keepalive=3" in state(r, "u")["changes"] and "consecutive_5xx=4" in state(r, "u")["changes"]


def test_beside_a_file_of_its_own(remora):
    """`state FILE` keeps the servers, the directory the settings."""
    text = conf(rest="upstream f { zone f 64k; state @DIR@/state/f.conf; }")
    r = remora(text)
    change(r, name="f", server="127.0.0.9:1")
    assert file(r)["upstreams"] == []
    v1(r, "PATCH", "/f", {"keepalive": {"connections": 3}})
    [saved] = file(r)["upstreams"]
    assert saved["name"] == "f" and saved["servers"] == []
    restart(r, "kill")
    assert names(r, "f") == ["127.0.0.9:1"] and v1(r, "GET", "/f")["keepalive"]["connections"] == 3
    assert state(r, "f")["in_effect"] == "state file" and state(r, "f")["changes"] == "keepalive=3"


def test_servers_that_are_names(remora):
    dns = Dns()
    dns.records[("app.test", A)] = ["127.0.0.1", "127.0.0.2"]
    text = conf(rest="resolver 127.0.0.1:%d valid=100ms; upstream d { zone d 64k; server app.test:81 resolve; }" % dns.port)
    r = remora(text)
    wait_for(lambda: sorted(names(r, "d")) == ["127.0.0.1:81", "127.0.0.2:81"], "addresses")
    assert state(r, "d")["in_effect"] == "configuration" and file(r)["upstreams"] == []
    one = next(s for s in servers(r, "d") if s["server"] == "127.0.0.2:81")
    change(r, "PATCH", f"/{one['id']}", "d", down=True)
    assert state(r, "d")["changes"] == "127.0.0.2:81 down"
    restart(r, "kill")
    assert {s["server"]: s["down"] for s in servers(r, "d")} == {"127.0.0.1:81": False, "127.0.0.2:81": True}
    dns.records[("app.test", A)] = ["127.0.0.2", "127.0.0.3"]
    wait_for(lambda: sorted(names(r, "d")) == ["127.0.0.2:81", "127.0.0.3:81"], "new addresses")
    assert {s["server"]: s["down"] for s in servers(r, "d")} == {"127.0.0.2:81": True, "127.0.0.3:81": False}
    dns.records[("late.test", A)] = ["127.0.0.4"]
    change(r, name="d", server="late.test:82", weight=3)  # a name that came through the API
    wait_for(lambda: "127.0.0.4:82" in names(r, "d"), "its address")
    change(r, name="d", server="127.0.0.5:81")
    before = sorted((s["server"], s["weight"]) for s in servers(r, "d"))
    restart(r, "kill")
    assert sorted((s["server"], s["weight"]) for s in servers(r, "d")) == before
    dns.records[("late.test", A)] = ["127.0.0.6"]
    wait_for(lambda: "127.0.0.6:82" in names(r, "d") and "127.0.0.4:82" not in names(r, "d"), "its new address")
    dns.close()


def test_reads_go_on_while_the_disk_is_slow(remora):
    """A save that takes its time holds up nobody but the changes that wait for it."""
    r = remora(conf())
    change(r, server="127.0.0.9:1")
    fifo = path(r) + ".new"
    tracer = subprocess.run(["sh", "-c", "command -v strace"], capture_output=True)
    if tracer.returncode != 0:
        pytest.skip("no strace to slow a disk down with")
    p = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:delay_enter=1500000", "-p",
                          str(r.agent())], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "TracerPid:\t%d" % p.pid in open(f"/proc/{r.agent()}/status").read(), "the tracer")
        began = time.monotonic()
        results = []
        writer = threading.Thread(target=lambda: results.append(
            r.admin("POST", "/api/9/http/upstreams/u/servers", {"server": "127.0.0.8:1"})))
        writer.start()
        wait_for(lambda: os.path.exists(fifo), "a save under way")
        assert "127.0.0.8:1" in names(r) and not results  # in effect, not acknowledged
        assert time.monotonic() - began < 1.4
        writer.join()
        assert results[0].status == 201 and time.monotonic() - began > 2.9
    finally:
        p.terminate()
        p.wait()


def test_another_binary_goes_on_with_it(remora):
    r = remora("worker_processes 2; " + conf())
    change(r, server="127.0.0.9:1")
    last = revision(r)
    r.signal(signal.SIGUSR2)
    pid = new_master(r)
    r.signal(signal.SIGQUIT)
    assert r.process.wait(30) == 0
    wait_for(lambda: r.admin("GET", "/readyz").status == 200, "readiness")
    assert "127.0.0.9:1" in names(r) and revision(r) in (last, last + 1)
    change(r, server="127.0.0.8:1")
    assert [s["server"] for s in file(r)["upstreams"][0]["servers"]][-2:] == ["127.0.0.9:1", "127.0.0.8:1"]
    r.pid = pid
    r.signal(signal.SIGQUIT)
    wait_for(lambda: not os.path.exists(r.pid_file), "the end of the new one")
