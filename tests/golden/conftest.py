"""Lets the tests here import what lies beside them, and stops early when nothing is built."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
