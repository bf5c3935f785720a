"""Links between pages lead somewhere."""

from __future__ import annotations

import re
from typing import Any


def test_links_lead_somewhere(page: Any) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (page.path.parent / file) if file else page.path
        assert path.exists(), target
        if anchor:
            slugs = {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
            }
            assert anchor in slugs, target
