# SPDX-License-Identifier: Apache-2.0
"""What remora's configuration language knows, read from the directive tables in the source.

The preprocessor expands the tables' macros, so that an entry is a list of expressions; contexts and counts of
arguments are sums of enumerators, which are evaluated.  `all_directives()` gives {name: [Directive, ...]}: one name may
stand in several tables, for several contexts.  tests/directives.txt says what becomes of each, and proxy/DIRECTIVES.md
is made from both: `directive_tables.py --write`; without arguments the names and contexts are printed.
"""
import functools
import glob
import os
import re
import subprocess
import sys
from dataclasses import dataclass

from conftest import ROOT

TABLE = re.compile(r"\bconst struct rem_directive (\w+)\[\] = \{")
POSITIONAL = ("name", "contexts", "args", "set", "level", "offset", "data")
BLOCKS = {  # what a directive may stand in, in the order in which a page names it
    "MAIN": "main", "EVENTS": "events", "ADMIN": "admin", "HTTP": "http", "SERVER": "server", "LOCATION": "location",
    "SERVER_IF": "server if", "LOCATION_IF": "location if", "LIMIT_EXCEPT": "limit_except", "UPSTREAM": "upstream"}


@dataclass(frozen=True)
class Directive:
    name: str
    file: str
    contexts: tuple  # of the values of BLOCKS
    args: frozenset  # of enumerators: what is common to several is spelt out
    setter: str


def preprocessed(path):
    command = [os.environ.get("CC", "cc"), "-E", "-P", "-D_GNU_SOURCE", "-I", ROOT, path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def split(text):
    """The comma-separated parts of what is between two braces."""
    parts, depth, start, quoted = [], 0, 0, False
    for i, c in enumerate(text):
        if c == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif c in "{(":
            depth += 1
        elif c in "})":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [p for p in parts + [text[start:].strip()] if p]


def inside(text, start):
    """What is between the brace that ends at `start` and its partner."""
    depth = 1
    for m in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}]', text[start:]):
        depth += {"{": 1, "}": -1}.get(m[0], 0)
        if depth == 0:
            return text[start:start + m.start()]
    raise ValueError("no end of a table")


def number(expression, names):
    expression = re.sub(r"(?<=\d)[uUlL]+\b", "", expression)
    return eval(expression, {"__builtins__": {}}, names)  # an expression of integers out of our own source


def enumerators(text):
    """Those of the enums whose values are plain; others never stand in a table."""
    names = {}
    for body in re.findall(r"\benum(?: \w+)? \{([^{}]*)\}", text):
        value = -1
        for item in split(body):
            name, _, expression = (p.strip() for p in item.partition("="))
            try:
                value = number(expression, names) if expression else value + 1
            except (NameError, SyntaxError, TypeError, ValueError):
                break
            names[name] = value
    return names


def entry(text):
    fields = {}
    for place, part in enumerate(split(text)):
        m = re.match(r"\.(\w+) = ", part)
        fields[m[1] if m else POSITIONAL[place]] = part[m.end():] if m else part
    return fields


def bits(value, names, prefix):
    return [n[len(prefix):] for n, v in names.items() if n.startswith(prefix) and v & value == v and v & (v - 1) == 0]


def tables_of(path):
    text = preprocessed(path)
    names = enumerators(text)
    found = []
    for table in TABLE.finditer(text):
        entries = [entry(raw[1:-1].strip().rstrip(",")) for raw in split(inside(text, table.end()))]
        assert '"' not in entries.pop()["name"], f"{path}: a table without an end"
        for fields in entries:
            name = re.search(r'"(\w+)"', fields["name"])
            assert name, f"{path}: {fields}"
            contexts = bits(number(fields["contexts"], names), names, "REM_CTX_")
            found.append(Directive(
                name[1], os.path.relpath(path, ROOT), tuple(v for k, v in BLOCKS.items() if k in contexts),
                frozenset(bits(number(fields["args"], names), names, "REM_ARGS_")), fields["set"].strip("()& ")))
    return found


@functools.lru_cache(maxsize=1)
def all_directives():
    known = {}
    for path in sorted(glob.glob(ROOT + "/proxy/**/*.c", recursive=True)):
        with open(path) as f:
            tables = len(re.findall(r"^(?:static )?const struct rem_directive \w+\[\] = \{", f.read(), re.M))
        if not tables:
            continue
        found = tables_of(path)
        assert found, f"{path}: a table that gives nothing"
        for directive in found:
            known.setdefault(directive.name, []).append(directive)
    return known


# ---- the list of what becomes of each ----

LIST = ROOT + "/tests/directives.txt"
PAGE = ROOT + "/proxy/DIRECTIVES.md"


def accepted():
    """{name: contexts}: a name that means another thing in a block of its own has the block behind it."""
    known = {}
    for name, places in all_directives().items():
        for place in places:
            alone = len(places) > 1 and len(place.contexts) == 1 and place.contexts[0] in ("upstream", "admin")
            known.setdefault(f"{name} ({place.contexts[0]})" if alone else name, []).extend(place.contexts)
    return {name: [c for c in BLOCKS.values() if c in contexts] for name, contexts in known.items()}


@dataclass
class Entry:
    group: str
    name: str
    default: str
    state: str  # implemented, warned
    how: str  # a test; arguments
    remark: str

    @property
    def directive(self):
        return self.name.split()[0]


def read_list():
    entries, group = [], None
    with open(LIST) as f:
        for line in f:
            line = line.strip()
            if line.startswith("["):
                group = line[1:-1]
            elif line and not line.startswith("#"):
                name, default, state, remark = (p.strip() for p in line.split("|"))
                state, _, how = state.partition(": ")
                assert state in ("implemented", "warned") and how, line
                entries.append(Entry(group, name, default, state, how, remark))
    return entries


LETTERS = {"main": "M", "events": "E", "admin": "A", "http": "H", "server": "S", "location": "L", "server if": "Si",
           "location if": "Li", "limit_except": "X", "upstream": "U"}


def page():
    """The page as it should be: its introduction and its last chapter as they are, the tables from the list."""
    with open(PAGE) as f:
        text = f.read()
    contexts = accepted()
    entries = read_list()
    lines = [text[:text.index("\n## ")].rstrip() + "\n"]
    for group in dict.fromkeys(e.group for e in entries):
        here = [e for e in entries if e.group == group]
        lines += [f"## {group}", "", "| directive | contexts | default | remarks |", "|---|---|---|---|"]
        for e in here:
            if e.state == "implemented":
                default = f"`{e.default}`" if e.default else ""
                where = " ".join(LETTERS[c] for c in contexts[e.name])
                lines.append(f"| `{e.directive}` | {where} | {default} | {e.remark} |")
        dead = [e for e in here if e.state == "warned"]
        if dead:
            lines += ["", "Without effect:", ""]
            lines += [f"- `{e.directive}{' ' + e.how if e.how in ('on', 'off') and e.default else ''}`"
                      + (f": {e.remark}" if e.remark else "") for e in dead]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n" + text[text.index("\n## What differs"):]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        text = page()
        with open(PAGE, "w") as f:
            f.write(text)
    else:
        for name, contexts in sorted(accepted().items()):
            print(f"{name:34} {', '.join(contexts)}")
