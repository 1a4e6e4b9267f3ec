# SPDX-License-Identifier: Apache-2.0
"""`state FILE`: an upstream's servers survive what ends all processes."""
import contextlib
import os
import re
import signal
import threading
import time

import pytest
from conftest import Closed, ok, processes, run_remora, wait_for
from test_resolve import A, NAME, Dns

CONF = """http { access_log off; %s
    upstream u { zone z 64k; %s state @DIR@/state/u.conf; }
    server { listen 127.0.0.1:@PORT:web@; location / { proxy_pass http://u; } } }"""
MARK = r"# written by remora, [0-9a-f]{16}\n"


def conf(block="", http=""):
    return CONF % (http, block)


def path(r):
    return r.dir + "/state/u.conf"


def text(r):
    with open(path(r)) as f:
        return f.read()


def lines(r):
    return re.fullmatch(r"((?:.*\n)*)" + MARK, text(r))[1]


def edit(r, content):
    """As an editor does: a new file in the old one's place, root's own perhaps."""
    with open(path(r) + "~", "w") as f:
        f.write(content)
    os.rename(path(r) + "~", path(r))


def servers(r):
    return r.admin("GET", "/api/9/http/upstreams/u/servers").json


def names(r):
    return [s["server"] for s in servers(r) if s["id"] < NAME]  # not the names that are asked for


def add(r, status=201, **server):
    answer = r.admin("POST", "/api/9/http/upstreams/u/servers", server)
    assert answer.status == status, answer
    return answer.json


def restart(r, how):
    if how == "stop":
        r.signal(signal.SIGQUIT)
        r.process.wait(20)
    else:
        r.allow.append(re.compile("the master is gone"))  # those that are killed last may notice
        for pid in processes(r.group):
            os.kill(pid, signal.SIGKILL)
        r.process.wait(10)
        wait_for(lambda: not processes(r.group), "death")
        for left in (r.pid_file, r.dir + "/admin.sock"):
            if os.path.exists(left):
                os.unlink(left)
    r.start()
    wait_for(lambda: r.admin("GET", "/readyz").status == 200, "readiness")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_changes_survive(remora, backend, how):
    app = backend(ok("app"))
    r = remora(conf())
    assert servers(r) == [] and lines(r) == "" and r.get().status == 502
    add(r, server=app.addr, weight=3, max_conns=7, max_fails=0, fail_timeout="1m", slow_start="1500ms",
        route='a "b";{}\\')
    add(r, server="127.0.0.1:1", backup=True, down=True)
    answer = r.admin("PATCH", "/api/9/http/upstreams/u/servers/1", {"max_fails": 4})
    assert answer.status == 200
    assert lines(r) == (f'server {app.addr} weight=3 max_conns=7 max_fails=0 fail_timeout=60s slow_start=1500ms '
                        '"route=a \\"b\\";{}\\\\";\nserver 127.0.0.1:1 max_fails=4 backup down;\n')
    before, file = servers(r), text(r)
    restart(r, how)
    assert text(r) == file
    same = [{k: v for k, v in s.items() if not k.startswith(("fail_", "slow_"))} for s in (*before, *servers(r))]
    assert same[:2] == same[2:] and servers(r)[0]["fail_timeout"] == "60s"
    assert r.get().body == b"app"
    assert r.admin("DELETE", "/api/9/http/upstreams/u/servers/0").status == 200
    restart(r, how)
    assert names(r) == ["127.0.0.1:1"]
    assert sorted(os.listdir(r.dir + "/state")) == ["u.conf"]


def test_killed_right_after_the_answer(remora):
    r = remora(conf())
    for i in range(1, 9):
        add(r, server=f"127.0.0.{i}:80")
        restart(r, "kill")
        assert names(r) == [f"127.0.0.{k}:80" for k in range(1, i + 1)]


def test_reloads_keep_what_is_running(remora):
    r = remora(conf())
    add(r, server="127.0.0.1:1", weight=2)
    r.reload()
    assert names(r) == ["127.0.0.1:1"]
    r.reload(conf("keepalive 3;"))
    assert [(s["server"], s["weight"], s["id"]) for s in servers(r)] == [("127.0.0.1:1", 2, 0)]
    os.unlink(path(r))
    r.reload(conf("ip_hash;"))
    assert names(r) == ["127.0.0.1:1"] and lines(r) == "server 127.0.0.1:1 weight=2;\n"


def test_a_killed_agent_loses_nothing(remora):
    r = remora(conf())
    edit(r, "server 127.0.0.9:1;\n")
    r.reload()
    add(r, server="127.0.0.1:1")
    os.kill(r.agent(), signal.SIGKILL)
    wait_for(lambda: r.log().count("start agent process") > 2, "another agent")
    r.allow.append(re.compile("signal 9"))
    wait_for(lambda: os.path.exists(r.dir + "/admin.sock") and r.admin("GET", "/readyz").status == 200, "readiness")
    assert names(r) == ["127.0.0.9:1", "127.0.0.1:1"]


def test_a_human_edits(remora):
    r = remora(conf())
    add(r, server="127.0.0.1:1")
    mine = "# ours\nserver 127.0.0.2 weight=5; # by hand\n\nserver unix:/tmp/x drain;\n"
    edit(r, mine)
    restart(r, "stop")
    assert names(r) == ["127.0.0.2:80", "unix:/tmp/x"] and text(r) == mine
    add(r, server="127.0.0.3:80")
    assert lines(r) == "server 127.0.0.2:80 weight=5;\nserver unix:/tmp/x drain;\nserver 127.0.0.3:80;\n"
    edit(r, mine)
    r.reload()
    assert names(r) == ["127.0.0.2:80", "unix:/tmp/x"] and text(r) == mine
    edit(r, mine + "server 127.0.0.4:80;\n")
    r.reload()
    assert names(r) == ["127.0.0.2:80", "unix:/tmp/x", "127.0.0.4:80"]


@pytest.mark.parametrize("damage, left", [
    ("server 127.0.0.1:1;\nserver 127.0.0.2:1 wieght=2;\nserver 127.0.0.3:1;\n", ["127.0.0.1:1", "127.0.0.3:1"]),
    ("server 127.0.0.1:1;\nserver 127.0.0.2", ["127.0.0.1:1"]),
    ("server 127.0.0.1:1;\n}\nserver 127.0.0.2;", ["127.0.0.1:1"]),
    ("\0" * 500, []),
    ("listen 80; server; include /etc/passwd; server name.invalid resolve; server a { }", []),
])
def test_a_broken_file(remora, damage, left):
    r = remora(conf())
    add(r, server="127.0.0.7:1")
    edit(r, damage)
    r.reload()  # what is running stays
    assert names(r) == ["127.0.0.7:1"] and text(r) == damage
    restart(r, "stop")
    assert names(r) == left and text(r) == damage
    r.wait_log(r"\[error\].*state file \".*u.conf\" of upstream \"u\" is broken")
    p = run_remora("-t", "-p", r.dir + "/", "-c", r.conf)
    assert p.returncode == 0 and "u.conf" in p.stderr and "[warn]" in p.stderr
    add(r, server="127.0.0.8:1")
    assert open(path(r) + ".broken").read() == damage
    assert lines(r).endswith("server 127.0.0.8:1;\n") and sorted(os.listdir(r.dir + "/state")) == [
        "u.conf", "u.conf.broken"]
    restart(r, "stop")
    assert names(r) == left + ["127.0.0.8:1"]


def test_what_is_not_saved_is_not_acknowledged(remora):
    r = remora(conf().replace("server {", "upstream other { zone o 64k; } server {", 1))
    add(r, server="127.0.0.1:1")
    os.mkdir(path(r) + ".new")  # it can be neither removed nor written
    answer = r.admin("POST", "/api/9/http/upstreams/u/servers", {"server": "127.0.0.2:1"})
    assert answer.status == 500 and answer.json["error"]["code"] == "StateNotSaved"
    answer = r.admin("PUT", "/v1/http/upstreams/u/servers", [{"server": "127.0.0.3:1"}])
    assert answer.status == 500 and answer.json["code"] == "StateNotSaved"
    assert names(r) == ["127.0.0.3:1"] and lines(r) == "server 127.0.0.1:1;\n"
    r.wait_log(r"\[error\].*state file \".*u.conf\".*not saved")
    assert r.admin("POST", "/api/9/http/upstreams/other/servers", {"server": "127.0.0.2:1"}).status == 201
    os.rmdir(path(r) + ".new")
    answer = r.admin("PUT", "/v1/http/upstreams/u/servers", [{"server": "127.0.0.3:1"}])
    assert answer.status == 200, answer
    assert lines(r) == "server 127.0.0.3:1;\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_directory_that_cannot_be_written(tmp_path):
    text = conf().replace("@DIR@", str(tmp_path)).replace("@PORT:web@", "8080")
    (tmp_path / "x.conf").write_text(f"events {{}} pid {tmp_path}/x.pid; " + text)
    os.mkdir(tmp_path / "state", 0o755)
    os.chmod(tmp_path, 0o755)
    p = run_remora("-t", "-p", f"{tmp_path}/", "-c", "x.conf")
    assert p.returncode == 1
    assert f'directory "{tmp_path}/state" of a state file is not writable for user "nobody"' in p.stderr


def test_names_are_kept_as_names(remora):
    dns = Dns()
    dns.records[("app.test", A)] = ["127.0.0.1", "127.0.0.2"]
    r = remora(conf(http=f"resolver 127.0.0.1:{dns.port} valid=100ms;"))
    edit(r, "server app.test:81 resolve weight=2;\n")
    r.reload()
    wait_for(lambda: sorted(names(r)) == ["127.0.0.1:81", "127.0.0.2:81"], "addresses")
    add(r, server="127.0.0.9:1")
    assert lines(r) == "server app.test:81 resolve weight=2;\nserver 127.0.0.9:1;\n"
    for how in ("stop", "kill"):
        restart(r, how)
        wait_for(lambda: sorted(names(r)) == ["127.0.0.1:81", "127.0.0.2:81", "127.0.0.9:1"], "addresses")
        assert [s["weight"] for s in servers(r) if s.get("host")] == [2, 2]
    r.reload(conf("keepalive 5;", http=f"resolver 127.0.0.1:{dns.port} valid=100ms;"))
    assert sorted(names(r)) == ["127.0.0.1:81", "127.0.0.2:81", "127.0.0.9:1"]
    dns.close()


@pytest.mark.parametrize("blocks, error", [
    ("upstream u { zone z; server 127.0.0.1; state s/u; }", '"state" directive is not allowed in a block with "server"'),
    ("upstream u { zone z; state s/u; server 127.0.0.1; }", '"server" directive is not allowed here'),
    ("upstream u { state s/u; }", '"state" requires upstream "u" to be in shared memory'),
    ("upstream u { zone z; state s/u; state s/v; }", '"state" directive is duplicate'),
    ("upstream u { zone z; state s/; }", 'invalid value "s/" in "state" directive'),
    ("upstream u { zone z; state s/u; } upstream v { zone y; state s/u; }", 'is that of upstream "u" too'),
])
def test_what_is_refused(tmp_path, blocks, error):
    (tmp_path / "x.conf").write_text(f"events {{}} pid {tmp_path}/x.pid; http {{ {blocks} }}")
    p = run_remora("-t", "-p", f"{tmp_path}/", "-c", "x.conf")
    assert p.returncode == 1 and error in p.stderr, p.stderr


class Writer(threading.Thread):
    """Puts 127.x.y.z:1, counting up; knows the last that was acknowledged."""

    def __init__(self, r):
        super().__init__(daemon=True)
        self.r, self.n, self.acknowledged, self.over = r, 0, 0, False

    def run(self):
        while not self.over:
            self.n += 1
            body = [{"server": f"127.{self.n >> 16}.{self.n >> 8 & 255}.{self.n & 255}:1"}]
            with contextlib.suppress(OSError, Closed, AssertionError):
                if self.r.admin("PUT", "/v1/http/upstreams/u/servers", body).status == 200:
                    self.acknowledged = self.n

    def stop(self):
        self.over = True
        self.join()


def number(name):
    _, b, c, d = name.split(":")[0].split(".")
    return int(b) << 16 | int(c) << 8 | int(d)


def test_what_was_acknowledged_is_there_after_any_kill(remora):
    r = remora(conf())
    last = 0
    for i in range(8):
        writer = Writer(r)
        writer.n = last
        writer.start()
        wait_for(lambda: writer.acknowledged > last + 3, "changes")
        time.sleep(i * 0.003)
        writer.over = True  # it has one on the way
        restart(r, "kill")
        writer.stop()
        last = writer.n
        [name] = names(r)
        assert writer.acknowledged <= number(name) <= writer.n


def test_reloads_with_another_block_lose_no_change(remora):
    r = remora(conf())
    writer = Writer(r)
    writer.start()
    for i in range(6):
        before = writer.acknowledged
        wait_for(lambda: writer.acknowledged > before, "changes")
        r.reload(conf(f"keepalive {i + 1};"))
        writer.stop()
        [name] = names(r)
        assert writer.acknowledged <= number(name) <= writer.n
        assert lines(r) == f"server {name};\n"
        was, writer = writer, Writer(r)
        writer.n = writer.acknowledged = was.n
        writer.start()
    writer.stop()
