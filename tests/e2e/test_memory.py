"""Memory does not grow with the number of pages. CRAWL_TEST_PAGES sets the size: 20 000, or 200 000 for the full run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = int(os.environ.get("CRAWL_TEST_PAGES", "20000"))
GROWTH = 1.15


@pytest.mark.slow
def test_memory_at_the_end_is_what_it_was_early_on() -> None:
    # The full run compares with 20 000 pages; a small one, where caches still fill, with its own second half.
    reference = 20_000 if PAGES > 20_000 else PAGES // 2
    command = [sys.executable, str(ROOT / "benchmarks" / "memory.py"), "--pages", str(PAGES), "--reference", str(reference), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ratio"] <= GROWTH, found
