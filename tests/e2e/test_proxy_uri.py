# SPDX-License-Identifier: Apache-2.0
"""The target a server is asked for: nginx's rules, with nginx itself as the judge where there is one."""
import os

import pytest

from proxy_lab import NGINX, Backend, Proxy, ask, reply

LOCATIONS = """
    location / { proxy_pass http://BACKEND; }
    location /none/ { proxy_pass http://BACKEND; }
    location /slash/ { proxy_pass http://BACKEND/; }
    location /uri/ { proxy_pass http://BACKEND/other/; }
    location /cut { proxy_pass http://BACKEND/x; }
    location /query/ { proxy_pass http://BACKEND/q?a=b&c=; }
    location = /exact { proxy_pass http://BACKEND/found; }
    location ~ ^/regex/ { proxy_pass http://BACKEND; }
    location ^~ /first/ { proxy_pass http://BACKEND/f/; }
    location /outer/ { proxy_pass http://BACKEND/o/;
        location /outer/inner/ { proxy_pass http://BACKEND/i/; } }
    location /up/ { proxy_pass http://u/v/; }
    location /upper { proxy_pass HTTP://BACKEND/Case; }
    location /var/ { set_none; }
"""

TARGETS = [
    "/", "/a/b?c=d", "/none/x", "/none/%20a%2fb", "/none//double///slash", "/none/./a/../b",
    "/none/a?b=%20&c=d%2f", "/none/%41", "/none/caf%c3%a9", "/none/a+b", "/none/a;b,c:d@e&f=g$h",
    "/none/?", "/none/??x", "/slash/", "/slash/x", "/slash/x/y?z", "/slash/%2e%2e", "/slash/a%20b",
    "/slash/%2f%2f", "/slash/%25", "/slash/%3f", "/slash/%23", "/slash/a//b", "/slash/a/./b/../c",
    "/slash/caf%c3%a9?%c3%a9", "/slash/?", "/slash/a?b?c", "/slash/a+b", "/slash/%2b",
    "/slash/a;b,c:d@e&f=g$h!'()*", "/slash/%7e%2d%5f", "/uri/x", "/uri/a%20b%25?c=%20", "/uri/",
    "/uri/a%5cb", "/uri/%22%3c%3e%7b%7d%7c%5e%60", "/cut", "/cut/y", "/cutter?a", "/query/",
    "/query/x", "/query/x?y=z", "/exact", "/exact?q=1", "/regex/a%20b/../c?d", "/first/x",
    "/outer/x", "/outer/inner/y", "/up/a/b", "/upper/x", "/none/a%0ab", "/slash/a%01b",
    "/slash/%e2%82%ac", "/uri//x", "/uri/./x", "/uri/..%2fx",
]


def answers(binary, backend):
    """What the server is asked for, per target, through one proxy."""
    locations = "".join(x for x in LOCATIONS.splitlines(True) if "set_none" not in x)
    proxy = Proxy(f"upstream u {{ server {backend.addr}; }} server {{ listen 127.0.0.1:{{port}};"
                  + locations.replace("BACKEND", backend.addr) + "}", binary=binary)
    seen = {}
    for target in TARGETS:
        before = len(backend.requests)
        status = ask(proxy, target).status
        requests = backend.requests[before:]
        seen[target] = requests[0].target if requests else status
    proxy.stop()
    return seen


@pytest.mark.skipif(not os.path.exists(NGINX), reason="no nginx to compare with")
def test_as_nginx():
    backend = Backend(lambda conn, reader, request: reply(conn, b"", fields=[
        ("Connection", "close")]) or False)
    import proxy_lab
    ours, theirs = answers(proxy_lab.REMORA, backend), answers(NGINX, backend)
    backend.close()
    assert {t: (ours[t], theirs[t]) for t in TARGETS if ours[t] != theirs[t]} == {}


def test_absolute_form():
    backend = Backend()
    proxy = Proxy(f"""server {{ listen 127.0.0.1:{{port}};
        location / {{ proxy_pass http://{backend.addr}; }}
        location /u/ {{ proxy_pass http://{backend.addr}/v/; }} }}""")
    for target, expected in [("http://t.example/a%20b?c", "/a%20b?c"), ("http://t.example", "/"),
                             ("http://t.example?x", "/?x"), ("http://t.example/u/z", "/v/z")]:
        assert ask(proxy, target).status == 200
        assert backend.requests[-1].target == expected
    proxy.stop()
    backend.close()
