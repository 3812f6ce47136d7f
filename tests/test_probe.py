"""The probe: pages that must move are asked to."""

from __future__ import annotations

import pytest
from healthy import CLAIMED

from z3fold_stress import Arena, Pool, Verdict, VerdictError
from z3fold_stress._live import Call

# Rule 22 needs doing: the probe


def probe(arena: Arena, pages: int = 400) -> int:
    moved: int = arena.call(Call.CALL_PROBE, 0, pages)[0]
    return moved


def test_probe_moves_the_pages_of_a_sound_arena() -> None:
    with Arena(frames=16) as arena, Pool(arena) as pool:
        handles = [pool.alloc(size) for size in (1000, 1000, 1000, 3000, 4000)]
        for number, handle in enumerate(handles):
            with pool.map(handle) as view:
                view[:] = bytes([number]) * handle.size
        assert probe(arena) > 10
        for number, handle in enumerate(handles):
            with pool.map(handle) as view:
                assert view == bytes([number]) * handle.size
        assert arena.audit() == []
        assert arena.judgements() == []


def test_probe_lets_mapped_pages_be() -> None:
    with Arena(frames=4) as arena, Pool(arena) as pool:
        handle = pool.alloc(1000)
        page = pool.page_of(handle)
        with pool.map(handle):
            assert probe(arena) == 0
        assert pool.page_of(handle) == page


def test_probe_finds_a_migration_that_never_succeeds() -> None:
    with Arena(defects=["migrate-double-page-lock"], frames=4) as arena:
        pool = Pool(arena)
        pool.alloc(1000)
        with pytest.raises(VerdictError) as caught:
            probe(arena)
        assert [j.verdict for j in caught.value.judgements] == [Verdict.EAGAIN_CONTRACT]
        assert "does not move" in caught.value.judgements[0].text


def test_probe_finds_a_count_of_maps_that_nobody_has() -> None:
    with Arena(frames=4) as arena:
        pool = Pool(arena)
        page = pool.page_of(pool.alloc(1000))
        arena.layout.poke("header", arena.layout.frame_offset(page), mapped_count=2)
        with pytest.raises(VerdictError) as caught:
            probe(arena)
        assert "mapped_count is 2" in caught.value.judgements[0].text


def test_probe_finds_a_page_that_refuses_for_another_reason() -> None:
    with Arena(frames=4) as arena:
        pool = Pool(arena)
        page = arena.layout.page_offset(pool.page_of(pool.alloc(1000)))
        arena.layout.poke("page", page, private=CLAIMED)
        with pytest.raises(VerdictError) as caught:
            probe(arena)
        assert [j.verdict for j in caught.value.judgements] == [Verdict.EAGAIN_CONTRACT]
        assert "cannot be isolated" in caught.value.judgements[0].text
