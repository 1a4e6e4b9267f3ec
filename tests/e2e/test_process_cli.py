# SPDX-License-Identifier: Apache-2.0
"""The command line: -t -T -q -s -v -V -h, texts and exit codes as nginx's."""
import os
import re
import signal
import socket

import pytest

from conftest import free_port, run_remora, wait_for

GOOD = "events {}\nhttp { server { listen 127.0.0.1:%d; return 200 ok; } }\n"


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration; returns the arguments that name it."""
    def write(text, name="x.conf"):
        (tmp_path / name).write_text(text)
        return ["-p", f"{tmp_path}/", "-c", name, "-g", f"pid {tmp_path}/x.pid;"]
    return write


def test_version():
    p = run_remora("-v")
    assert p.returncode == 0 and re.fullmatch(r"remora version: remora/\d+\.\d+\.\d+\n", p.stderr) and not p.stdout
    p = run_remora("-V")
    assert p.returncode == 0 and "built by" in p.stderr and "OpenSSL" in p.stderr


@pytest.mark.parametrize("option", ["-h", "-?", "--help"])
def test_help(option):
    p = run_remora(option)
    assert p.returncode == 0
    for word in ("Usage: remora", "-t ", "-s signal", "Examples:", "HUP"):
        assert word in p.stdout


@pytest.mark.parametrize("args, text", [
    (["-x"], 'invalid option: "x"'),
    (["foo"], 'invalid option: "foo"'),
    (["-c"], 'option "-c" requires file name'),
    (["-s", "foo"], 'invalid option: "-s foo"'),
])
def test_wrong_options(args, text):
    p = run_remora(*args)
    assert p.returncode == 1 and p.stderr == f"remora: {text}\n"


def test_good_configuration(conf, tmp_path):
    p = run_remora("-t", *conf(GOOD % free_port()))
    assert p.returncode == 0
    assert p.stderr == (f"remora: the configuration file {tmp_path}/x.conf syntax is ok\n"
                        f"remora: configuration file {tmp_path}/x.conf test is successful\n")
    p = run_remora("-tq", *conf(GOOD % free_port()))
    assert (p.returncode, p.stderr, p.stdout) == (0, "", "")


def test_without_a_prefix_directory(tmp_path):
    """Temporary files that have no place of their own go to /tmp then."""
    (tmp_path / "x.conf").write_text(GOOD % free_port())
    p = run_remora("-t", "-p", f"{tmp_path}/none/", "-c", f"{tmp_path}/x.conf", "-e", "stderr",
                   "-g", f"pid {tmp_path}/x.pid;")
    assert p.returncode == 0, p.stderr
    assert not (tmp_path / "none").exists()


def test_a_port_in_use_is_no_error(conf):
    with socket.create_server(("127.0.0.1", 0)) as s:
        assert run_remora("-t", *conf(GOOD % s.getsockname()[1])).returncode == 0


@pytest.mark.parametrize("text, error, line", [
    ("bogus on;\n", 'unknown directive "bogus"', 1),
    ("events {}\n\nworker_processes x;\n", '"worker_processes" directive invalid value', 3),
    ("worker_processes 0;\n", '"worker_processes" directive invalid value', 1),
    ("pid a; pid b;\n", '"pid" directive is duplicate', 1),
    ("events {}\nevents {}\n", '"events" directive is duplicate', 2),
    ("user nosuchuser;\n", 'getpwnam("nosuchuser") failed', 1),
    ("worker_cpu_affinity 01x;\n", 'invalid character "x" in "worker_cpu_affinity"', 1),
    ("worker_priority x;\n", '"worker_priority" directive invalid number', 1),
    ("error_log e.log loud;\n", 'invalid log level "loud"', 1),
    ("error_log e.log debug info;\n", 'duplicate log level "info"', 1),
    ("events { use kqueue; }\n", 'invalid event type "kqueue"', 1),
    ("daemon maybe;\n", 'invalid value "maybe" in "daemon" directive, it must be "on" or "off"', 1),
    ("admin { listen 0.0.0.0:9901; }\n", "loopback", 1),
    ("admin { listen 9901; }\n", "loopback", 1),
    ("admin { listen [::]:9901; }\n", "loopback", 1),
    ("admin { listen unix:/tmp/a.sock; listen unix:/tmp/a.sock; }\n", "duplicate listen", 1),
    ("admin {}\nadmin {}\n", '"admin" directive is duplicate', 2),
    ("worker_connections 10;\n", '"worker_connections" directive is not allowed here', 1),
    ("events {\n", 'unexpected end of file, expecting "}"', 2),
    ("shared_memory 1k;\n", '"shared_memory" must be at least 1m', 0),
])
def test_bad_configurations(conf, tmp_path, text, error, line):
    args = conf(text)
    if text.startswith("pid"):
        args = args[:4]
    if text.startswith("user") and os.geteuid() != 0:
        pytest.skip("only root's user directive is looked at")
    p = run_remora("-t", *args)
    assert p.returncode == 1
    assert error in p.stderr and p.stderr.startswith("remora: [emerg] ")
    if line:
        assert f" in {tmp_path}/x.conf:{line}\n" in p.stderr
    assert p.stderr.endswith(f"remora: configuration file {tmp_path}/x.conf test failed\n")
    # and it does not start either, and says so in the log that -e names
    p = run_remora("-e", f"{tmp_path}/e.log", *args)
    assert p.returncode == 1 and error in p.stderr
    assert "[emerg]" in (tmp_path / "e.log").read_text() and error in (tmp_path / "e.log").read_text()


@pytest.mark.parametrize("name, more", [
    ("timer_resolution", " 10ms"), ("thread_pool", " x threads=2"), ("lock_file", " a"), ("pcre_jit", " on"),
    ("debug_points", " stop"),
])
def test_directives_without_effect_are_named(conf, name, more):
    p = run_remora("-t", *conf(f"{name}{more};\nevents {{}}\n"))
    assert p.returncode == 0 and f'[warn] the "{name}" directive has no effect' in p.stderr


def test_unreadable_files(conf, tmp_path):
    p = run_remora("-t", "-p", f"{tmp_path}/", "-c", "none.conf")
    assert p.returncode == 1
    assert f'open() "{tmp_path}/none.conf" failed (2: No such file or directory)' in p.stderr
    p = run_remora("-t", *conf("error_log /nonexistent/e.log;\n"))
    assert p.returncode == 1 and 'open() "/nonexistent/e.log" failed (2: No such file or directory)' in p.stderr
    p = run_remora("-t", *conf("pid /nonexistent/x.pid;\n")[:4])
    assert p.returncode == 1 and 'open() "/nonexistent/x.pid" failed (2: No such file or directory)' in p.stderr


def test_dump(conf, tmp_path):
    (tmp_path / "inc.conf").write_text("worker_processes 1;\n")
    text = "include inc.conf;\nevents {}\n"
    p = run_remora("-Tq", *conf(text))
    assert p.returncode == 0
    assert p.stdout == (f"# configuration file {tmp_path}/x.conf:\n{text}\n"
                        f"# configuration file {tmp_path}/inc.conf:\nworker_processes 1;\n\n")


def test_sending_signals(remora, tmp_path):
    r = remora("http { server { listen 127.0.0.1:@PORT:web@; return 200 ok; } }")
    where = ["-p", r.dir + "/", "-c", "remora.conf"]
    for name, log in (("reopen", "reopening logs"), ("reload", "reconfiguring")):
        p = run_remora("-s", name, *where)
        assert p.returncode == 0, p.stderr
        r.wait_log(rf"\[notice\].* {log}")
    r.wait_log("start worker processes", count=2)
    assert run_remora("-s", "quit", *where).returncode == 0
    assert r.process.wait(20) == 0
    r.stop()


def test_signals_to_nobody(conf, tmp_path):
    args = conf("events {}\n")
    p = run_remora("-s", "stop", *args)
    assert p.returncode == 1
    assert f'remora: [error] open() "{tmp_path}/x.pid" failed (2: No such file or directory)\n' in p.stderr
    (tmp_path / "x.pid").write_text("many\n")
    p = run_remora("-s", "stop", *args)
    assert p.returncode == 1 and "invalid PID number" in p.stderr
    (tmp_path / "x.pid").write_text("2147483600\n")
    p = run_remora("-s", "stop", *args)
    assert p.returncode == 1 and "kill(2147483600, 15) failed (3: No such process)" in p.stderr


def test_port_in_use_at_start(conf):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        p = run_remora(*conf("daemon off;\n" + GOOD % port))
    assert p.returncode == 1
    assert f"remora: [emerg] bind() to 127.0.0.1:{port} failed (98: Address already in use)\n" in p.stderr
    assert "remora: [emerg] still could not bind()\n" in p.stderr


def test_the_error_log_of_e_is_made(remora):
    """Whatever the configuration says; others read it without asking whether anything was logged."""
    r = remora("error_log @DIR@/other.log info;\n"
               "http { server { listen 127.0.0.1:@PORT:web@; return 200 ok; } }")
    assert os.path.exists(r.dir + "/error.log") and os.path.exists(r.dir + "/other.log")
    assert r.get("web").body == b"ok"
    r.signal(signal.SIGQUIT)
    wait_for(lambda: r.process.poll() is not None, "its end")
