#!/usr/bin/python3
"""Checks the shape of the tree: include arrows, stand-alone headers, folders, file sizes.

  tests/arrows.py            check, print what is wrong, exit 1 if anything is
  tests/arrows.py --headers  also compile every header alone (needs cc and pkg-config)

The arrows are those of the design: a folder may include only from the folders listed for it.
"""
import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ALLOWED = {
    "proto/base": ["proto/base"],
    "proto/wire": ["proto/base", "proto/wire"],
    "proto/shm": ["proto/base", "proto/shm"],
    "proto/dns": ["proto/base", "proto/dns"],
    "proxy/conf": ["proto/base", "proxy/conf"],
    "proxy/net": ["proto", "proxy/conf", "proxy/net"],
    "proxy/http": ["proto", "proxy/conf", "proxy/net", "proxy/http", "proxy/upstream"],
    "proxy/upstream": ["proto", "proxy/conf", "proxy/net", "proxy/http", "proxy/upstream"],
    "proxy/process": ["proto", "proxy"],
    "agent": ["proto", "api", "agent"],
    "api": ["proto", "api"],
}
TOP = {"proxy", "agent", "api", "proto", "deploy", "tests", "CMakeLists.txt", "README.md", "LICENSE"}
MAX_LINES = 600
LABEL_INSIDE = re.compile(r"^ \* \S.*[.)] [A-Z][a-z]+( [a-z]+)?:  +\S")  # the formatter has joined lines
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if out.returncode == 0:
        return [f for f in out.stdout.splitlines() if os.path.exists(os.path.join(ROOT, f))]
    found = []
    for base, dirs, files in os.walk(ROOT):
        dirs[:] = [d for d in dirs if not d.startswith((".", "build"))]
        found += [os.path.relpath(os.path.join(base, f), ROOT) for f in files]
    return found


def room(path):
    """The longest listed folder that holds the file."""
    best = None
    for folder in ALLOWED:
        if path.startswith(folder + "/") and (best is None or len(folder) > len(best)):
            best = folder
    return best


def check_file(path):
    wrong = []
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        lines = f.read().splitlines()
    if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
        wrong.append(f"{path}:1: no SPDX line")
    if len(lines) > MAX_LINES:
        wrong.append(f"{path}: {len(lines)} lines, at most {MAX_LINES}")
    here = room(path)
    for number, line in enumerate(lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            wrong.append(f"{path}:{number}: left open: {line.strip()}")
        if number < 40 and LABEL_INSIDE.match(line):
            wrong.append(f"{path}:{number}: a label of the heading is not at the beginning of its line")
        m = INCLUDE.match(line)
        if not m or here is None:
            continue
        target = m[1]
        if "/" not in target or target.startswith("."):
            wrong.append(f'{path}:{number}: include "{target}" is not from the root')
        elif not any(target.startswith(a + "/") for a in ALLOWED[here]):
            wrong.append(f'{path}:{number}: {here} may not include "{target}"')
        elif target.endswith("_priv.h") and os.path.dirname(target) != os.path.dirname(path):
            wrong.append(f'{path}:{number}: "{target}" is private to its folder')
    if path.endswith(".h"):
        guard = "REM_" + re.sub(r"^(proto|proxy)/", "", path).upper().replace("/", "_").replace(".", "_")
        if not any(line.startswith("#ifndef REM_") for line in lines):
            wrong.append(f"{path}: no include guard (such as {guard})")
    return wrong


def check_header_alone(path, flags):
    cc = subprocess.run(["cc", "-std=c17", "-fsyntax-only", "-D_GNU_SOURCE", '-DREM_VERSION="x"', "-Wall", "-Wextra",
                         "-Werror", "-I.", *flags, "-include", path, "-x", "c", "/dev/null"],
                        cwd=ROOT, capture_output=True, text=True)
    return [] if cc.returncode == 0 else [f"{path}: does not compile alone:\n{cc.stderr.strip()[:600]}"]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--headers", action="store_true", help="compile every header alone")
    a = ap.parse_args()
    files = tracked()
    wrong = []
    for top in sorted({f.split("/")[0] for f in files}):
        if top not in TOP and not top.startswith("."):
            wrong.append(f"{top}: not a folder or file of the layout")
    sources = [f for f in files if f.endswith((".c", ".h"))]
    for path in sources:
        wrong += check_file(path)
    headers = [f for f in sources if f.endswith(".h") and room(f)]
    if a.headers:
        flags = subprocess.run(["pkg-config", "--cflags", "libevent_core", "jansson", "libcrypto", "libpcre2-8"],
                               capture_output=True, text=True).stdout.split()
        for path in headers:
            wrong += check_header_alone(path, flags)
    for line in wrong:
        print(line)
    print(f"{len(sources)} sources, {len(headers)} headers: {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
