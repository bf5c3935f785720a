"""The cases that are also put to the oracle and to the real scheduler, and its answers."""

from __future__ import annotations

import sys
from pathlib import Path

ORACLE = Path(__file__).resolve().parent.parent / "oracle" / "allocator"
if str(ORACLE) not in sys.path:
    sys.path.insert(0, str(ORACLE))
