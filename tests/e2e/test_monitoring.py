# SPDX-License-Identifier: Apache-2.0
"""deploy/alerts and deploy/grafana: right by promtool's account, and about metrics that there are."""
import json
import os
import re
import subprocess

import pytest

import exposition
from conftest import ROOT, ok
from test_metrics import BUSY, Own

RULES = os.path.join(ROOT, "deploy/alerts/remora.rules.yaml")
RULES_TEST = os.path.join(ROOT, "tests/data/remora.rules.test.yaml")
DASHBOARD = os.path.join(ROOT, "deploy/grafana/remora.json")


def promtool(*args):
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dashboard():
    with open(DASHBOARD) as f:
        return json.load(f)


@pytest.fixture(scope="module")
def emitted():
    """{sample's name: the labels it can have}, of an instance that shows all there is."""
    import conftest

    server = conftest.Backend(ok(b"fine"))
    text = BUSY % {"series": 2000, "server": server.addr}
    text = text.replace("access_log off;", "access_log off; resolver 127.0.0.1:1 status_zone=names;", 1)
    remora = Own(text)
    try:
        body = remora.get("/metrics?detail=server").body.decode()
    finally:
        remora.stop()
        server.stop()
    labels = {}
    for family in exposition.parse_families(body):
        for name in family.names(False):
            labels[name] = set()
        for name, found, _ in family.samples:
            labels[name] |= {label for label, _ in found}
    # whose labels show only when something has happened
    labels["remora_upstream_server_health_checks_total"] |= {"upstream", "server", "result"}
    labels["remora_upstream_server_latency_ewma_seconds"] |= {"upstream", "server"}
    labels["remora_admin_requests_total"] |= {"method", "endpoint", "code"}
    labels["remora_admin_request_duration_seconds_bucket"] |= {"method", "endpoint", "le"}
    return labels


def rules():
    """[(alert's name, its expression)]"""
    with open(RULES) as f:
        text = f.read()
    found = []
    for part in text.split("- alert: ")[1:]:
        body = part[part.index("expr:") + 5:]
        found.append((part.split("\n")[0], re.split(r"\n +(?:for|labels):", body)[0].lstrip(" |")))
    return found


def expressions(dashboard):
    found = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", ())]
    found += [a["expr"] for a in dashboard["annotations"]["list"]]
    found += [re.sub(r"^label_values\((.*), *\w+\)$", r"\1", v["query"]["query"])
              for v in dashboard["templating"]["list"] if v["type"] == "query"]
    return found


def check_expression(expr, emitted):
    """Metrics and labels of selectors are ones we emit; labels to sum by are ones of some metric in the expression."""
    names = re.findall(r"\b((?:remora|process)_[a-z_]+)", expr)
    assert names, expr
    known = {"job", "instance"}
    for name in names:
        assert name in emitted, name + " in " + expr
        known |= emitted[name]
    for name, selector in re.findall(r"\b((?:remora|process)_[a-z_]+)\{([^}]*)\}", expr):
        for label in re.findall(r'([a-z_]+) *(?:=~|!~|!=|=) *"', selector):
            assert label in emitted[name] | {"job", "instance"}, "%s of %s in %s" % (label, name, expr)
    for group in re.findall(r"\b(?:by|on|ignoring|without|group_right|group_left) \(([^)]*)\)", expr):
        assert {label.strip() for label in group.split(",") if label.strip()} <= known, expr


def test_alerts(emitted):
    promtool("check", "rules", RULES)
    assert len(rules()) >= 15
    for _, expr in rules():
        check_expression(expr, emitted)


def test_alerts_fire():
    promtool("test", "rules", RULES_TEST)
    with open(RULES_TEST) as f:
        tested = set(re.findall(r'alertname="(\w+)"', f.read()))
    assert tested == {name for name, _ in rules()}


def test_dashboard_asks_for_what_there_is(dashboard, emitted):
    used = set()
    for expr in expressions(dashboard):
        check_expression(expr, emitted)
        used |= set(re.findall(r"\b((?:remora|process)_[a-z_]+)", expr))
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in used}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in emitted}
    unused = {name for name in families - shown if name.startswith("remora_")}
    assert unused <= {"remora_config_last_reload_timestamp_seconds", "remora_http_location_requests_discarded_total",
                      "remora_http_location_received_bytes_total", "remora_http_location_sent_bytes_total"}


def test_dashboard_is_promql(dashboard, tmp_path):
    text = "groups:\n- name: dashboard\n  rules:\n"
    for i, expr in enumerate(expressions(dashboard)):
        expr = expr.replace("$__rate_interval", "5m")
        expr = re.sub(r"\$(job|instance|zone|upstream)\b", ".*", expr)
        assert "$" not in expr, expr
        text += "  - record: panel:%d\n    expr: %s\n" % (i, json.dumps(expr))
    path = tmp_path / "dashboard.yaml"
    path.write_text(text)
    promtool("check", "rules", str(path))


def test_dashboard_layout(dashboard):
    ids = [p["id"] for p in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
        refs = [t["refId"] for t in panel.get("targets", ())]
        assert len(refs) == len(set(refs))
