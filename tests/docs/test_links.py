"""Links between pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
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


def test_every_page_can_be_reached_from_the_readme(docs: Any) -> None:
    reached: set[Path] = set()
    todo = [docs.root / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
            todo += [page.parent / link for link in links if "://" not in link]
    assert {page.path for page in docs.all()} <= reached
