# SPDX-License-Identifier: Apache-2.0
"""Reads what /metrics answers, and holds it against the rules of its format: the Prometheus text format 0.0.4, or
OpenMetrics 1.0."""
import re

LABEL = r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(r"([a-z_]+)(?:\{(%s(?:,%s)*)\})? (-?[0-9]+(?:\.[0-9]+)?)" % (LABEL, LABEL))
UNITS = ("seconds", "bytes")


class Family:
    def __init__(self, name):
        self.name, self.help, self.kind, self.unit, self.samples = name, None, None, None, []

    def names(self, openmetrics):
        """What its samples may be called."""
        if self.kind == "histogram":
            return {self.name + end for end in ("_bucket", "_sum", "_count")}
        if openmetrics and self.kind in ("counter", "info"):
            return {self.name + {"counter": "_total", "info": "_info"}[self.kind]}
        return {self.name}


def labels_of(text):
    found = [(m[0], m[1]) for m in re.findall(LABEL, text or "")]
    assert len({name for name, _ in found}) == len(found), "label twice: " + text
    return tuple(found)


def meta(families, line):
    _, what, name, rest = (line + " ").split(" ", 3)
    rest = rest.rstrip(" ")
    if not families or families[-1].name != name:
        assert name not in [f.name for f in families], "family twice: " + name
        families.append(Family(name))
    family = families[-1]
    assert not family.samples, "behind its samples: " + line
    if what == "HELP":
        assert family.help is None and rest.endswith("."), line
        family.help = rest
    elif what == "TYPE":
        assert family.kind is None, line
        family.kind = rest
    else:
        assert what == "UNIT" and family.unit is None and name.endswith("_" + rest), line
        family.unit = rest


def check_histogram(family):
    """Buckets rise, end at +Inf, and agree with the count; nothing is missing."""
    series = {}
    for name, labels, value in family.samples:
        rest = tuple(pair for pair in labels if pair[0] != "le")
        le = dict(labels).get("le")
        assert (le is not None) == name.endswith("_bucket"), (name, labels)
        series.setdefault(rest, []).append((name[len(family.name):], le, value))
    for rest, found in series.items():
        *buckets, (total_name, _, total), (count_name, _, count) = found
        assert (total_name, count_name) == ("_sum", "_count"), (family.name, rest)
        bounds = [float(le) for _, le, _ in buckets]
        values = [value for _, _, value in buckets]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf") and len(bounds) <= 13, bounds
        assert values == sorted(values) and values[-1] == count, (family.name, rest, values, count)
        assert total >= 0


def check_family(family, openmetrics):
    kinds = {"counter", "gauge", "histogram"} | ({"info"} if openmetrics else set())
    assert family.help and family.kind in kinds, family.name
    assert family.kind != "counter" or openmetrics != family.name.endswith("_total"), family.name
    assert family.kind == "counter" or not family.name.endswith("_total"), family.name
    unit = [u for u in UNITS if re.search("_%s(_total)?$" % u, family.name)]
    assert family.unit == (unit[0] if unit and openmetrics else None), family.name
    if family.kind == "histogram":
        check_histogram(family)
    elif family.kind == "counter":
        assert all(value >= 0 for _, _, value in family.samples), family.name


def parse_families(text, openmetrics=False):
    families, seen = [], set()
    assert text.endswith("\n") or (text == "" and not openmetrics)
    lines = text.split("\n")[:-1]
    if openmetrics:
        assert lines.pop() == "# EOF"
    for line in lines:
        if line.startswith("# "):
            meta(families, line)
            continue
        match = SAMPLE.fullmatch(line)
        assert match, "not a sample: " + line
        family, labels = families[-1], labels_of(match[2])
        assert match[1] in family.names(openmetrics), "outside of its family: " + line
        assert (match[1], tuple(sorted(labels))) not in seen, "series twice: " + line
        seen.add((match[1], tuple(sorted(labels))))
        family.samples.append((match[1], labels, float(line.rsplit(" ", 1)[1])))
    for family in families:
        check_family(family, openmetrics)
    return families


def parse(text, openmetrics=False):
    """{(name, ((label, value), ...)): number}"""
    return {(name, labels): value for family in parse_families(text, openmetrics)
            for name, labels, value in family.samples}
