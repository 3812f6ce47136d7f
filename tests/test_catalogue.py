"""The catalogue: verdicts, defects and designs agree, and keep the engine's order."""

from __future__ import annotations

import pickle
import re

import pytest

from z3fold_stress.defects import DEFECTS, Defect, UnknownDefect, by_name
from z3fold_stress.defects.built import BUILT
from z3fold_stress.defects.found import FOUND
from z3fold_stress.defects.later import LATER
from z3fold_stress.defects.older import OLDER
from z3fold_stress.defects.posted import POSTED
from z3fold_stress.designs import DESIGNS, Design, UnknownDesign, resolve
from z3fold_stress.verdicts import Verdict

# The engine gives out bits and numbers in these orders; arenas and findings store them.
DEFECT_ORDER = """
    migrate-double-page-lock movable-without-page-lock movable-trylock-inverted
    migrate-copies-live-header migrate-without-work-cancel pool-lookup-through-freed-slots
    destroy-release-wq-first destroy-unregister-before-drain destroy-vs-migrate-queue
    reclaim-stale-header-on-retry reclaim-headless-null-header reclaim-claim-leak
    reclaim-handles-in-shared-slots isolate-ignores-claim headless-slots-leak atomic-alloc-sleeps
    mapped-count-uninitialised slot-read-before-page-lock migrated-page-still-lockable
    putback-forgets-unbuddied reclaim-fail-forgets-unbuddied destroy-leaks-percpu-lists
    alloc-threshold-underflow

    destroy-wait-inverted headless-claim-not-cleared free-holds-claim-over-compaction
    stack-slots-misaligned headless-claim-dropped reclaim-ref-before-page-lock
    release-unlocked-variant-on-locked-page alloc-null-slots sleep-under-page-lock

    compact-vs-free-no-ref reclaim-readds-released-page stale-flag-on-wrong-page
    stale-alloc-without-cancel reclaim-free-lost-length create-error-leak
    unbuddied-wrong-free-count

    first-fit-ignores-header-chunks offline-endless-loop isolate-unlinks-outside-pool-lock
    mapped-count-wraps middle-mapped-one-bit stale-reuse-stays-movable headless-free-forgotten
    headless-evict-frees-for-owner compact-ignores-claim

    migrate-mapped-says-eagain migrate-forgets-movable flush-ignores-running
"""

VERDICT_ORDER = """
    data-race corruption use-after-free double-free refcount list-corruption lost-page stale-handle
    leak deadlock livelock lock-misuse lock-order sleep-in-atomic eagain-contract invariant
    orphaned-lock stall crash
"""

each_defect = pytest.mark.parametrize("defect", DEFECTS.values(), ids=lambda defect: defect.name)


# Verdicts


def test_verdicts_keep_their_order_and_numbers() -> None:
    assert [str(verdict) for verdict in Verdict] == VERDICT_ORDER.split()
    assert [verdict.number for verdict in Verdict] == list(range(1, len(Verdict) + 1))
    assert [Verdict.numbered(verdict.number) for verdict in Verdict] == list(Verdict)


@pytest.mark.parametrize("number", [0, -1, len(Verdict) + 1])
def test_no_verdict_has_a_number_outside_the_list(number: int) -> None:
    with pytest.raises(ValueError, match=f"number {number}"):
        Verdict.numbered(number)


def test_a_verdict_is_its_name() -> None:
    assert Verdict("use-after-free") is Verdict.USE_AFTER_FREE
    assert f"{Verdict.LOST_PAGE}" == "lost-page"
    assert pickle.loads(pickle.dumps(Verdict.LEAK)) is Verdict.LEAK
    with pytest.raises(ValueError, match="data_race"):
        Verdict("data_race")


def test_every_verdict_has_a_meaning_of_one_sentence() -> None:
    meanings = [verdict.meaning for verdict in Verdict]
    assert len(set(meanings)) == len(meanings)
    for meaning in meanings:
        assert re.fullmatch(r"[A-Z][^.]+\.", meaning)


# Defects


def test_defects_keep_the_order_of_the_engines_bits() -> None:
    assert list(DEFECTS) == DEFECT_ORDER.split()


def test_no_name_is_given_twice() -> None:
    names = [defect.name for group in (POSTED, LATER, OLDER, FOUND, BUILT) for defect in group]
    assert sorted(names) == sorted(set(names))
    assert all(name == defect.name for name, defect in DEFECTS.items())


def test_as_posted_is_what_the_patch_set_had() -> None:
    not_posted = {defect.name for group in (POSTED, FOUND) for defect in group} - {
        "movable-trylock-inverted"
    }
    as_posted = {name for name, defect in DEFECTS.items() if defect.as_posted}
    assert as_posted == not_posted | {"headless-claim-not-cleared"}


@each_defect
def test_texts_are_whole(defect: Defect) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", defect.name)
    assert 20 <= len(defect.summary) <= 90
    assert "\n" not in defect.summary
    assert not defect.summary.endswith(".")
    assert len(defect.story) > len(defect.summary)
    assert defect.fix
    assert defect.symptom
    for text in (defect.summary, defect.story, defect.fix, defect.symptom):
        assert text == text.strip()
        assert "  " not in text
    assert defect.story.endswith(".")


@each_defect
def test_a_storys_steps_count_up_from_one(defect: Defect) -> None:
    steps = re.findall(r"^(\d+)\. ", defect.story, flags=re.MULTILINE)
    assert steps == [str(number + 1) for number in range(len(steps))]


def test_a_story_is_unwrapped_to_one_line_for_each_paragraph_and_step() -> None:
    defect = Defect(
        name="x",
        summary="x",
        story="""
            A paragraph
            of two lines.

            1. A step
               of two lines.
            2. Another.

            The end,
            said twice.""",
        fix="one\n            two",
        symptom="x",
        verdicts=(Verdict.LEAK,),
        as_posted=False,
    )
    assert defect.story.split("\n") == [
        "A paragraph of two lines.",
        "",
        "1. A step of two lines.",
        "2. Another.",
        "",
        "The end, said twice.",
    ]
    assert defect.fix == "one two"


@each_defect
def test_verdicts_are_from_the_list(defect: Defect) -> None:
    assert defect.verdicts
    assert all(isinstance(verdict, Verdict) for verdict in defect.verdicts)
    assert len(set(defect.verdicts)) == len(defect.verdicts)


@each_defect
def test_needs_and_masks_name_other_defects(defect: Defect) -> None:
    others = DEFECTS.keys() - {defect.name}
    assert others.issuperset(defect.needs)
    assert others.issuperset(defect.masks)
    assert set(defect.needs).isdisjoint(defect.masks)
    # A defect that hides what it needs could never be seen.
    assert not any(defect.name in DEFECTS[needed].masks for needed in defect.needs)


@each_defect
def test_what_a_story_says_of_another_defect_names_one_that_exists(defect: Defect) -> None:
    # A word of three or more hyphenated parts that starts or ends as a defect's name does.
    heads = {"-".join(name.split("-")[:2]) for name in DEFECTS}
    for word in re.findall(r"\b[a-z]+(?:-[a-z]+){2,}\b", f"{defect.story} {defect.fix}"):
        if "-".join(word.split("-")[:2]) in heads:
            assert word in DEFECTS


def test_the_double_page_lock_hides_all_that_comes_after_it() -> None:
    assert {
        "migrate-copies-live-header",
        "migrate-without-work-cancel",
        "destroy-vs-migrate-queue",
        "slot-read-before-page-lock",
        "migrated-page-still-lockable",
    } <= set(by_name("migrate-double-page-lock").masks)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("migrate_double_page_lock", "migrate-double-page-lock"),
        ("putback-forgets-unbudied", "putback-forgets-unbuddied"),
        ("Headless-Slots-Leak", "headless-slots-leak"),
    ],
)
def test_an_unknown_defect_is_told_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UnknownDefect) as caught:
        by_name(wrong)
    assert repr(wrong) in str(caught.value)
    assert repr(nearest) in str(caught.value)
    assert "z3fold-stress defects lists them all" in str(caught.value)
    # It may have to come out of a worker process.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("wrong", ["", "?", "no such thing at all", "a" * 5000])
def test_any_unknown_name_ends_in_the_same_error(wrong: str) -> None:
    with pytest.raises(UnknownDefect, match="the nearest is"):
        by_name(wrong)
    with pytest.raises(UnknownDesign, match="the nearest is"):
        resolve(wrong)


# Designs


def test_the_named_designs() -> None:
    assert list(DESIGNS) == ["as-posted", "sound"]
    assert all(name == design.name for name, design in DESIGNS.items())
    assert DESIGNS["sound"].defects == frozenset()
    assert DESIGNS["as-posted"].defects == {n for n, d in DEFECTS.items() if d.as_posted}


def test_as_posted_has_what_its_defects_need() -> None:
    posted = DESIGNS["as-posted"].defects
    for name in posted:
        assert posted.issuperset(DEFECTS[name].needs)


def test_resolve_without_changes_is_the_named_design() -> None:
    assert resolve("sound") is DESIGNS["sound"]
    assert resolve("as-posted", ["putback-forgets-unbuddied"]) is DESIGNS["as-posted"]
    assert resolve("sound", [], ["putback-forgets-unbuddied"]) is DESIGNS["sound"]


def test_resolve_adds_and_removes() -> None:
    sound = resolve("sound", ["putback-forgets-unbuddied"])
    assert sound.name == "sound+putback-forgets-unbuddied"
    assert sound.defects == {"putback-forgets-unbuddied"}

    posted = resolve("as-posted", ["create-error-leak"], ["migrate-double-page-lock"])
    assert posted.name == "as-posted+create-error-leak~migrate-double-page-lock"
    assert posted.defects == (DESIGNS["as-posted"].defects | {"create-error-leak"}) - {
        "migrate-double-page-lock"
    }
    assert "with create-error-leak" in posted.summary
    assert "without migrate-double-page-lock" in posted.summary


def test_a_defect_both_added_and_removed_is_removed() -> None:
    assert resolve("sound", ["create-error-leak"], ["create-error-leak"]) is DESIGNS["sound"]


def test_the_name_does_not_depend_on_the_order_of_asking() -> None:
    two = ["unbuddied-wrong-free-count", "headless-slots-leak"]
    assert resolve("sound", two) == resolve("sound", reversed(two))
    assert resolve("sound", two).name == "sound+headless-slots-leak+unbuddied-wrong-free-count"


@pytest.mark.parametrize(
    "design",
    [
        resolve("sound"),
        resolve("sound", DEFECTS),
        resolve("as-posted", [], ["migrate-double-page-lock", "atomic-alloc-sleeps"]),
        resolve("as-posted", ["create-error-leak"], ["migrate-double-page-lock"]),
    ],
    ids=["named", "all", "less", "both"],
)
def test_a_designs_name_resolves_to_itself(design: Design) -> None:
    assert resolve(design.name) == design


def test_changes_go_on_top_of_a_combined_name() -> None:
    design = resolve("sound+create-error-leak", ["headless-slots-leak"], ["create-error-leak"])
    assert design == resolve("sound", ["headless-slots-leak"])


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("soundd", "sound"), ("as_posted", "as-posted"), ("posted", "as-posted")]
)
def test_an_unknown_design_is_told_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UnknownDesign) as caught:
        resolve(wrong)
    assert repr(wrong) in str(caught.value)
    assert repr(nearest) in str(caught.value)
    assert "z3fold-stress designs lists them all" in str(caught.value)


@pytest.mark.parametrize("design", ["sound+no-such-defect", "sound~no-such-defect", "sound+"])
def test_a_combined_name_with_an_unknown_defect_is_refused(design: str) -> None:
    with pytest.raises(UnknownDefect):
        resolve(design)


def test_unknown_changes_are_refused() -> None:
    with pytest.raises(UnknownDefect):
        resolve("sound", ["putback"])
    with pytest.raises(UnknownDefect):
        resolve("sound", [], ["putback"])
