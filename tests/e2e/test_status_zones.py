# SPDX-License-Identifier: Apache-2.0
"""status_zone, and what is counted by zone, listener and limit."""
import pytest
from conftest import run_remora


@pytest.mark.parametrize("text, message", [
    ("server { status_zone a; status_zone b; }", '"status_zone" directive is duplicate'),
    ("server { location / { status_zone a; status_zone off; } }", '"status_zone" directive is duplicate'),
    ("status_zone a;", '"status_zone" directive is not allowed here'),
    ("server { if ($arg_a) { status_zone a; } }", '"status_zone" directive is not allowed here'),
    ("server { status_zone; }", 'invalid number of arguments in "status_zone" directive'),
    ("server { status_zone ''; }", 'invalid name of a status zone ""'),
    ("server { status_zone %s; }" % ("x" * 129), 'invalid name of a status zone "x'),
])
def test_what_is_refused(tmp_path, text, message):
    conf = tmp_path / "remora.conf"
    conf.write_text("events { } http { %s }" % text)
    r = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert r.returncode == 1
    assert message in r.stderr


def test_what_is_accepted(tmp_path):
    conf = tmp_path / "remora.conf"
    conf.write_text("pid %s/p; events { } http { access_log off; server { listen 127.0.0.1:1; status_zone same;"
                    " location / { status_zone same; location /a { status_zone off; }"
                    "  if ($arg_a) { status_zone b; } } }"
                    " server { listen 127.0.0.1:1; server_name b; status_zone same; }"
                    " server { listen 127.0.0.1:1; server_name c; status_zone off; } }" % tmp_path)
    r = run_remora("-t", "-p", str(tmp_path), "-c", str(conf))
    assert r.returncode == 0, r.stderr
