#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""api/openapi.json, which the program serves, is api/openapi.yaml in other words.

  tests/openapi.py           check that it is, exit 1 if not
  tests/openapi.py --write   write it (needs python3-yaml)

The build takes the JSON as it lies there, so that a fresh machine needs no Python for it.
"""
import json
import os
import sys

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE, TARGET = ROOT + "/api/openapi.yaml", ROOT + "/api/openapi.json"


def converted():
    with open(SOURCE, encoding="utf-8") as f:
        return json.dumps(yaml.safe_load(f), separators=(",", ":")) + "\n"


def main():
    text = converted()
    if "--write" in sys.argv:
        with open(TARGET, "w", encoding="utf-8") as f:
            f.write(text)
        return 0
    with open(TARGET, encoding="utf-8") as f:
        if f.read() == text:
            return 0
    print("api/openapi.json is not what api/openapi.yaml says; run tests/openapi.py --write", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
