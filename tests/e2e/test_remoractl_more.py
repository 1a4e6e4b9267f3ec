# SPDX-License-Identifier: Apache-2.0
"""remoractl: documents, tables, watching, state, tokens, help and completion, against running instances."""
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import unicodedata

import pytest

import conftest
from conftest import wait_for
from admin_client import REMORACTL, instance, remora  # noqa: F401 (fixtures)

ROOT = conftest.ROOT


def ok(done, code=0):
    assert done.returncode == code and done.stderr == "", done
    return done.stdout


def refused(done, text, code=1):
    assert done.returncode == code and done.stdout == "" and done.stderr.startswith("remoractl: "), done
    assert text in done.stderr and done.stderr.count("\n") == 1, done.stderr


def commands():
    out = subprocess.run([REMORACTL, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(?m)^  ([a-z-]+) +\S", out[out.index("Commands:"):out.index("\nOptions,")])


# ---- watching ----

def test_watch(remora):
    tables = ok(remora.ctl("watch", "-n", "0.05", "--count", "3")).strip().split("\n\n")
    assert len(tables) == 3
    for table in tables:
        lines = table.splitlines()
        assert re.fullmatch(r"\d\d:\d\d:\d\d  revision %d" % remora.revision(), lines[0])
        assert lines[1].split()[:2] == ["UPSTREAM", "ZONE"] and lines[1].endswith("PER SECOND")
    assert "127.0.0.1:8002" in ok(remora.ctl("watch", "app", "--count", "1"))
    refused(remora.ctl("watch", "nope"), "UpstreamNotFound")
    assert [json.loads(x)["revision"] for x in ok(remora.ctl("watch", "--json", "-n", "0.01", "--count", "2")).splitlines()]


def on_terminal(remora, columns, lines, *args):
    """What a terminal of that size gets."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    p = subprocess.Popen([REMORACTL, "-s", "unix:" + remora.unix, *args], stdout=slave)
    os.close(slave)
    out = b""
    try:
        while got := os.read(master, 4096):
            out += got
    except OSError:
        pass  # its end
    os.close(master)
    assert p.wait(10) == 0
    return out.decode().replace("\r\n", "\n")


def test_watch_on_a_terminal(remora):
    out = on_terminal(remora, 0, 0, "watch", "--count", "1")
    assert out.startswith("\x1b[H\x1b[2J") and "app" in out


def test_terminals_that_are_too_small(remora):
    """Long names lose their middle, so that columns stay below each other; a watch has no more lines than are seen."""
    name = "a-name-as-" + "long-" * 20 + "as-they-are"
    ok(remora.ctl("create", name))
    lines = on_terminal(remora, 100, 24, "list").splitlines()
    for line in on_terminal(remora, 80, 24, "history").splitlines()[1:]:
        assert re.match(r" *\d+  [0-9-]+T[0-9:]+Z  ", line), line
    row = next(line for line in lines if line.startswith("a-name-as-"))
    assert re.match("a-name-as-[a-z-]*\u2026[a-z-]*-they-are  ", row) and {len(line) for line in lines} == {100}, lines
    assert row[lines[0].index("ZONE"):].startswith("a-name-as-") and lines[0].endswith("REQUESTS"), lines
    assert name in ok(remora.ctl("list")), "into a pipe names go as they are"
    many = "".join(f"10.0.0.{n}\n" for n in range(1, 41))
    ok(remora.ctl("replace", name, "-f", "-", stdin=many))
    out = on_terminal(remora, 100, 24, "watch", name, "--count", "1").splitlines()
    assert len(out) == 23 and out[-1] == "and 20 more" and "10.0.0.20" in out[-2], out
    assert len(on_terminal(remora, 100, 24, "show", name).splitlines()) > 40
    ok(remora.ctl("delete", name))


# ---- tables and state ----

TABLES = """admin { listen unix:@DIR@/admin.sock; write on; %s }
http { access_log off; keyval_zone zone=routes:64k; keyval $uri $route zone=routes;
    split_clients $remote_addr $version { 90%% v1; * v2; }
    upstream app { zone app 64k; server 127.0.0.1:1; }
    server { listen 127.0.0.1:@PORT:web@; location / { return 200 "$route $version"; } } }"""


def ctl(r, *args, **kw):
    return subprocess.run([REMORACTL, "-s", f"unix:{r.dir}/admin.sock", *args], capture_output=True, text=True,
                          timeout=30, **kw)


@pytest.fixture
def start(request):
    running = []

    def begin(text):
        running.append(conftest.Remora(text))
        return running[-1]

    yield begin
    for r in running:
        r.stop()


def test_keyvals_and_splits(start):
    r = start(TABLES % "state @DIR@/state;")
    assert ok(ctl(r, "keyvals")).splitlines()[1].split()[:2] == ["routes", "string"]
    ok(ctl(r, "keyval-set", "routes", "/a=blue=1", "/b="))
    ok(ctl(r, "keyval-set", "routes", "/c=green", "--ttl", "600"))
    lines = ok(ctl(r, "keyvals", "routes")).splitlines()
    assert lines[1].split() == ["/a", "-", "blue=1"] and lines[2].split() == ["/b", "-", "-"]
    assert re.fullmatch(r"/c +(600.0|599.\d) +green", lines[3])
    assert r.get(path="/a").body.startswith(b"blue=1 ")
    ok(ctl(r, "keyval-delete", "routes", "/a", "/b"))
    assert list(json.loads(ok(ctl(r, "keyvals", "routes", "--json")))["entries"]) == ["/c"]
    refused(ctl(r, "keyval-set", "routes", "/a"), "KEY=VALUE is meant", 2)
    refused(ctl(r, "keyvals", "nope"), "404")
    # columns are as wide as a terminal shows characters, and nothing that it would obey gets through
    odd = ["/\u00e9=two", "/\n\x1b[2J=one", "/\u65e5\u672c=six", "/e\u0301=ten", "/\u009b2J=red"]
    ok(ctl(r, "keyval-set", "routes", *odd))
    lines = ok(ctl(r, "keyvals", "routes")).splitlines()
    assert not re.search("[\x1b\x9b]", "".join(lines))
    assert any(line.startswith(r"/\x0a\x1b[2J ") for line in lines), lines
    assert any(line.startswith(r"/\xc2\x9b2J ") for line in lines), lines

    def columns(text):
        return sum(2 if unicodedata.east_asian_width(c) == "W" else not unicodedata.combining(c) for c in text)

    values = ("two", "one", "six", "ten", "red", "VALUE")
    assert len({columns(line[:line.index(v)]) for line in lines for v in values if v in line}) == 1, lines
    ok(ctl(r, "keyval-delete", "routes", *[text.split("=")[0] for text in odd]))

    [name] = [s["name"] for s in json.loads(ok(ctl(r, "splits", "--json")))["splits"]]
    assert [line.split() for line in ok(ctl(r, "splits", name)).splitlines()] == [
        ["SPLIT", "VALUE", "SHARE"], [name, "v1", "90%"], ["v2", "10%", "(the", "rest)"]]
    ok(ctl(r, "split-set", name, "v1=0.5%", "v2=*"))
    assert "0.5%" in ok(ctl(r, "splits"))
    refused(ctl(r, "split-set", name, "v1=x"), "VALUE=PERCENT", 2)

    # and all of it is there after a start
    r.signal(signal.SIGQUIT)
    r.process.wait(20)
    r.start()
    wait_for(lambda: r.admin("GET", "/readyz").status == 200, "readiness")
    assert "0.5%" in ok(ctl(r, "splits")) and "/c" in ok(ctl(r, "keyvals", "routes"))
    assert r.get(path="/c").body.startswith(b"green ")
    r.reload(TABLES.replace("90%% v1", "80%% v1") % "state @DIR@/state;")  # the block wins
    assert "80%" in ok(ctl(r, "splits"))
    out = ok(ctl(r, "state", "explain"))
    assert re.search(r'dropped at 20\S+Z: \$?version: what the configuration says of it has changed: its contents', out)
    assert re.search(r"(?m)^routes +run-time +kept +it was changed at run time", out)


def test_state_explain(start):
    r = start(TABLES % "state @DIR@/state;")
    out = ok(ctl(r, "state"))
    assert out.startswith(f"{r.dir}/state/state.json: all is saved\n")
    assert re.search(r"(?m)^app +configuration +read again +it was not changed", out)
    ok(ctl(r, "set", "app", "127.0.0.1:1", "weight=3"))
    out = ok(ctl(r, "state", "explain"))
    assert re.search(r"(?m)^app +run-time +kept +it was changed at run time, and its block is the same as then", out)
    assert "\napp: 127.0.0.1:1 weight=3\n" in out
    assert json.loads(ok(ctl(r, "state", "--json")))["saved"] is True
    refused(ctl(r, "state", "frob"), "usage", 2)


def test_state_explain_without_a_directory(start):
    r = start(TABLES % "")
    ok(ctl(r, "set", "app", "127.0.0.1:1", "weight=3"))
    out = ok(ctl(r, "state", "explain"))
    assert out.startswith("No directory") and re.search(r"(?m)^app +run-time +lost", out)


# ---- tokens ----

def test_tokens(start, tmp_path):
    tmp_path = pathlib.Path(tempfile.mkdtemp(prefix="remora-tokens-"))  # where others may look
    (tmp_path / "reader").write_text("r" * 32 + "\n")
    (tmp_path / "writer").write_text("w" * 32 + "\n")
    os.chmod(tmp_path, 0o755)
    r = start("""admin { listen 127.0.0.1:@PORT:admin@; write on; token r read %s/reader; token w write %s/writer; }
        http { upstream app { zone a 64k; server 127.0.0.1:1; } }""" % (tmp_path, tmp_path))
    server = f"127.0.0.1:{r.port('admin')}"

    def at(*args, **kw):
        return subprocess.run([REMORACTL, "-s", server, *args], capture_output=True, text=True, timeout=30, **kw)

    refused(at("list"), "see --token-file")
    ok(at("list", "--token-file", str(tmp_path / "reader")))
    refused(at("down", "app", "127.0.0.1:1", "--token-file", str(tmp_path / "reader")), "403")
    env = dict(os.environ, REMORA_TOKEN_FILE=str(tmp_path / "writer"), REMORA_ADMIN=server)
    done = subprocess.run([REMORACTL, "down", "app", "127.0.0.1:1"], capture_output=True, text=True, env=env, timeout=30)
    ok(done)
    for content, error in (("", "no token in it"), ("a b", "no blanks"), ("x" * 5000, "too long")):
        (tmp_path / "bad").write_text(content)
        refused(at("list", "--token-file", str(tmp_path / "bad")), error, 2)
    refused(at("list", "--token-file", str(tmp_path / "none")), "No such file", 2)
    shutil.rmtree(tmp_path)


# ---- help, completion, the page ----

def test_help_of_every_command():
    assert len(commands()) >= 25
    for command in commands():
        done = subprocess.run([REMORACTL, command, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout.startswith("usage: remoractl " + command) and "\nExamples:\n  $ " in done.stdout
        assert done.stdout == subprocess.run([REMORACTL, "help", command], capture_output=True, text=True).stdout


def test_examples_are_understood():
    """Each line of the examples is one that remoractl takes, as far as it goes without a server."""
    for command in commands():
        text = subprocess.run([REMORACTL, command, "--help"], capture_output=True, text=True).stdout
        for line in re.findall(r"(?m)^  \$ (.*)", text):
            for part in re.findall(r"remoractl [^|;<>)]*", line):
                if "$" in part:
                    continue
                done = subprocess.run(["bash", "-c", part.replace("remoractl", f"{REMORACTL} -s unix:/nonexistent", 1)],
                                      capture_output=True, text=True, stdin=subprocess.DEVNULL)
                assert "usage" not in done.stderr and "unknown" not in done.stderr, (line, done.stderr)


def test_page_names_everything():
    with open(ROOT + "/deploy/man/remoractl.1") as f:
        page = f.read().replace("\\-", "-")
    for command in commands():
        assert re.search(r"(?m)^\.B %s\b" % re.escape(command), page), command
        text = subprocess.run([REMORACTL, command, "--help"], capture_output=True, text=True).stdout
        for option in re.findall(r"(?m)^  (?:-\w,|   ) (--[a-z-]+)", text):
            assert option in page, option


@pytest.mark.parametrize("shell, path", [("bash", "remoractl.bash"), ("zsh", "_remoractl")])
def test_scripts_are_of_today(shell, path):
    out = subprocess.run([REMORACTL, "completion", shell], capture_output=True, text=True, check=True).stdout
    with open(f"{ROOT}/deploy/completion/{path}") as f:
        assert f.read() == out, f"remoractl completion {shell} > deploy/completion/{path}"


def complete(r, line):
    """What bash offers at the end of the line."""
    script = f"""
        source <({REMORACTL} completion bash)
        COMP_LINE={json.dumps(line)}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=(); COMP_CWORD=0
        _remoractl; printf '%s\\n' "${{COMPREPLY[@]}}" """
    env = dict(os.environ, REMORA_ADMIN="unix:" + r.unix, PATH=os.path.dirname(REMORACTL) + ":" + os.environ["PATH"])
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, env=env, timeout=30)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


def test_completion(remora, tmp_path):
    assert set(complete(remora, "remoractl ")) == set(commands())
    assert complete(remora, "remoractl sh") == ["show"]
    assert complete(remora, "remoractl show ") == ["app", "fixed", "empty"]
    assert complete(remora, "remoractl --json show a") == ["app"]
    assert complete(remora, f"remoractl -s unix:{remora.unix} show a") == ["app"]
    assert complete(remora, "remoractl -s unix:/nonexistent show a") == []
    assert complete(remora, "remoractl drain app 127.0.0.1:800") == ["8001", "8002"]  # behind the last ":"
    assert complete(remora, "remoractl set app 127.0.0.1:8001 we") == ["weight="]
    assert complete(remora, "remoractl set app 1 weight=2 do") == ["down"]
    assert complete(remora, "remoractl show app ") == []
    assert complete(remora, "remoractl apply --d") == ["--dry-run"]
    assert complete(remora, "remoractl list --d") == []
    assert complete(remora, "remoractl help app") == ["apply"]
    assert complete(remora, "remoractl completion ") == ["bash", "zsh"]
    assert complete(remora, "remoractl state ") == ["explain"]
    assert complete(remora, "remoractl watch -n ") == []
    (tmp_path / "some.json").write_text("{}")
    assert complete(remora, f"remoractl apply -f {tmp_path}/so") == [f"{tmp_path}/some.json"]


def test_zsh_completion(remora):
    out = subprocess.run([REMORACTL, "completion", "zsh"], capture_output=True, text=True, check=True).stdout
    assert out.startswith("#compdef remoractl\n")
    if shutil.which("zsh") is None:
        pytest.skip("no zsh here")
    env = dict(os.environ, REMORA_ADMIN="unix:" + remora.unix)
    for line, found in ((["sh"], "show"), (["show", ""], "app fixed empty"), (["set", "app", "1", "we"], "weight="),
                        (["set", "app", "1", "d"], "down drain"), (["drain", "app", "127.0.0.1:80"],
                        "127.0.0.1:8001 127.0.0.1:8002"), (["show", "x"], ""), (["apply", "-f", "x"], "files")):
        script = """compdef() { :; }; compadd() { print -r -- ${(P)@[-1]}; }; _files() { print files; }
            %s
            words=(%s %s); CURRENT=$#words; PREFIX=$words[-1]; _remoractl""" % (
                out, REMORACTL, " ".join("'%s'" % w for w in line))
        done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, env=env, timeout=30)
        assert done.stderr == "" and done.stdout.split() == found.split(), (line, done)
