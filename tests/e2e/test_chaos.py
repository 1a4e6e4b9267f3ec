# SPDX-License-Identifier: Apache-2.0
"""Short runs of tests/chaos; the long ones are started by hand."""
import os
import subprocess
import sys

import pytest

CHAOS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "chaos", "chaos.py")


@pytest.mark.parametrize("scenario", ["swap", "kill", "reload", "storm", "upgrade", "stall", "full"])
def test_chaos(scenario):
    p = subprocess.run([sys.executable, CHAOS, scenario, "--seconds", "8", "--workers", "2"],
                       capture_output=True, text=True, timeout=180)
    assert p.returncode == 0, p.stdout + p.stderr


@pytest.mark.parametrize("whom", ["agent", "group"])
def test_power_cut(whom):
    p = subprocess.run([sys.executable, os.path.join(os.path.dirname(CHAOS), "powercut.py"), whom, "--kills", "15"],
                       capture_output=True, text=True, timeout=180)
    assert p.returncode == 0, p.stdout + p.stderr
