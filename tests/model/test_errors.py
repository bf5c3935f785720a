"""What the kubelet puts into a pod's event: one line of at most 200 characters, whatever the error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dracore import errors
from dracore.errors import EVENT_LIMIT, DracoreError

KINDS: list[Any] = sorted(
    (v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, DracoreError)),
    key=lambda kind: str(kind.__name__),
)
TEXT = st.text(max_size=400) | st.text("abc/ ", min_size=150, max_size=400)


def test_there_are_many() -> None:
    assert len(KINDS) > 25


@given(st.sampled_from(KINDS), TEXT, st.none() | TEXT, st.none() | TEXT)
def test_one_short_line(kind: Any, what: str, where: str | None, fix: str | None) -> None:
    text = kind(what, where=where, fix=fix).for_event("default")
    assert len(text) <= EVENT_LIMIT
    assert len(text.splitlines()) <= 1
    assert text.isprintable()


@given(st.sampled_from(KINDS), st.integers(0, 3000), st.integers(0, 3000))
def test_what_happened_where_why_and_what_to_do_outlive_long_names(kind: Any, path: int, name: int) -> None:
    error = kind(
        f"device gpu-0 is taken: {'n' * name} is prepared: the cause",
        where=f"/{'p' * path}/journal.db",
        fix="ask for another",
    )
    text = error.for_event()
    assert len(text) <= EVENT_LIMIT
    for part in ("journal.db: ", "device gpu-0 is taken", "the cause; ask for another"):
        assert part in text


@given(st.text("abc-", min_size=1, max_size=63), st.sampled_from(["/", "/namespaces/{}/", " {}/web-0 "]))
def test_what_is_short_enough_is_left_as_it_is(what: str, end: str) -> None:
    assert DracoreError(what + end, fix="x").for_event() == f"{' '.join((what + end).split())}; x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claim team-a/web is taken", "claim web is taken"),
        ("GET /api/v1/namespaces/team-a/pods/x: 500", "GET /api/v1/namespaces/pods/x: 500"),
        ('pods "x" is forbidden in the namespace "team-a"', 'pods "x" is forbidden'),
        ("pod web in namespace team-a uses it", "pod web uses it"),
        ("used by team-a/web-0, team-a/web-1", "used by web-0, web-1"),
        ("my-team-a/x and team-abc stay", "my-team-a/x and team-abc stay"),
    ],
)
def test_no_namespace(text: str, said: str) -> None:
    assert DracoreError(text).for_event("team-a") == said
