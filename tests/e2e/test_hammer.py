# SPDX-License-Identifier: Apache-2.0
"""A short run of tests/chaos/hammer.py; the long ones, with seeds of chance, are started by hand."""
import os
import subprocess
import sys

HAMMER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "chaos", "hammer.py")


def test_hammer():
    p = subprocess.run([sys.executable, HAMMER, "--seconds", "8", "--seed", "20", "--clients", "25", "--upgrade", "2"],
                       capture_output=True, text=True, errors="replace", timeout=240)
    assert p.returncode == 0, (p.stdout + p.stderr)[-12000:]
