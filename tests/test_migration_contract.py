"""The contract of migration, broken: attempts, isolation and putback that must not be."""

from __future__ import annotations

import pytest
from moving import SEED, Counts, contents, fill, isolated, setting

from z3fold_stress import Pool, Verdict, VerdictError
from z3fold_stress._live import Call, Counter


def broken_contract(pool: Pool, page: int) -> str:
    with pytest.raises(VerdictError) as caught:
        pool.migrate_pages([])
    judgement = caught.value.judgements[0]
    assert judgement.verdict is Verdict.EAGAIN_CONTRACT
    assert pool.arena.layout.pfn(judgement.page) == page
    return judgement.text


def test_eleventh_attempt() -> None:
    with setting() as (arena, pool, other):
        _, page = isolated(pool)
        other.call(Call.CALL_LOCK_HEADER, 0, page)
        assert pool.migrate_pages([], putback=False).result == 1
        assert arena.judgements() == []
        assert pool.migrate_pages([], passes=1, putback=False).result == 1
        assert arena.judgements() == [], "another call may try it again"
        with pytest.raises(VerdictError) as caught:
            arena.call(Call.CALL_MIGRATE_PAGES, pool.offset, 1 | 8, 11)
        (judgement,) = caught.value.judgements
        assert judgement.verdict is Verdict.EAGAIN_CONTRACT
        assert "attempt number 11 of one migrate_pages" in judgement.text


def test_page_that_somebody_else_isolated() -> None:
    with setting() as (arena, pool, _):
        _, page = isolated(pool)
        arena.layout.poke("page", arena.layout.page_offset(page), isolated_by=2)
        assert "task 1 migrates a page that task 2 isolated" in broken_contract(pool, page)


def test_page_that_is_not_isolated() -> None:
    with setting() as (arena, pool, _):
        _, page = isolated(pool)
        arena.layout.poke("page", arena.layout.page_offset(page), flags=0)
        assert "not isolated" in broken_contract(pool, page)


def test_putback_of_a_page_that_somebody_else_isolated() -> None:
    with setting() as (arena, pool, _):
        _, page = isolated(pool)
        arena.layout.poke("page", arena.layout.page_offset(page), isolated_by=2)
        with pytest.raises(VerdictError) as caught:
            arena.call(Call.CALL_PUTBACK, pool.offset, page)
        (judgement,) = caught.value.judgements
        assert judgement.verdict is Verdict.EAGAIN_CONTRACT
        assert "putback of a page that is not isolated, or not by us" in judgement.text


@pytest.mark.parametrize("many", [1, 50])
def test_random_trylock_failures_cost_retries_only(many: int) -> None:
    """With every fourth try-lock failing, pages move later, or are put back whole."""
    with setting(frames=16, faults={"trylock": 0.25}, seed=SEED) as (arena, pool, _):
        handles = [pool.alloc(1300) for _ in range(9)]
        kept = [fill(pool, handle) for handle in handles]
        count = Counts(arena)
        moved = 0
        for _ in range(many):
            moved += pool.migrate_pages(sorted({pool.page_of(h) for h in handles})).moved
            pool.drain()
        assert moved > 0
        assert many == 1 or count(Counter.N_EAGAIN)["N_EAGAIN"] > 0
        assert pool.stats().isolated == 0
        assert [contents(pool, handle) for handle in handles] == kept
        assert arena.audit() == []
        assert arena.judgements() == []
