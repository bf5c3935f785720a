"""Common edits in the journal: once for all claims that have them, and gone when nobody does."""

import pytest

from dracore.cdi import Spec
from dracore.model.claim import ClaimRef
from dracore.prepare import Journal, recording, records


@pytest.fixture
def journal(tmp_path):
    journal = Journal.open(tmp_path)
    yield journal
    journal.close()


def keep(journal, uid, *specs):
    record = records.Record(ClaimRef(uid, "default", uid), "preparing", 0, "digest", "boot")
    content = {f"{uid}-{number}.json": spec for number, spec in enumerate(specs)}
    journal.write("x", lambda tx: recording.at_once(tx, record, (), content))
    return content


def texts(journal):
    return {row[0] for row in journal.read(lambda tx: tx.rows("SELECT content FROM texts"))}


def test_what_was_kept_comes_back_whole(journal):
    specs = (Spec('{"a":1}\n', '{"env":["A=1"]}'), Spec('{"b":1}\n'), Spec('{"c":1}\n', '{"env":["A=1"]}'))
    content = keep(journal, "c1", *specs)
    assert journal.read(lambda tx: records.specs(tx, "c1")) == content
    assert sorted(journal.read(lambda tx: records.spec_names(tx, "c1"))) == sorted(content)
    assert texts(journal) == {'{"env":["A=1"]}'}


def test_texts_that_no_claim_has_go_when_another_one_comes(journal):
    keep(journal, "old", Spec("{}\n", "driver 1"))
    keep(journal, "other", Spec("{}\n", "driver 2"))
    assert texts(journal) == {"driver 1", "driver 2"}
    journal.write("x", lambda tx: recording.forget(tx, "old"))
    content = keep(journal, "new", Spec("{}\n", "driver 3"))
    assert texts(journal) == {"driver 2", "driver 3"}
    assert journal.read(lambda tx: records.specs(tx, "new")) == content
