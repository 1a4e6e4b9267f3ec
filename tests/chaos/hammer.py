#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hammer.py: random misbehaviour on both sides of remora, and an oracle that knows what may come of it.

  REMORA=build-asan/remora hammer.py --seconds 60
  hammer.py --seed 42 --clients 10          the same random choices again (timing is the machine's)

Clients pipeline, split, stall, half-close, reset, send garbage and read slowly; the server behind answers as the
request's own target tells it to: in any framing, in pieces, too early, too late, cut short, or not at all.  Meanwhile
the admin API swaps the servers, and the master is told to reload, or to be upgraded.  What is checked:

  - a whole response carries exactly the bytes made for its own request, never another's
  - a response that the server cut short never ends cleanly
  - what servers receive parses strictly, and bodies are those that were sent, complete or followed by a close
  - a request that may not be repeated is not
  - who behaves gets an answer, in time
  - afterwards all gauges are back at 0, descriptors and processes are as before, a graceful stop ends with 0, and the
    log shows no [alert], no [emerg] and no sanitizer's report

Traffic stays on loopback.
"""
import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from chaos import ROOT, free_port

PATIENCE = 25  # seconds after which a client that did nothing wrong calls it a hang
SIZES = [0, 0, 1, 2, 10, 100, 500, 1000, 1023, 1024, 1025, 1459, 1460, 1461, 2000, 3800, 4000, 4095, 4096, 4097, 8191, 8192,
         8193, 12000, 16000, 16350, 16383, 16384, 16385, 20000, 32768, 40000, 65535, 65536, 65537, 100000, 200000, 400000]
STATIC = [0, 1, 1000, 4096, 16384, 65536, 100001, 700000]
HOP = {"connection", "keep-alive", "upgrade", "te", "proxy-connection"}


def content(kind, number, size):
    """The bytes that belong to a number: nobody else's look like them."""
    if size == 0:
        return b""
    unit = random.Random(f"{kind}{number}").randbytes(min(size, 4096 - 64))
    return (unit * (size // len(unit) + 1))[:size]


class Broken(Exception):
    """The peer closed or reset before the message was whole."""


class Wrong(Exception):
    """What came cannot be HTTP, or cannot be right."""


class Sock:
    """A non-blocking socket with a buffer."""

    def __init__(self, loop, sock):
        self.loop, self.sock, self.buf = loop, sock, b""
        self.pace = None  # seconds between reads of a slow reader
        self.chunk = 65536

    async def more(self):
        if self.pace:
            await asyncio.sleep(self.pace)
        try:
            data = await self.loop.sock_recv(self.sock, self.chunk)
        except OSError as e:
            raise Broken(str(e)) from None
        if not data:
            raise Broken("closed")
        self.buf += data

    async def until(self, mark, limit=200000):
        at = 0
        while True:
            found = self.buf.find(mark, at)
            if found >= 0:
                data, self.buf = self.buf[:found + len(mark)], self.buf[found + len(mark):]
                return data
            if len(self.buf) > limit:
                raise Wrong(f"no {mark!r} in {len(self.buf)} bytes: {self.buf[:100]!r}")
            at = max(0, len(self.buf) - len(mark))
            await self.more()

    async def take(self, n):
        parts, have = [self.buf], len(self.buf)
        while have < n:
            self.buf = b""
            try:
                await self.more()
            except Broken:
                self.buf = b"".join(parts)
                raise
            parts.append(self.buf)
            have += len(self.buf)
        data = b"".join(parts)
        self.buf = data[n:]
        return data[:n]

    async def chunked(self):
        parts = []
        while True:
            line = await self.until(b"\r\n")
            m = re.fullmatch(rb"([0-9A-Fa-f]+)\r\n", line)
            if not m:
                raise Wrong(f"chunk line {line[:60]!r}")
            n = int(m[1], 16)
            if n == 0:
                line = await self.until(b"\r\n")
                if line != b"\r\n":
                    raise Wrong(f"after the last chunk: {line[:60]!r}")
                return b"".join(parts)
            data = await self.take(n + 2)
            if data[-2:] != b"\r\n":
                raise Wrong(f"chunk of {n} ends with {data[-2:]!r}")
            parts.append(data[:-2])

    async def send(self, data):
        try:
            await self.loop.sock_sendall(self.sock, data)
        except OSError as e:
            raise Broken(str(e)) from None

    def shut(self):
        """Half-closes, which one that the peer has reset cannot be."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            raise Broken(str(e)) from None

    def reset(self):
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def close(self):
        self.sock.close()


FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)")


def parse_head(raw, what):
    """Returns the first line and a dict of lists, or raises Wrong: strict, for both sides."""
    lines = raw[:-4].decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        m = FIELD.fullmatch(line)
        if not m:
            raise Wrong(f"{what}: field line {line[:100]!r}")
        fields.setdefault(m[1].lower(), []).append(m[2])
    return lines[0], fields


def framing(fields, what):
    """("chunked", None), ("length", n) or (None, None)."""
    te, cl = fields.get("transfer-encoding"), fields.get("content-length")
    if te and cl:
        raise Wrong(f"{what}: both framings: {fields}")
    if te:
        if te != ["chunked"]:
            raise Wrong(f"{what}: transfer-encoding {te}")
        return "chunked", None
    if cl:
        if len(cl) != 1 or not re.fullmatch(r"\d+", cl[0]):
            raise Wrong(f"{what}: content-length {cl}")
        return "length", int(cl[0])
    return None, None


# ---- the server behind ----

class Origin:
    """Answers as the target says: /PLACE/NUMBER?k=v&...  See Plan."""

    def __init__(self, hammer, address):
        self.h, self.address = hammer, address
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(address)
            os.chmod(address, 0o777)
        else:
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind(address)
        self.sock.listen(512)
        self.sock.setblocking(False)

    async def run(self):
        loop = self.h.loop
        while True:
            sock, _ = await loop.sock_accept(self.sock)
            sock.setblocking(False)
            self.h.spawn(self.serve(Sock(loop, sock)))

    async def serve(self, s):
        h = self.h
        h.origin_open[s] = "nothing yet"
        try:
            while await self.exchange(s):
                h.origin_open[s] += " (answered)"
        except Broken:
            pass
        except Wrong as e:
            h.wrong(f"at the origin: {e}")
        except Exception:
            h.wrong("origin: " + traceback.format_exc())
        finally:
            del h.origin_open[s]
            s.close()

    async def exchange(self, s):
        """One request.  Returns whether another may follow."""
        h = self.h
        if not s.buf:
            await s.more()
        try:
            raw = await s.until(b"\r\n\r\n")
        except Broken:
            return False  # a head cut short comes from a proxy that gave up
        line, fields = parse_head(raw, "request")
        m = re.fullmatch(r"([A-Z]+) /(\w+)/(\d+)\?(\S*) HTTP/1\.([01])", line)
        if not m or len(fields.get("host", [])) != 1:
            raise Wrong(f"request line {line[:200]!r} {fields}")
        method, number = m[1], int(m[3])
        q = dict(p.split("=") for p in m[4].split("&") if p)
        if fields.get("x-id") != [str(number)]:
            raise Wrong(f"head of {number} says {fields.get('x-id')}")
        h.count("origin requests")
        h.origin_open[s] = line[:150]
        plan = h.plans.get(number)
        if plan is None or plan.method != method and not plan.redirectable:
            raise Wrong(f"nobody asked for {line[:200]!r}")
        plan.arrived += 1
        if plan.arrived > 1 and method in ("POST", "PATCH") and plan.place not in ("d",) and not plan.redirectable:
            raise Wrong(f"{method} {number} came {plan.arrived} times")
        how, n = framing(fields, "request")
        upgrade = "upgrade" in ",".join(fields.get("connection", [])).lower()
        if "early" in q:
            await self.answer(s, method, number, q, plan)
            if "rst" in q:
                s.reset()
            return False
        body = await self.body(s, how, n, number, q)
        want = content("q", number, plan.sends)
        if body != want and not (plan.redirectable and body == b""):
            raise Wrong(f"{method} {number}: body of {len(body)} bytes is not the {len(want)} that were sent ({how} {n})")
        if upgrade and "tunnel" in q:
            return await self.tunnel(s, number)
        return await self.answer(s, method, number, q, plan)

    async def body(self, s, how, n, number, q):
        if "stall" in q:
            await asyncio.sleep(float(q["stall"]))
        if how is None:
            return b""
        if "slow" in q:
            s.chunk, s.pace = 1500, 0.002
        try:
            return await s.chunked() if how == "chunked" else await s.take(n)
        finally:
            s.chunk, s.pace = 65536, None

    async def tunnel(self, s, number):
        await s.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n"
                     b"X-Id: %d\r\n\r\n" % number)
        while True:
            if s.buf:
                data, s.buf = s.buf, b""
                await s.send(data)
            await s.more()

    async def answer(self, s, method, number, q, plan):
        h, rng = self.h, random.Random(f"{h_seed(self.h)}a{number}")
        size, status, frame = int(q.get("s", 0)), int(q.get("st", 200)), q.get("f", "l")
        if "d" in q:
            await asyncio.sleep(float(q["d"]))
        if "die" in q:
            if q["die"] == "rst":
                s.reset()
            return False
        if "garbage" in q:
            await s.send(rng.choice([b"\0\1\2garbage", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad Field: x\r\n\r\n",
                                     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", b"\r\n" * 9000,
                                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"A" * 70000]))
            return False
        for _ in range(int(q.get("i", 0))):
            await s.send(rng.choice([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"]))
        bodiless = method == "HEAD" or status in (204, 304)
        data = b"" if bodiless else content("a", number, size)
        head = f"HTTP/1.1 {status} Whatever\r\nX-Id: {number}\r\nX-Size: {size}\r\n" + "".join(
            f"X-Fill-{i}: {'f' * 300}\r\n" for i in range(int(q.get("fill", 0))))
        if frame == "l" and status != 204:
            head += f"Content-Length: {size}\r\n"
        elif frame == "c" and status != 204:
            head += "Transfer-Encoding: chunked\r\n"
        close = frame == "e" and not bodiless or "close" in q or "early" in q
        head += ("Connection: close\r\n" if close and rng.random() < .7 and "silent" not in q else "") + "\r\n"
        wire = data
        if frame == "c" and not bodiless:
            wire = chunk(rng, data)
        if "cut" in q:
            wire = wire[:max(0, len(wire) - int(q["cut"]))]
        out = head.encode() + wire + (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Id: 0\r\n\r\nEVIL" if "extra" in q else b"")
        await pieces(s, rng, out, q.get("p", "1"), float(q.get("gap", 0)))
        if "cut" in q or "extra" in q:
            if q.get("cut") and rng.random() < .5:
                s.reset()
            return False
        return not close


def h_seed(h):
    return h.a.seed


def chunk(rng, data):
    """Coded in chunks of random sizes."""
    out, at, most = [], 0, rng.choice([3, 50, 1000, 5000, 16384, 100000])
    if len(data) / most > 3000:
        most = 5000
    while at < len(data):
        n = min(len(data) - at, rng.randint(1, most))
        out.append(b"%x\r\n%s\r\n" % (n, data[at:at + n]))
        at += n
    out.append(b"0\r\n\r\n")
    return b"".join(out)


async def pieces(s, rng, data, n, gap):
    """Sends in n pieces, cut anywhere."""
    cuts = sorted(rng.randint(0, len(data)) for _ in range(int(n) - 1)) + [len(data)]
    at = 0
    for cut in cuts:
        if cut > at:
            await s.send(data[at:cut])
        at = cut
        if gap or len(cuts) > 1:
            await asyncio.sleep(gap)


# ---- clients ----

class Plan:
    """One request: what is asked, and what may come of it."""

    def __init__(self, h, rng):
        h.number += 1
        self.number = h.number
        self.arrived = 0
        self.sends = 0
        self.benign = True      # nobody misbehaves: an answer must come
        self.cut = False        # the server cuts its answer short
        self.place = rng.choice("abcdefgh")
        self.method = rng.choice(["GET"] * 6 + ["HEAD", "PUT", "POST", "POST", "PUT", "DELETE"])
        self.redirectable = self.place == "e"
        self.expect = False
        self.frame = "l"
        self.http10 = rng.random() < .05
        self.q = {}
        self.status = 200
        self._answer(rng)
        if self.method in ("PUT", "POST") or rng.random() < .03:
            self.sends = rng.choice(SIZES)
            self.chunked = rng.random() < .5 and not self.http10
            self.expect = not self.http10 and rng.random() < .2
            if rng.random() < .1:
                self.q["slow"] = 1
            if rng.random() < .1:
                self.q["stall"] = round(rng.uniform(0, .2), 3)
        else:
            self.sends, self.chunked = 0, False
        self._faults(rng)
        h.plans[self.number] = self

    def _answer(self, rng):
        q = self.q
        self.size = q["s"] = rng.choice(SIZES)
        q["f"] = rng.choice("llcce")
        if rng.random() < .3:
            q["p"] = rng.randint(2, 6)
            q["gap"] = rng.choice([0, 0, .001, .02])
        if rng.random() < .1:
            q["d"] = round(rng.uniform(0, .3), 3)
        if rng.random() < .1:
            self.status = q["st"] = rng.choice([201, 204, 304, 301, 404, 500, 503])
        if rng.random() < .1:
            q["i"] = rng.randint(1, 5)
        if rng.random() < .1:
            q["fill"] = rng.randint(1, 16)
        if rng.random() < .1:
            q["close"] = 1
            if rng.random() < .5:
                q["silent"] = 1

    def _faults(self, rng):
        q, roll = self.q, rng.random()
        if roll < .03:
            q["die"] = rng.choice(["rst", "fin"])
        elif roll < .05:
            q["garbage"] = 1
        elif roll < .10 and self.size > 0 and q["f"] != "e" and self.status not in (204, 304) and self.method != "HEAD":
            q["cut"] = rng.randint(1, min(self.size, rng.choice([5, 100000])))
            self.cut = True
        elif roll < .14:
            q["early"] = 1
            if rng.random() < .3:
                q["rst"] = 1
        elif roll < .17 and self.size < 3000 and q["f"] == "l":
            q["extra"] = 1
            q.pop("p", None)
        elif roll < .19:
            q["d"] = 3.5  # longer than any patience
        else:
            return
        self.benign = False

    def head(self, rng, close):
        target = f"/{self.place}/{self.number}?" + "&".join(f"{k}={v}" for k, v in self.q.items())
        lines = [f"{self.method} {target} HTTP/1.{0 if self.http10 else 1}", "Host: h", f"X-Id: {self.number}"]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.sends or self.method in ("PUT", "POST"):
            lines.append(f"Content-Length: {self.sends}")
        if self.expect and (self.sends or self.chunked):
            lines.append("Expect: 100-continue")
        else:
            self.expect = False
        if close:
            lines.append("Connection: close")
        elif self.http10:
            lines.append("Connection: keep-alive")
        if rng.random() < .1:
            lines.append("X-Big: " + "b" * rng.choice([500, 2000, 4000, 7000]))
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def body(self, rng):
        data = content("q", self.number, self.sends)
        return chunk(rng, data) if self.chunked else data


class Client:
    """One connection."""

    def __init__(self, h, rng):
        self.h, self.rng = h, rng
        self.s = None
        self.senders = []
        self.past = []  # what was asked on this connection
        self.trouble = False  # this client itself has broken the rules

    async def run(self):
        h, rng = self.h, self.rng
        sock = socket.socket()
        sock.setblocking(False)
        if rng.random() < .15:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.s = Sock(h.loop, sock)
        try:
            await h.loop.sock_connect(sock, ("127.0.0.1", h.port))
            kind = rng.random()
            if kind < .62:
                await self.talk()
            elif kind < .72:
                await self.quit_rudely()
            elif kind < .80:
                await self.babble()
            elif kind < .90:
                await self.static()
            elif kind < .96:
                await self.upgrade()
            else:
                await self.idle()
        except Broken:
            h.count("client connections broken")
        except Wrong as e:
            h.wrong(f"at a client: {e}")
        except OSError as e:
            h.wrong(f"client: {e!r}")
        finally:
            for task in self.senders:  # a socket is not closed under somebody who waits for it
                task.cancel()
            await asyncio.gather(*self.senders, return_exceptions=True)
            if rng.random() < .1:
                self.s.reset()
            self.s.close()

    def aside(self, coroutine):
        task = self.h.spawn(coroutine)
        self.senders.append(task)
        return task

    # requests that are sent whole, and answers that are read whole

    async def talk(self):
        rng = self.rng
        plans = [Plan(self.h, rng) for _ in range(rng.choice([1, 1, 2, 3, 6, 20]))]
        pipelined = len(plans) > 1 and rng.random() < .5
        if rng.random() < .15:
            self.s.pace = rng.choice([.001, .01])
            self.s.chunk = rng.choice([1000, 4096, 20000])  # the largest answer within keepalive_timeout
        if not pipelined:
            for i, plan in enumerate(plans):
                closing = i == len(plans) - 1 and rng.random() < .3
                if plan.expect:
                    alive = await self.with_expect(plan, closing)
                else:
                    sending = self.aside(self.send(plan, closing))
                    alive = await self.answer(plan, i, sending)
                if not alive:
                    return
                if await self.patient(plan, asyncio.gather(*self.senders), None) is None:
                    return  # the rest of an early answered body is taken, or the connection ends
                if rng.random() < .05:
                    await asyncio.sleep(rng.uniform(0, .3))
            return
        for plan in plans:
            plan.expect = False
        sending = self.aside(self.send_all(plans))
        for i, plan in enumerate(plans):
            if not await self.answer(plan, i, sending):
                break
        sending.cancel()

    async def send(self, plan, closing):
        rng = self.rng
        data = plan.head(rng, closing) + plan.body(rng)
        await pieces(self.s, rng, data, rng.choice([1, 1, 1, 2, 3, 5]), rng.choice([0, 0, .005]))

    async def send_all(self, plans):
        for plan in plans:
            await self.send(plan, False)

    async def with_expect(self, plan, closing):
        await self.s.send(plan.head(self.rng, closing))
        if self.rng.random() < .3:  # impatient
            await self.s.send(plan.body(self.rng))
            return await self.answer(plan, 1, None)
        raw = await self.patient(plan, self.s.until(b"\r\n\r\n"), None)
        if raw is None:
            return False
        if raw.startswith(b"HTTP/1.1 100"):
            sending = self.aside(self.s.send(plan.body(self.rng)))
            return await self.answer(plan, 1, sending)
        return await self.answer(plan, 1, None, raw)

    async def patient(self, plan, what, sending):
        """Waits for what the proxy owes.  None: the connection has ended instead."""
        try:
            return await asyncio.wait_for(what, PATIENCE)
        except asyncio.TimeoutError:
            self.h.wrong(f"hang: {plan.method} /{plan.place}/{plan.number}?{plan.q} sends={plan.sends} "
                         f"chunked={plan.chunked} expect={plan.expect} arrived={plan.arrived} buffer={self.s.buf[:80]!r}")
            raise Broken("hang") from None
        except Broken:
            return None

    async def answer(self, plan, index, sending, raw=None):
        """Reads one response and judges it.  Returns whether the connection lives on."""
        h = self.h
        try:
            return await self.judge(plan, index, sending, raw)
        finally:
            h.count("answers")
            self.past.append((plan.method, plan.place, plan.number, plan.q, plan.sends, plan.chunked, plan.expect))

    async def judge(self, plan, index, sending, raw):
        h = self.h
        while True:
            if raw is None:
                before = len(self.s.buf)
                raw = await self.patient(plan, self.s.until(b"\r\n\r\n"), sending)
                if raw is None:
                    if plan.benign and not self.trouble and before == 0:
                        h.dropped(f"no answer: {plan.method} /{plan.place}/{plan.number}?{plan.q} index={index} "
                                  f"sends={plan.sends} arrived={plan.arrived}")
                    return False
            line, fields = parse_head(raw, f"response to {plan.number}")
            m = re.fullmatch(r"HTTP/1\.1 (\d{3})(?: .*)?", line)
            if not m:
                raise Wrong(f"status line {line[:100]!r}")
            status = int(m[1])
            if status >= 200:
                break
            raw = None
        if not plan.benign:
            self.trouble = True
        how, n = framing(fields, f"response to {plan.number}")
        bodiless = plan.method == "HEAD" or status in (204, 304)
        ours = "x-id" in fields
        h.count(f"status {status}" + ("" if ours else " (made by the proxy)"))
        if ours and fields["x-id"] != [str(plan.number)]:
            raise Wrong(f"answer to {plan.number} is for {fields['x-id']}")
        if not ours and status not in (400, 408, 413, 414, 431, 500, 502, 503, 504):
            raise Wrong(f"{plan.number}: {line!r} from nowhere: {fields}")
        lost = plan.redirectable and plan.sends  # the body was not kept for a second server
        if plan.benign and not ours and status in (400, 408, 413, 414, 431, 500) and not lost:
            raise Wrong(f"{plan.method} {plan.number}: {status} without a reason: {plan.q} sends={plan.sends} "
                        f"chunked={plan.chunked} {fields} after {self.past}")
        if plan.method == "HEAD" and how == "chunked":
            how = None
        body, whole = b"", True
        if not bodiless:
            body, whole = await self.body(plan, how, n)
        close = "close" in ",".join(fields.get("connection", [])).lower() or (how is None and not bodiless)
        if ours:
            want = b"" if bodiless else content("a", plan.number, plan.size)
            if not want.startswith(body):
                raise Wrong(f"{plan.number}: bytes that are not its own, {len(body)} of {len(want)}: {plan.q}")
            if whole and len(body) != len(want) and (how is not None or plan.benign and not plan.http10):
                raise Wrong(f"{plan.number}: ends cleanly after {len(body)} of {len(want)} ({how} {n}): {plan.q}")
            if not whole and plan.benign:
                h.dropped(f"cut short after {len(body)} of {len(want)}: {plan.method} {plan.number} {plan.q} "
                          f"/{plan.place} sends={plan.sends}")
        return whole and not close

    async def body(self, plan, how, n):
        """(what came, whether that was all)."""
        s = self.s
        if how == "length":
            data = await self.patient(plan, s.take(n), None)
            return (data, True) if data is not None else (s.buf[:n], False)
        if how == "chunked":
            data = await self.patient(plan, s.chunked(), None)
            return (data, True) if data is not None else (b"", False)
        await self.patient(plan, self.rest(), None)
        return s.buf, True

    async def rest(self):
        while True:
            await self.s.more()

    # others

    async def quit_rudely(self):
        """Leaves at any moment, in any manner."""
        rng = self.rng
        plans = [Plan(self.h, rng) for _ in range(rng.choice([1, 1, 2, 4]))]
        data = b"".join(p.head(rng, False) + p.body(rng) for p in plans)
        for p in plans:
            p.benign = False
        cut = rng.choice([len(data), rng.randint(0, len(data)), rng.randint(0, min(len(data), 300))])
        await pieces(self.s, rng, data[:cut], rng.choice([1, 2, 4]), rng.choice([0, .01]))
        how = rng.random()
        if how < .3:
            self.s.shut()
            try:
                await asyncio.wait_for(self.rest(), PATIENCE)
            except asyncio.TimeoutError:
                self.h.wrong(f"hang after a half-close: {[(p.method, p.place, p.number, p.q, p.sends) for p in plans]} "
                             f"cut {cut} of {len(data)}")
            return
        if how < .6:
            try:
                await asyncio.wait_for(self.s.more(), rng.choice([.001, .05, .5]))
            except asyncio.TimeoutError:
                pass
        if how > .8:
            self.s.reset()

    async def babble(self):
        """Nothing that makes sense."""
        rng = self.rng
        good = b"GET /a/0?s=1 HTTP/1.1\r\nHost: h\r\nX-Id: 0\r\n\r\n"
        data = rng.choice([
            rng.randbytes(rng.choice([1, 10, 1000, 40000])), b"\r\n" * rng.randint(1, 3000), b"GET " + b"/" * 60000,
            b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * rng.choice([50, 5000]) + b"\r\n",
            b"POST /r HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + rng.choice([b"zz\r\n", b"5\r\nabcdeXX", b"f" * 40]),
            b"POST /r HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /r HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 3000,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", good[:rng.randint(1, len(good) - 1)]])
        if rng.random() < .3:
            flip = bytearray(data[:2000])
            for _ in range(3):
                flip[rng.randrange(len(flip))] = rng.randrange(256)
            data = bytes(flip)
        await pieces(self.s, rng, data, rng.choice([1, 3]), rng.choice([0, .01]))
        if rng.random() < .5:
            try:
                await asyncio.wait_for(self.rest(), PATIENCE)
            except asyncio.TimeoutError:
                self.h.wrong(f"hang after {data[:60]!r}, got {self.s.buf[:60]!r}")

    async def static(self):
        """Files and ranges of them; return."""
        h, rng = self.h, self.rng
        for _ in range(rng.choice([1, 3, 8])):
            size = rng.choice(STATIC)
            whole = content("f", size, size)
            place = rng.choice(["s", "n"])
            fields = "Host: h\r\n"
            want, status = whole, 200
            if rng.random() < .4 and size > 1:
                first = rng.randrange(size)
                last = rng.randint(first, size * 2)
                fields += f"Range: bytes={first}-{last}\r\n"
                want, status = whole[first:last + 1], 206
            method = rng.choice(["GET", "GET", "HEAD"])
            if rng.random() < .2:
                self.s.pace, self.s.chunk = .001, 9000
            path, close = f"/{place}/f{size}", rng.random() < .1
            if rng.random() < .2:
                path, want, status, method = "/r", b"returned", 200, "GET"
                fields = "Host: h\r\n"
            if close:
                fields += "Connection: close\r\n"
            await self.s.send(f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode())
            try:
                raw = await asyncio.wait_for(self.s.until(b"\r\n\r\n"), PATIENCE)
                line, got = parse_head(raw, "static")
                how, n = framing(got, "static")
                if f" {status} " not in line or how != "length" or n != len(want):
                    raise Wrong(f"{method} {path} {fields!r}: {raw!r}")
                if method == "GET" and await asyncio.wait_for(self.s.take(n), PATIENCE) != want:
                    raise Wrong(f"{path} {fields!r}: wrong bytes")
            except asyncio.TimeoutError:
                h.wrong(f"hang: {method} {path} {fields!r}")
                return
            except Broken as e:
                h.dropped(f"{method} {path} {fields!r}: {e}")
                return
            h.count("static answers")
            if close or "close" in got.get("connection", [""])[0]:
                return

    async def upgrade(self):
        h, rng = self.h, self.rng
        plan = Plan(h, rng)
        plan.method, plan.place, plan.sends, plan.q, plan.benign = "GET", "t", 0, {"tunnel": 1}, True
        await self.s.send(b"GET /t/%d?tunnel=1 HTTP/1.1\r\nHost: h\r\nX-Id: %d\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"
                          % (plan.number, plan.number))
        raw = await self.patient(plan, self.s.until(b"\r\n\r\n"), None)
        if raw is None or not raw.startswith(b"HTTP/1.1 101"):
            h.count("upgrades refused")
            return
        for _ in range(rng.randint(1, 4)):
            data = content("t", rng.random(), rng.choice(SIZES))
            sending = self.aside(self.s.send(data))
            got = await self.patient(plan, self.s.take(len(data)), sending)
            await asyncio.gather(sending, return_exceptions=True)
            if got is None:
                h.dropped(f"tunnel {plan.number} ended")
                return
            if got != data:
                raise Wrong(f"tunnel {plan.number}: {len(data)} bytes came back changed")
            h.count("tunnelled")
        if rng.random() < .3:
            self.s.shut()
            await self.patient(plan, self.rest(), None)

    async def idle(self):
        """Connects and waits, with or without having asked something."""
        rng = self.rng
        if rng.random() < .7:
            plan = Plan(self.h, rng)
            if plan.expect or not await self.answer(plan, 0, self.aside(self.send(plan, False))):
                return
        try:
            await asyncio.wait_for(self.s.more(), rng.uniform(0, 8))
            raise Wrong(f"unasked: {self.s.buf[:100]!r}")
        except asyncio.TimeoutError:
            pass


# ---- remora ----

CONF = """
worker_processes {workers}; daemon off; pid {dir}/pid; error_log {dir}/error.log {level};
worker_rlimit_nofile 8192;
worker_shutdown_timeout 20s;
events {{ worker_connections 4096; }}
admin {{ listen unix:{dir}/admin.sock; write on; }}
http {{
    access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    client_header_buffer_size 1k; large_client_header_buffers 4 8k; client_max_body_size 1m; client_body_buffer_size 1k;
    client_header_timeout 6s; client_body_timeout 6s; send_timeout 6s; keepalive_timeout 9s; keepalive_requests 50;
    lingering_time 3s; lingering_timeout 1s;
    proxy_next_upstream_tries 4; proxy_connect_timeout 2s; proxy_send_timeout 2s; proxy_read_timeout 2s;
    proxy_buffers 4 4k; proxy_buffer_size 8k; proxy_busy_buffers_size 8k;
    upstream one {{ zone one; keepalive 3; keepalive_timeout 2s; {servers} }}
    upstream two {{ zone two; keepalive 32; keepalive_requests 7; keepalive_timeout 2s; {two} }}
    upstream three {{ keepalive 8; keepalive_timeout 1s; {three} }}
    upstream four {{ server unix:{dir}/o.sock; keepalive 8; keepalive_timeout 2s; }}
    server {{
        listen 127.0.0.1:{port};
        location /a/ {{ proxy_pass http://one; proxy_max_temp_file_size 16k; proxy_temp_file_write_size 8k; }}
        location /b/ {{ proxy_pass http://one; proxy_buffering off; }}
        location /c/ {{ proxy_pass http://two; proxy_request_buffering off; }}
        location /d/ {{ proxy_pass http://three; proxy_max_temp_file_size 0;
            proxy_next_upstream error timeout invalid_header http_500 http_503 http_404 non_idempotent; }}
        location /e/ {{ proxy_pass http://two; proxy_request_buffering off; proxy_intercept_errors on;
            error_page 404 500 502 504 = @fall; }}
        location @fall {{ proxy_pass http://one; proxy_buffering off; }}
        location /f/ {{ proxy_pass http://two; proxy_buffers 8 16k; proxy_busy_buffers_size 32k; proxy_buffer_size 16k;
            client_body_buffer_size 64k; sendfile on; proxy_http_version 1.0; }}
        location /g/ {{ proxy_pass http://four; proxy_buffering off; proxy_request_buffering off;
            postpone_output 0; }}
        location /h/ {{ proxy_pass http://three; proxy_next_upstream off; proxy_ignore_client_abort on; sendfile off;
            tcp_nopush on; }}
        location /t/ {{ proxy_pass http://two; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade; }}
        location /s/ {{ alias {dir}/files/; sendfile on; sendfile_max_chunk 50k; tcp_nopush on; }}
        location /n/ {{ alias {dir}/files/; sendfile off; }}
        location /r {{ return 200 "returned"; }}
    }}
}}
"""


class Hammer:
    def __init__(self, a):
        self.a = a
        self.rng = random.Random(a.seed)
        self.number = 0
        self.plans = {}
        self.counts = {}
        self.problems, self.drops = [], []
        self.origin_open = {}  # connection: the last request line
        self.tasks = set()
        self.going = True
        self.dir = tempfile.mkdtemp(prefix="hammer-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.origins = [("127.0.0.1", free_port()) for _ in range(5)]
        self.dead = free_port()  # nobody listens there, nor may anybody else
        self.grave = socket.socket()
        self.grave.bind(("127.0.0.1", self.dead))

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def wrong(self, text):
        self.problems.append(text)
        if len(self.problems) < 20:
            print("  WRONG:", text[:1500], flush=True)

    def dropped(self, text):
        """An answer that is owed and did not come whole."""
        self.drops.append(text)
        if len(self.drops) < 10:
            print("  dropped:", text[:400], flush=True)

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # what breaks a sender, its reader sees
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # the proxy

    def start(self):
        os.mkdir(self.dir + "/files")
        os.mkdir(self.dir + "/body", 0o777)
        os.mkdir(self.dir + "/proxy", 0o777)
        for d in ("body", "proxy"):
            os.chmod(f"{self.dir}/{d}", 0o777)
        for size in STATIC:
            with open(f"{self.dir}/files/f{size}", "wb") as f:
                f.write(content("f", size, size))
        server = lambda o, more="": f"server {o[0]}:{o[1]}{more};"
        o = self.origins
        text = CONF.format(
            level=self.a.level, workers=self.a.workers, dir=self.dir, port=self.port,
            servers="".join(server(x, " max_fails=0") for x in o[:4]),
            two=server(o[1], " weight=3 max_fails=0") + server(o[2], " max_fails=0") + server(o[4], " backup"),
            three=server(o[0], " max_fails=3 fail_timeout=1s") + server(o[3], " max_fails=0 max_conns=200")
            + server(("127.0.0.1", self.dead), " max_fails=1 fail_timeout=1s"))
        with open(self.dir + "/conf", "w") as f:
            f.write(text)
        binary = os.environ.get("REMORA", ROOT + "/build/remora")
        self.proc = subprocess.Popen([binary, "-p", self.dir + "/", "-c", self.dir + "/conf"],
                                     stderr=open(self.dir + "/stderr", "w"))
        end = time.time() + 30
        while not os.path.exists(self.dir + "/pid"):
            if self.proc.poll() is not None or time.time() > end:
                raise SystemExit("did not start: " + self.log())
            time.sleep(.02)
        self.master = self.proc.pid

    def log(self):
        text = ""
        for name in ("stderr", "error.log"):
            try:
                with open(f"{self.dir}/{name}", errors="replace") as f:
                    text += f.read()
            except OSError:
                pass
        return text

    async def api(self, method, target, data=None):
        reader, writer = await asyncio.open_unix_connection(self.dir + "/admin.sock")
        body = json.dumps(data).encode() if data is not None else b""
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        raw = await asyncio.wait_for(reader.read(), 15)
        writer.close()
        head, _, rest = raw.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest.decode()

    async def meddle(self):
        """Swaps and downs servers, and reloads."""
        rng, last = random.Random(f"{self.a.seed}meddle"), time.time()
        while self.going:
            await asyncio.sleep(rng.uniform(.01, .15))
            try:
                name = rng.choice(["one", "two"])
                if rng.random() < .2:
                    status, text = await self.api("GET", f"/api/9/http/upstreams/{name}/servers")
                    servers = json.loads(text)
                    one = rng.choice(servers)
                    change = rng.choice([{"down": True}, {"drain": True}, {"weight": rng.randint(1, 5)}, {"max_conns": 100}])
                    if len(servers) > 1 and sum(not s.get("down") for s in servers) > 1:
                        status, text = await self.api("PATCH", f"/api/9/http/upstreams/{name}/servers/{one['id']}", change)
                        self.count(f"PATCH {status}")
                else:
                    chosen = rng.sample(self.origins, rng.randint(1, len(self.origins)))
                    body = [{"server": "%s:%d" % c, "max_fails": 0} for c in chosen]
                    if rng.random() < .1:
                        body.append({"server": f"127.0.0.1:{self.dead}", "max_fails": 1})
                    status, text = await self.api("PUT", f"/v1/http/upstreams/{name}/servers", body)
                    self.count(f"PUT {status}")
                    if status != 200:
                        self.wrong(f"PUT: {status} {text[:300]}")
            except (OSError, asyncio.TimeoutError, IndexError, ValueError) as e:
                self.count(f"API failed: {type(e).__name__}")  # the agent is changed at a reload
            if time.time() - last > self.a.reload and self.a.reload and not os.path.exists(self.dir + "/pid.oldbin"):
                last = time.time()
                os.kill(self.master, signal.SIGHUP)
                self.count("HUP")

    async def upgrades(self):
        rng = random.Random(f"{self.a.seed}upgrade")
        while self.going and self.a.upgrade:
            await asyncio.sleep(self.a.upgrade)
            await self.upgrade(rng.random() < .3)

    async def upgrade(self, back):
        """To the binary that lies there now, and `back` from it."""
        old = self.master
        os.kill(old, signal.SIGUSR2)
        try:
            async with asyncio.timeout(PATIENCE):
                while (new := self.pid()) in (None, old) or len(self.children(new)) <= self.a.workers:
                    await asyncio.sleep(.02)
                os.kill(new if back else old, signal.SIGQUIT)
                while os.path.exists(self.dir + "/pid.oldbin"):
                    await asyncio.sleep(.02)
        except TimeoutError:
            self.wrong(f"no upgrade: pid {self.pid()}, children {self.children(self.pid() or old)}")
            return
        self.master = old if back else new
        self.count("upgraded, and back" if back else "upgraded")

    def pid(self):
        try:
            with open(self.dir + "/pid") as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def ended(self):
        return self.proc.poll() is not None and not os.path.exists(f"/proc/{self.master}")

    # the course of things

    async def load(self):
        end, slots, started = time.time() + self.a.seconds, set(), time.time()
        shown, i = time.time(), 0
        while time.time() < end and len(self.problems) < 20:
            while len(slots) < self.a.clients:
                i += 1
                task = self.spawn(Client(self, random.Random(f"{self.a.seed}c{i}")).run())
                slots.add(task)
                task.add_done_callback(slots.discard)
            await asyncio.wait(slots, timeout=.2, return_when=asyncio.FIRST_COMPLETED)
            if time.time() - shown > 5:
                shown = time.time()
                print(f"  {time.time() - started:.0f} s: {i} connections, {self.counts.get('answers', 0)} answers, "
                      f"{self.counts.get('origin requests', 0)} at the origin, {len(self.problems)} wrong, "
                      f"{len(self.drops)} dropped", flush=True)
        if slots:
            _, late = await asyncio.wait(slots, timeout=PATIENCE * 2)
            for task in late:
                task.cancel()
                self.wrong("a client did not come to an end")

    def children(self, pid=None):
        pid = pid or self.master
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                return [int(p) for p in f.read().split()]
        except OSError:
            return []

    def descriptors(self):
        """Of the workers: what they hold open, by kind."""
        held = {}
        for pid in self.children():
            try:
                if "worker" in open(f"/proc/{pid}/cmdline").read():
                    links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
                    held[pid] = sorted(re.sub(r"\[\d+\]", "", x) for x in links)
            except OSError:
                pass
        return held

    async def gauges(self):
        """Those that should be 0, and are not."""
        status, text = await self.api("GET", "/metrics")
        found = {}
        for line in text.splitlines():
            m = re.match(r"(remora_(?:connections|http_requests_in_flight|upstream_server_active_requests|"
                         r"upstream_zombies|upstream_connections_idle)(?:\{.*\})?) (\S+)$", line)
            if m and float(m[2]) != 0:
                found[m[1]] = float(m[2])
        return found

    async def settle(self, before):
        end = time.time() + 40
        while True:
            try:
                left = await self.gauges()
            except (OSError, asyncio.TimeoutError, IndexError) as e:
                left = {"metrics": str(e)}
            held = self.descriptors()
            leaked = {p: len(h) for p, h in held.items() if len(h) > before}
            if not left and not leaked and not self.origin_open and len(held) == self.a.workers:
                return
            if time.time() > end:
                self.wrong(f"afterwards: gauges {left}, descriptors {leaked} (at first {before}), workers {sorted(held)}, "
                           f"connections at the origin {list(self.origin_open.values())}; {held}")
                return
            await asyncio.sleep(.25)

    async def run(self):
        self.loop = asyncio.get_running_loop()
        self.start()
        await asyncio.sleep(.5)
        origins = [Origin(self, o) for o in self.origins] + [Origin(self, self.dir + "/o.sock")]
        for origin in origins:
            self.spawn(origin.run())
        if self.a.reload:  # what a reloaded worker holds, not the first
            os.kill(self.master, signal.SIGHUP)
            await asyncio.sleep(1)
        before = max(map(len, self.descriptors().values()))
        meddling = asyncio.gather(self.meddle(), self.upgrades())
        await self.load()
        self.going = False
        await meddling
        await asyncio.sleep(.5)
        await self.settle(before)
        os.kill(self.master, signal.SIGQUIT)
        end = time.time() + 30
        while not self.ended() and time.time() < end:
            await asyncio.sleep(.05)
        if not self.ended():
            self.wrong(f"does not stop; children {self.children()}")
        elif self.proc.returncode != 0:
            self.wrong(f"exit code {self.proc.returncode}")

    def verdict(self):
        log = self.log()
        for line in log.splitlines():
            if re.search(r"\[(alert|emerg)\]|Sanitizer|runtime error:|check failed", line):
                self.wrong(f"log: {line[:400]}")
        if len(self.drops) > self.counts.get("answers", 0) / 200 + 1:
            self.wrong(f"{len(self.drops)} answers dropped")
        if self.counts.get("status 200", 0) < 20:
            self.wrong("hardly anything got through")
        return not self.problems


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seconds", type=float, default=30)
    ap.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    ap.add_argument("--clients", type=int, default=40, help="connections at a time")
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--reload", type=float, default=1.5, help="seconds between reloads; 0: none")
    ap.add_argument("--upgrade", type=float, default=0,
                    help="seconds between binary upgrades, some of them taken back; 0: none")
    ap.add_argument("--level", default="info", help="of the error log")
    ap.add_argument("--keep", action="store_true", help="keep the directory with configuration and log")
    a = ap.parse_args()
    print(f"hammer: seed {a.seed}, {a.seconds:g} s, {a.clients} clients", flush=True)
    h = Hammer(a)
    good = False
    try:
        asyncio.run(h.run())
        good = h.verdict()
    finally:
        if getattr(h, "master", None) and not h.ended():
            for pid in {*h.children(), h.master, *([h.proc.pid] if h.proc.poll() is None else [])}:
                os.kill(pid, signal.SIGKILL)
        if not good:
            print(h.log()[-3000:])
        for name, n in sorted(h.counts.items()):
            print(f"  {name}: {n}")
        print(f"  dropped: {len(h.drops)}")
        if a.keep:
            print("  kept:", h.dir)
        else:
            shutil.rmtree(h.dir, ignore_errors=True)
        print("ok" if good else f"FAILED: {len(h.problems)} wrong (seed {a.seed})", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
