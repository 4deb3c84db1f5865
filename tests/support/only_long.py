"""Tests that take minutes or hours: they are cases of `tests/run long`, and of no other run.

A shorter run collects them all the same, so that it can say how many it left out and which (tests/support/run.py).
"""

import os

import pytest

IS_LONG = os.environ.get("NOONMARK_LONG") == "1"
REASON = "only in tests/run long"

long_only = pytest.mark.skipif(not IS_LONG, reason=REASON)
