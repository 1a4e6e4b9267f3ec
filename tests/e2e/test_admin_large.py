# SPDX-License-Identifier: Apache-2.0
"""Very large sets behind the admin API: what there is to read of them, and what that costs everybody else."""
import pytest

COUNT = 10000
CONF = """
worker_processes 1;
http {
    upstream big { zone big; server 127.0.0.1:1; }
    upstream small { zone small; server 127.0.0.1:2; }
    server { listen 127.0.0.1:@PORT:web@; return 200; }
}
"""


@pytest.fixture
def big(remora):
    r = remora(CONF)
    servers = [{"server": f"127.1.{i >> 8}.{i & 255}:80", "weight": 1 + i % 5} for i in range(COUNT)]
    assert r.admin("PUT", "/v1/http/upstreams/big/servers?return=minimal", servers).status == 200
    return r


def one(r, path, name):
    """An upstream out of the list, or of the map, of them all."""
    body = r.admin("GET", path).json
    if path.startswith("/v1"):
        return next(u for u in body["upstreams"] if u["name"] == name)
    return body[name]


def test_all_views_show_the_same(big):
    want = [(s["id"], s["server"], s["weight"]) for s in big.admin("GET", "/v1/http/upstreams/big/servers").json]
    assert len(want) == COUNT
    for path, member in (("/v1/http/upstreams", "servers"), ("/api/9/http/upstreams", "peers")):
        whole = one(big, path, "big")
        assert [(s["id"], s["server"], s["weight"]) for s in whole[member]] == want, path
        alone = big.admin("GET", path + "/big").json
        alone.pop("revision", None)
        assert alone == whole, path
    shown = one(big, "/v1/overview", "big")
    assert shown["servers"] == COUNT and shown["states"] == {"up": COUNT}


def cost(r, path):
    """Nanoseconds of processor time that the agent spends on an answer."""
    def spent():
        with open(f"/proc/{agent}/schedstat") as f:
            return int(f.read().split()[0])

    agent = r.agent()
    took = []
    for _ in range(5):
        before = spent()
        assert r.admin("GET", path).status == 200
        took.append(spent() - before)
    return min(took)


def test_status_costs_little_more_than_a_list_of_the_servers(big):
    """The agent does nothing else meanwhile.  With a tree of values in between it was twenty-five times as much."""
    listed = cost(big, "/v1/http/upstreams/big/servers")
    for path in ("/v1/http/upstreams", "/api/9/http/upstreams", "/v1/overview", "/metrics"):
        assert cost(big, path) < 6 * listed, path
