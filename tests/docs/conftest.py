"""The pages as tests read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "plugins/nvidia_gpu/README.md"])


@dataclass(frozen=True)
class Page:
    """One page of Markdown."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text()

    def sections(self) -> dict[str, str]:
        """Headings to what stands below each, without blocks of code."""
        prose = re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)
        parts = re.split(r"^#+ (.+)$", prose, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    def blocks(self, language: str) -> list[str]:
        """The blocks of code of one language."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, flags=re.MULTILINE | re.DOTALL)

    def rows(self, section: str) -> list[list[str]]:
        """The cells of the tables in a section, without their heads."""
        lines = [line for line in self.sections()[section].splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        heads = {place - 1 for place, row in enumerate(cells) if set("".join(row)) == {"-"}}
        return [row for place, row in enumerate(cells) if not {place, place - 1} & heads]


class Docs:
    """All pages: those of docs/ by name, and everything together."""

    root = ROOT

    def __getitem__(self, name: str) -> Page:
        return Page(ROOT / "docs" / name)

    def all(self) -> list[Page]:
        return [Page(path) for path in PAGES]

    def everything(self) -> str:
        return "".join(page.text for page in self.all())


@pytest.fixture
def docs() -> Docs:
    return Docs()


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Page:
    return Page(request.param)
