"""The checker, and the cases that are also put to the oracle and to the real scheduler."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "oracle" / "allocator"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
