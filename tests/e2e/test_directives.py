# SPDX-License-Identifier: Apache-2.0
"""Every directive of the tables in the source is in tests/directives.txt, and does what it says there: a test shows its
effect, or a warning names it.  proxy/DIRECTIVES.md says the same."""
import os
import re

import pytest
from conftest import ROOT, run_remora
from directive_tables import PAGE, accepted, all_directives, page, read_list

ENTRIES = read_list()
AROUND = {"main": "%s", "events": "events { %s }", "admin": "admin { %s }", "http": "http { %s }",
          "server": "http { server { listen 127.0.0.1:1; %s } }",
          "upstream": "http { upstream u { server 127.0.0.1:1; %s } }"}


def check(tmp_path, text):
    if not re.search(r"\bevents\b", text):
        text += "\nevents { }"
    path = tmp_path / "remora.conf"
    path.write_text(f"pid {tmp_path}/remora.pid; error_log stderr;\n{text}\n")
    return run_remora("-t", "-p", f"{tmp_path}/", "-c", str(path))


def test_the_list_is_complete_and_knows_nothing_else():
    names = [e.name for e in ENTRIES]
    assert sorted(names) == sorted(set(names)), "listed twice"
    assert sorted(names) == sorted(accepted())


def test_the_tables_were_found():
    """A sample of every kind of table: with macros, positional, with names, in the parser itself."""
    known = accepted()
    assert known["daemon"] == ["main"] and known["worker_connections"] == ["events"]
    assert known["etag"] == ["http", "server", "location"] and known["aio"] == ["http", "server", "location"]
    assert known["proxy_buffering"] == ["http", "server", "location"] and known["server (upstream)"] == ["upstream"]
    assert known["proxy_pass"] == ["location", "location if", "limit_except"] and "main" in known["include"]


def test_the_binary_knows_them_all(tmp_path):
    """With more arguments than any takes, what is said depends on whether the name is known."""
    unknown = [name for name in [*all_directives(), "no_such_directive"]
               if f'unknown directive "{name}"' in check(tmp_path, f"{name} a b c d e f g h i j k;").stderr]
    assert unknown == ["no_such_directive"]


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.state == "implemented"], ids=lambda e: e.name)
def test_implemented(entry):
    path = f"{ROOT}/tests/{entry.how}"
    assert os.path.exists(path), f"{entry.name}: no test {entry.how}"
    with open(path) as f:
        assert re.search(rf"(?<![\w$]){entry.directive}(?!\w)", f.read()), f"{entry.how} does not mention {entry.name}"
    setters = {p.setter for p in all_directives()[entry.directive]}
    assert "rem_set_without_effect" not in setters, "a setter that only warns"


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.state == "warned"], ids=lambda e: e.name)
def test_warned(entry, tmp_path):
    for context in accepted()[entry.name]:
        if context not in AROUND:
            continue  # a location: as in its server
        result = check(tmp_path, AROUND[context] % f"{entry.directive} {entry.how};")
        assert result.returncode == 0, result.stderr
        assert re.search(rf'\[warn\].*"{entry.directive}" directive', result.stderr), f"{context}: {result.stderr}"


def test_forms_of_parameters(tmp_path):
    with open(ROOT + "/tests/data/forms.conf") as f:
        text = f.read().replace("@DIR@", str(tmp_path))
    (tmp_path / "forms.conf").write_text(text)
    result = run_remora("-t", "-p", f"{tmp_path}/", "-c", str(tmp_path / "forms.conf"))
    assert result.returncode == 0, result.stderr


def test_the_page_is_of_today():
    with open(PAGE) as f:
        assert f.read() == page(), "run tests/e2e/directive_tables.py --write"
