#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of a target into a folder, for libFuzzer: seeds.py TARGET FOLDER."""
import os
import sys


def main(target, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(os.path.dirname(__file__), "seeds", target + ".txt")) as f:
        lines = [line.rstrip("\n") for line in f]
    for number, line in enumerate(line for line in lines if line and line[0] != "#"):
        with open(f"{folder}/seed-{target}-{number}", "wb") as f:
            f.write(line.encode().decode("unicode_escape").encode("latin-1"))


main(*sys.argv[1:])
