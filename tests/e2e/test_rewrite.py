# SPDX-License-Identifier: Apache-2.0
"""rewrite, if, map, geo and their kin: what is refused or warned about, beside nginx; log lines; unix clients."""
import re
import subprocess

import pytest
from conftest import Client, run_remora
from oracle import NGINX, Both

LOCATION = """if (a) { }
if ($x == a) { }
if ($arg_x) { if ($arg_y) { } }
if ($arg_x = a b) { }
if ( $arg_x = a ) { return 204; }
if ($arg_x ~ "(") { }
if -f x { }
if (-f) { }
if ($arg_x =) { }
if ($arg_x ~) { }
if ($arg_x = "") { }
if (!$arg_x) { }
if (-q x) { }
if ($arg_x -f x) { }
if ($arg_x !~~ x) { }
if (!-f x) { }
if ($nope) { }
if ($arg_x;
if ($arg_x) { proxy_pass http://127.0.0.1/x; }
if ($arg_x) { try_files a b; }
if ($arg_x) { index a; }
if ($arg_x) { root /; add_header X y; expires 1d; access_log off; error_page 404 /x; rewrite_log on; }
if ($arg_x ~ ^(?<args>x)) { }
rewrite ^;
rewrite ^ /x foo;
rewrite ^ /x last break;
rewrite "(" x;
rewrite ^(.) /$2;
break x;
set x y;
set $uri x;
return;
return abc;
return 1000;
return 200 a b;
limit_except FOO { }
limit_except GET { root x; }
limit_except get { allow all; proxy_pass http://127.0.0.1; auth_basic x; access_log off; }
limit_except { }
limit_except GET { } limit_except POST { }
expires foo;
expires modified;
expires @25h;
expires modified @10h;
expires 1d 2d;
expires max 1d;
expires -1;
expires modified max;
expires @1h;
expires 1d; expires 2d;
valid_referers;
valid_referers none;
valid_referers "~(";
valid_referers *a;
valid_referers a..b;
valid_referers a.* a.*;
valid_referers none blocked *.a b.* ~c server_names d/e;
uninitialized_variable_warn maybe;"""
HTTP = """map $uri $x { a 1; a 2; }
map $uri $x { default 1; default 2; }
map $uri $x { a; }
map $uri $x { a b c; }
map $uri $x { hostnames; *.a 1; *.a 2; }
map $uri $x { hostnames; a*b 1; }
map $uri $x { *.a 1; }
map $uri $x { ~( 1; }
map $uri { a 1; }
map $uri x { }
map $uri $x { volatile x; hostnames on; }
map $uri $x { include inc; inc 2; }
map $uri $x { include nope; }
map $uri $x { a { b c; } }
map $uri $uri { a 1; }
map $uri $http_x { a b; }
map $uri $x { hostnames; a..b 1; }
map $uri $x { hostnames; .a 1; a 2; }
map $uri $x { default $nope; }
geo $x { 1.2.3.4 a; 1.2.3.4 b; }
geo $x { 1.2.3.4/24 a; }
geo $x { 1.2.3 a; }
geo $x { default a; default b; }
geo $x { ranges; 1.2.3.4-1.2.3.5 a; 1.2.3.5-1.2.3.6 b; }
geo $x { ranges; 1.2.3.4-1.2.3.8 a; 1.2.3.5-1.2.3.6 b; }
geo $x { ranges; 1.2.3.4-1.2.3.8 a; 1.2.3.4-1.2.3.8 b; }
geo $x { ranges; 1.2.3.9-1.2.3.8 a; }
geo $x { 1.2.3.4 a; ranges; }
geo $x { delete 1.2.3.4; }
geo $x { ranges; delete 1.2.3.4-1.2.3.4; }
geo $x { proxy 1.2.3.0/24; proxy_recursive; }
geo $x { proxy foo; }
geo $x { a b c; }
geo $x { foo bar; }
geo $a $b $x { }
geo x { }
geo $nope $x { }
geo $x { ::1 a; ::/0 b; 0.0.0.0/0 c; }
geo $x { 1.2.3.4; }
geo $x { include nope; }
geo $x { ranges; ::1 a; }
geo $x { ranges; 1.2.3.4 a; }
geo $x { 1.2.3.4/33 a; }
geo $x { unix: a; }
split_clients $uri $x { 50% a; 60% b; }
split_clients $uri $x { 50.555% a; }
split_clients $uri $x { 0% a; }
split_clients $uri $x { * a; * b; }
split_clients $uri $x { * a; 50% b; }
split_clients $uri $x { 50 a; }
split_clients $uri $x { 100% a; }
split_clients $uri $x { -1% a; }
split_clients $uri $x { .5% a; 5.% b; }
split_clients $uri x { * a; }
if ($uri) { }
rewrite ^ /x;
return 200;"""
CASES = [("server { listen 127.0.0.1:1999; location / { %s } }", line) for line in LOCATION.splitlines()]
CASES += [("server { listen 127.0.0.1:1999; %s }", line) for line in LOCATION.splitlines() if line.startswith(
    ("if (a", "rewrite", "set", "break", "return", "expires m", "valid", "limit"))]
CASES += [("%s server { listen 127.0.0.1:1999; }", line) for line in HTTP.splitlines()]


def verdict(result):
    """Whether it was taken, and the first thing said, without who, when and where."""
    text = result.stderr
    first = next((line for line in text.splitlines() if "[emerg]" in line), "") or next(
        (line for line in text.splitlines() if "[warn]" in line), "")
    first = re.sub(r".*?\[(\w+)\] (\d+#\d+: )?", r"[\1] ", first)
    return result.returncode == 0, re.sub(r"( in \S+:\d+)+$", "", first)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.parametrize("frame,line", CASES)
def test_messages(tmp_path, frame, line):
    temp = "".join(f" {n}_temp_path {tmp_path}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "inc").write_text("inc 1;\n")
    texts = []
    for more in ("", temp):
        (tmp_path / "x.conf").write_text(f"pid {tmp_path}/pid; error_log stderr; events {{ }}\n"
                                         f"http {{ access_log off; {more}\n{frame % line} }}\n")
        if more:
            result = subprocess.run([NGINX, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "x.conf")],
                                    capture_output=True, text=True)
        else:
            result = run_remora("-t", "-p", str(tmp_path), "-c", str(tmp_path / "x.conf"))
        texts.append(verdict(result))
    assert texts[0] == texts[1]


def test_what_has_no_effect_is_named(tmp_path):
    (tmp_path / "x.conf").write_text(f"pid {tmp_path}/pid; events {{ }}\nhttp {{ map_hash_max_size 1;\n"
                                     "map_hash_bucket_size 1;\nserver { listen 127.0.0.1:1999; referer_hash_max_size 1;\n"
                                     "referer_hash_bucket_size 1; } }")
    text = run_remora("-t", "-p", str(tmp_path), "-c", str(tmp_path / "x.conf")).stderr
    for name in ("map_hash_max_size", "map_hash_bucket_size", "referer_hash_max_size", "referer_hash_bucket_size"):
        assert f'[warn] the "{name}" directive has no effect in remora' in text


LOGS = """http { access_log off; server { listen 127.0.0.1:@PORT:web@; server_name sn; rewrite_log on;
    location /a { rewrite ^/a(.*)$ /b$1?x=1; rewrite ^/c /d; return 200 x; }
    location /r { rewrite ^/r(.*)$ /b$1?x=1 redirect; }
    location /e { rewrite ^/e(.*)$ "$arg_x"; }
    location /i { if ($arg_a ~ b) { return 200 y; } if ($arg_a !~* ^B) { return 200 z; } return 200 i; }
    location /off { rewrite_log off; rewrite ^/off /b; }
    location /b { return 200 b; }
    location /c { rewrite ^/c(.*) /c$1x; }
    location /u { uninitialized_variable_warn off; return 200 "$und"; set $und 1; }
    location /w { return 200 "$und2$und2"; set $und2 1; }
    } }"""


def lines(text):
    """What was said about requests."""
    found = re.findall(r"\[(notice|warn|error)\] \d+#\d+: \*\d+ (.*)", text)
    return [(level, re.sub(r", upstream.*", "", line)) for level, line in found]


def test_logs(remora):
    with Both(remora, LOGS) as both:
        for path in ("/a1?k", "/r1", "/e", "/i?a=b", "/i?a=c", "/off", "/c", "/u", "/w"):
            both.same(path=path)
        ours = lines(both.remora.errors())
        assert ours == lines(both.nginx.log())
        assert len(ours) > 30


def test_a_regex_that_backtracks_too_much(remora):
    r = remora("http { access_log off; server { listen 127.0.0.1:@PORT:web@; location / {"
               'if ($arg_a ~ "^(a+)+$") { return 200 m; } return 200 n; } } }',
               allow=[r"pcre2_match\(\) failed"])
    assert r.get("web", "/?a=aaaa").body == b"m"
    assert r.get("web", "/?a=" + 40 * "a" + "b").status == 500
    assert r.get("web", "/?a=aaaa").body == b"m"
    assert 'pcre2_match() failed' in r.errors()


def test_unix_clients(remora, tmp_path):
    r = remora("http { access_log off; geo $g { default d; 255.255.255.255 none; 127.0.0.0/8 lo; }"
               "geo $h { ranges; 0.0.0.0-255.255.255.254 some; default none; }"
               "server { listen unix:@DIR@/web.sock; listen 127.0.0.1:@PORT:web@; return 200 $g,$h; } }")
    assert r.get("web", "/").body == b"lo,some"
    with Client(r.dir + "/web.sock") as c:
        assert c.get("/").body == b"none,none"


def test_many_networks(remora):
    """A list that would take long if it was walked, or if it was sorted badly."""
    networks = " ".join(f"10.{i >> 8 & 255}.{i & 255}.0/24 v{i};" for i in range(60000))
    r = remora("http { access_log off; geo $arg_a $g { default d; " + networks + " }"
               "server { listen 127.0.0.1:@PORT:web@; return 200 $g; } }")
    for i in (0, 1, 255, 256, 59999):
        assert r.get("web", f"/?a=10.{i >> 8}.{i & 255}.7").body == b"v%d" % i
    assert r.get("web", "/?a=10.250.0.0").body == b"d"


def test_what_the_kernel_knows_of_a_connection(remora):
    text = ("http { access_log off; server { listen 127.0.0.1:@PORT:web@; listen unix:@DIR@/web.sock;"
            'return 200 "$tcpinfo_rtt $tcpinfo_rttvar $tcpinfo_snd_cwnd $tcpinfo_rcv_space"; } }')
    r = remora(text)
    numbers = [int(n) for n in r.get("web", "/").body.split()]
    assert len(numbers) == 4 and numbers[2] > 0 and numbers[3] > 0
    with Client(r.dir + "/web.sock") as c:
        assert c.get("/").body == b"   "


def test_maps_that_need_each_other(remora):
    r = remora("http { access_log off; map $uri $one { default $two; } map $uri $two { default $one; /ok ok; }"
               "server { listen 127.0.0.1:@PORT:web@; return 200 $one; } }")
    assert r.get("web", "/").status == 500
    assert len(re.findall(r'cycle while evaluating variable "\w+"', r.errors())) == 1
    assert r.get("web", "/ok").body == b"ok"
