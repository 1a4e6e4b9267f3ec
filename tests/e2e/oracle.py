# SPDX-License-Identifier: Apache-2.0
"""The same configuration through nginx and through remora: what both answer.

    both = Both(remora, 'http { server { listen 127.0.0.1:@PORT:web@; ... } }')
    both.same("GET", "/x", {"Host": "a.test"})

Where nginx is not installed the test is skipped.  Compared are status, body and fields, but not what names
the product or the moment, and of pages made by the server only the heading.
"""
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from signal import SIGQUIT

import pytest
from conftest import Client, free_port, wait_for

NGINX = shutil.which("nginx") or next((p for p in ("/usr/sbin/nginx",) if os.path.exists(p)), None)
OF_THE_MOMENT = ("date", "server", "connection")


class Nginx:
    def __init__(self, text):
        if NGINX is None:
            pytest.skip("nginx is not installed")
        self.dir = tempfile.mkdtemp(prefix="remora-oracle-")
        os.chmod(self.dir, 0o755)
        self.ports = {}
        text = ("daemon off; pid @DIR@/nginx.pid; error_log @DIR@/error.log info; events { }\n" + text)
        text = re.sub(r"@PORT:(\w+)@", lambda m: str(self.port(m[1])), text).replace("@DIR@", self.dir)
        temp = "".join(f" {n}_temp_path {self.dir}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = text.replace("http {", "http {" + temp, 1)
        with open(self.dir + "/nginx.conf", "w") as f:
            f.write(text)
        self.process = subprocess.Popen([NGINX, "-p", self.dir, "-c", self.dir + "/nginx.conf", "-e",
                                         self.dir + "/error.log"], stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.dir + "/nginx.pid") or self.process.poll() is not None, "nginx")
        assert self.process.poll() is None, self.log()

    def port(self, name):
        return self.ports.setdefault(name, free_port()) if name not in self.ports else self.ports[name]

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(self.dir + "/error.log") as f:
            return f.read()
        return ""

    def client(self, where="web"):
        return Client(("127.0.0.1", self.port(where)))

    def stop(self):
        self.process.send_signal(SIGQUIT)
        self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)


def essence(response, ports):
    """What must be equal."""
    fields = sorted((n, v) for n, v in response.fields if n not in OF_THE_MOMENT)
    body = response.body
    for port in ports:
        fields = [(n, v.replace(f":{port}", ":PORT")) for n, v in fields]
        body = body.replace(b":%d" % port, b":PORT")
    page = re.search(rb"<h1>(\d{3}) .*</h1>(?s:.*)<hr><center>", body)
    if page:
        body = page[1]
    if page or response.status >= 300:  # their size depends on the product's name
        fields = [f for f in fields if f[0] != "content-length"]
    return response.status, fields, body


class Both:
    def __init__(self, remora, text):
        self.nginx = Nginx(text)
        try:
            self.remora = remora(text)
        except BaseException:
            self.nginx.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.nginx.stop()

    def ask(self, server, method, path, headers, body, where):
        fields = {"Host": "localhost", "Connection": "close", **(headers or {})}
        if body:
            fields["Content-Length"] = str(len(body))
        with server.client(where) as c:
            head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()) + "\r\n"
            c.send(head.encode("latin-1") + body)
            response = c.response(method)
        return essence(response, server.ports.values()), response

    def same(self, method="GET", path="/", headers=None, body=b"", where="web"):
        """Asserts that both answer alike; returns remora's response."""
        expected, _ = self.ask(self.nginx, method, path, headers, body, where)
        got, response = self.ask(self.remora, method, path, headers, body, where)
        assert got == expected, f"{method} {path} {headers}\n remora: {got!r:.600}\n nginx:  {expected!r:.600}"
        return response
