# SPDX-License-Identifier: Apache-2.0
"""What the admin API makes of sets that came from the configuration."""


def test_an_address_that_the_configuration_lists_twice(remora):
    """What the file may do, the API keeps; it does not add to it."""
    r = remora("http { upstream u { zone u; server 127.0.0.1:8001; server 127.0.0.1:8001 weight=2; } }")
    base = "/api/9/http/upstreams/u/servers"
    assert [s["id"] for s in r.admin("GET", base).json] == [0, 1]
    assert r.admin("PATCH", base + "/1", {"weight": 5}).status == 200
    assert r.admin("POST", base, {"server": "127.0.0.1:8002"}).status == 201
    again = r.admin("POST", base, {"server": "127.0.0.1:8001"})
    assert (again.status, again.json["error"]["code"]) == (409, "EntryExists")
    assert r.admin("DELETE", base + "/0").status == 200
    assert [(s["id"], s["weight"]) for s in r.admin("GET", base).json] == [(1, 5), (2, 1)]
