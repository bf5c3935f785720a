import pytest

from dracore import Semver


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ("580.95.05", "580.95.5"),
        ("8.0", "8.0.0"),
        ("13", "13.0.0"),
        ("v1.2.3", "1.2.3"),
        ("570.133.20", "570.133.20"),
    ],
)
def test_versions_as_drivers_print_them_become_strict(text: str, strict: str) -> None:
    assert str(Semver.coerce(text)) == strict


@pytest.mark.parametrize("text", ["1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "", "1.2.3.4", "1.2.3+"])
def test_strict_parsing_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a semantic version"):
        Semver.parse(text)


def test_order_of_semver_2_0_0() -> None:
    order = [
        "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
        "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.10.0", "2.0.0",
    ]  # fmt: skip
    assert [str(v) for v in sorted(map(Semver.parse, reversed(order)))] == order


def test_build_metadata_is_ignored_in_equality_and_kept_in_text() -> None:
    assert Semver.parse("1.2.3+a") == Semver.parse("1.2.3+b")
    assert str(Semver.parse("1.2.3-rc.1+a")) == "1.2.3-rc.1+a"
