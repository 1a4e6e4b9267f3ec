# SPDX-License-Identifier: Apache-2.0
"""What -t says of upstream blocks and proxy directives: nginx's words, with file and line."""
import subprocess
import tempfile

import pytest

from proxy_lab import REMORA

U = "upstream u { server 127.0.0.1:1; }"


def check(http):
    """Exit code and output of -t."""
    with tempfile.TemporaryDirectory(prefix="remora-") as tmp:
        with open(tmp + "/p.conf", "w") as f:
            f.write(f"error_log {tmp}/e.log; pid {tmp}/p.pid; events {{}}\nhttp {{\n{http}\n}}\n")
        done = subprocess.run([REMORA, "-t", "-p", tmp, "-c", "p.conf"], capture_output=True,
                              text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr


def server(location):
    return "server { listen 127.0.0.1:18999; " + location + " }"


def proxy(directives):
    return server("location / { proxy_pass http://127.0.0.1; " + directives + " }")


URI_PART = ('"proxy_pass" cannot have URI part in location given by regular expression, or inside '
            'named location, or inside "if" statement, or inside "limit_except" block')

BAD = [
    (U + U, 'duplicate upstream "u"'),
    ("upstream u { server 127.0.0.1:1 foo; }", 'invalid parameter "foo"'),
    ("upstream u { server 127.0.0.1:1 weight=0; }", 'invalid parameter "weight=0"'),
    ("upstream u { server 127.0.0.1:1 weight=; }", 'invalid parameter "weight="'),
    ("upstream u { server 127.0.0.1:1 max_fails=x; }", 'invalid parameter "max_fails=x"'),
    ("upstream u { server 127.0.0.1:1 fail_timeout=x; }", 'invalid parameter "fail_timeout=x"'),
    ("upstream u { server :80; }", 'no host in upstream ":80"'),
    ("upstream u { server 127.0.0.1:99999; }", 'invalid port in upstream "127.0.0.1:99999"'),
    ("upstream u { server nosuch.invalid; }", 'host not found in upstream "nosuch.invalid"'),
    ("upstream u { server http://127.0.0.1; }", 'invalid host in upstream "http://127.0.0.1"'),
    ("upstream u { server unix:; }", 'no path in the unix domain socket in upstream "unix:"'),
    ("upstream u { server 127.0.0.1:1; keepalive x; }",
     'invalid value "x" in "keepalive" directive'),
    ("upstream u { server 127.0.0.1:1; keepalive 1; keepalive 2; }",
     '"keepalive" directive is duplicate'),
    ("upstream u { server 127.0.0.1:1; zone z 1k; }", 'zone "z" is too small'),
    ("upstream u { server 127.0.0.1:1; zone z xx; }", 'invalid zone size "xx"'),
    ("upstream u { server 127.0.0.1:1; ntlm; }", 'unknown directive "ntlm"'),
    ("upstream u { listen 80; }", '"listen" directive is not allowed here'),
    (U + server("location / { proxy_pass http://u:8080; }"),
     'upstream "u" may not have port 8080'),
    (server("location / { proxy_pass http://nosuch.invalid; }"),
     'host not found in upstream "nosuch.invalid"'),
    (server("location / { proxy_pass http://:80; }"), 'no host in upstream ":80"'),
    (server("location / { proxy_pass http:///x; }"), 'no host in upstream "/x"'),
    (server("location / { proxy_pass ftp://x; }"), "invalid URL prefix"),
    (server("location / { proxy_pass https://127.0.0.1; }"),
     "https protocol requires SSL support"),
    (server("location / { proxy_pass http://127.0.0.1:0; }"),
     'invalid port in upstream "127.0.0.1:0"'),
    (server("location / { proxy_pass http://127.0.0.1:x; }"),
     'invalid port in upstream "127.0.0.1:x"'),
    (server("location / { proxy_pass http://[::1; }"), 'invalid host in upstream "[::1"'),
    (server("location / { proxy_pass http://unix:; }"),
     'no path in the unix domain socket in upstream "unix:"'),
    (server("location ~ / { proxy_pass http://127.0.0.1/x; }"), URI_PART),
    (server("location @x { proxy_pass http://127.0.0.1/; }"), URI_PART),
    (server("proxy_pass http://127.0.0.1;"), '"proxy_pass" directive is not allowed here'),
    (proxy("proxy_pass http://127.0.0.1;"), '"proxy_pass" directive is duplicate'),
    (proxy("proxy_next_upstream foo;"), 'invalid value "foo"'),
    (proxy("proxy_buffers 1 4k;"), 'there must be at least 2 "proxy_buffers"'),
    (proxy("proxy_busy_buffers_size 1k;"),
     '"proxy_busy_buffers_size" must be equal to or greater than'),
    (proxy("proxy_busy_buffers_size 1m;"),
     '"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer'),
    (proxy("proxy_max_temp_file_size 1k;"), '"proxy_max_temp_file_size" must be equal to zero'),
    (proxy("proxy_temp_file_write_size 1k;"),
     '"proxy_temp_file_write_size" must be equal to or greater than'),
    (proxy("proxy_http_version 3;"), 'invalid value "3"'),
    (proxy("proxy_redirect a;"), 'invalid parameter "a"'),
    (proxy("proxy_redirect off; proxy_redirect a b;"), '"proxy_redirect" directive is duplicate'),
    (proxy("proxy_redirect a b; proxy_redirect off;"), '"proxy_redirect" directive is duplicate'),
    (server("location / { proxy_redirect default; }"),
     '"proxy_redirect default" should be placed after the "proxy_pass" directive'),
    (server("location / { proxy_pass http://$host; proxy_redirect default; }"),
     '"proxy_redirect default" cannot be used with "proxy_pass" directive with variables'),
    (proxy("proxy_set_header X;"), 'invalid number of arguments in "proxy_set_header" directive'),
    (proxy("proxy_set_header 'X Y' z;"), 'invalid header name "X Y"'),
    (proxy("proxy_read_timeout x;"), '"proxy_read_timeout" directive invalid value'),
    (proxy("proxy_set_header X $nosuch;"), 'unknown "nosuch" variable'),
]


@pytest.mark.parametrize("http,message", BAD)
def test_refused(http, message):
    code, out = check(http)
    assert code == 1 and message in out, out
    if "variable" not in message:
        assert "p.conf:" in out, out


@pytest.mark.parametrize("http", [
    U, "upstream u { }", "upstream u { zone z 64k; }", "upstream u { server 127.0.0.1:1 backup; }",
    "upstream u { server 127.0.0.1:1 weight=5 max_conns=3 max_fails=0 fail_timeout=1m down; "
    "server unix:/tmp/x backup slow_start=10s; server [::1]:80; server localhost drain; "
    "keepalive 3; keepalive_requests 9; keepalive_time 1h; keepalive_timeout 5s; zone z 1m; }",
    server("location / { proxy_pass http://u; }") + U,
    server("location / { proxy_pass http://localhost; } "
           "location /x { proxy_pass http://localhost:80/; }"),
    server("location ~ / { proxy_pass http://127.0.0.1; }"),
    server("location / { proxy_pass http://$host/x; }"),
    proxy("proxy_temp_path /tmp/x 1 2; proxy_buffers 4 4k; proxy_next_upstream error http_503 off;"),
])
def test_accepted(http):
    code, out = check(http)
    assert code == 0, out
