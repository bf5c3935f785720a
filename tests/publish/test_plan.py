from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dracore.publish import names
from dracore.publish.plan import make_plan


def stored(index, content, generation, count, *, of=None, tag="a"):
    name = names.prefix(index, of or count, "d", "n") + tag
    pool = {"name": "p", "generation": generation, "resourceSliceCount": count}
    return {"metadata": {"name": name}, "spec": {"pool": pool, "content": content}}


def planned(desired, objects, last=0, spent=0):
    return make_plan(len(desired), objects, lambda i, obj: obj["spec"]["content"] == desired[i], last, spent)


def summary(plan):
    return plan.generation, len(plan.delete), [index for index, _ in plan.update], list(plan.create)


def standing(contents, generation=4):
    return [stored(i, content, generation, len(contents)) for i, content in enumerate(contents)]


def test_nothing_stands():
    assert summary(planned("ab", [])) == (1, 0, [], [0, 1])


def test_all_is_well():
    assert summary(planned("ab", standing("ab"))) == (4, 0, [], [])


def test_one_change_is_one_write_at_the_same_generation():
    assert summary(planned("aX", standing("ab"))) == (4, 0, [1], [])


def test_two_changes_are_a_new_generation_in_which_everything_is_written():
    assert summary(planned("XYc", standing("abc"))) == (5, 0, [0, 1, 2], [])


def test_a_gap_is_filled_at_the_same_generation():
    assert summary(planned("abc", standing("abc")[:2])) == (4, 0, [], [2])
    assert summary(planned("abc", [], last=4)) == (4, 0, [], [0, 1, 2])


def test_no_slice_is_added_to_a_generation_that_others_may_stand_in_unseen():
    assert summary(planned("ab", [], spent=4)) == (5, 0, [], [0, 1])
    assert summary(planned("ab", standing("a", 4), spent=4)) == (5, 0, [0], [1])
    assert summary(planned("aX", standing("ab"), spent=4)) == (5, 0, [0, 1], [])
    assert summary(planned("aX", standing("ab"), spent=3)) == (4, 0, [1], [])


def test_a_gap_and_a_change_are_a_new_generation():
    assert summary(planned("Xbc", standing("abc")[:2])) == (5, 0, [0, 1], [2])


def test_more_and_fewer_slices_are_a_new_generation():
    assert summary(planned("abc", standing("ab"))) == (5, 0, [0, 1], [2])
    assert summary(planned("a", standing("ab"))) == (5, 1, [0], [])


def test_an_interrupted_rewrite_goes_on_where_it_stopped():
    objects = [stored(0, "X", 5, 3), *standing("abc")[1:]]
    assert summary(planned("XYZ", objects)) == (5, 0, [1, 2], [])


def test_names_without_an_index_and_duplicates_are_deleted_only():
    strange = stored(0, "a", 4, 2)
    strange["metadata"]["name"] = "mine"
    twin = stored(1, "b", 4, 2, tag="z")
    assert summary(planned("ab", [*standing("ab"), strange, twin])) == (4, 2, [], [])


def test_a_foreign_generation_is_overtaken():
    objects = [*standing("ab")[:1], stored(1, "b", 99, 2)]
    assert summary(planned("ab", objects)) == (99, 0, [0], [])
    objects[1]["spec"]["content"] = "?"
    assert summary(planned("ab", objects)) == (100, 0, [0, 1], [])


def test_a_wrong_slice_count_is_a_new_generation():
    objects = [stored(0, "a", 4, 2), stored(1, "b", 4, 7, of=2)]
    assert summary(planned("ab", objects)) == (5, 0, [0, 1], [])


contents = st.lists(st.sampled_from("abc"), min_size=1, max_size=5)
worlds = st.lists(
    st.builds(
        lambda index, content, generation, count, tag: stored(
            min(index, count - 1), content, generation, count, tag=tag
        ),
        st.integers(0, 5),
        st.sampled_from("abc"),
        st.integers(0, 4),
        st.integers(1, 6),
        st.sampled_from("xyz"),
    ),
    max_size=8,
    unique_by=lambda obj: obj["metadata"]["name"],
)


def consumed(objects):
    """What a consumer takes: the newest generation, if it is whole."""
    newest = max((obj["spec"]["pool"]["generation"] for obj in objects), default=0)
    current = [obj for obj in objects if obj["spec"]["pool"]["generation"] == newest]
    counts = {obj["spec"]["pool"]["resourceSliceCount"] for obj in current}
    if counts != {len(current)}:
        return None
    at = {obj["metadata"]["name"]: names.index_of(obj["metadata"]["name"], len(current)) for obj in current}
    return sorted((at[obj["metadata"]["name"]], obj["spec"]["content"]) for obj in current)


@given(worlds, contents, st.integers(0, 5))
@settings(deadline=None, max_examples=400)
def test_any_world_converges_in_one_plan(objects, desired, last):
    plan = planned(desired, objects, last)
    pool = {"name": "p", "generation": plan.generation, "resourceSliceCount": len(desired)}
    left = [obj for obj in objects if obj not in plan.delete]
    for index, obj in plan.update:
        left.remove(obj)
        left.append({**obj, "spec": {"pool": pool, "content": desired[index]}})
    left += [stored(index, desired[index], plan.generation, len(desired)) for index in plan.create]
    assert consumed(left) == list(enumerate(desired))
    assert planned(desired, left, plan.generation).writes == 0


@given(contents, contents, st.lists(st.integers(0, 4), max_size=2))
@settings(deadline=None, max_examples=400)
def test_no_consumer_ever_sees_old_and_new_mixed(before, after, lost):
    """From a pool that was whole: between any two writes it is old, new or not whole."""
    objects = [obj for i, obj in enumerate(standing(before)) if i not in lost]
    plan = planned(after, objects)
    pool = {"name": "p", "generation": plan.generation, "resourceSliceCount": len(after)}
    old, new = list(enumerate(before)), list(enumerate(after))
    left = list(objects)
    steps = [("delete", obj) for obj in plan.delete]
    steps += [("update", item) for item in plan.update] + [("create", index) for index in plan.create]
    for verb, what in steps:
        if verb == "delete":
            left.remove(what)
        elif verb == "update":
            left.remove(what[1])
            left.append({**what[1], "spec": {"pool": pool, "content": after[what[0]]}})
        else:
            left.append(stored(what, after[what], plan.generation, len(after)))
        assert consumed(left) in (None, old, new)
