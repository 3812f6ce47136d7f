"""What a child process of a test does: store objects in an arena. A module of its own, for a
spawned process has to find it by name."""

from __future__ import annotations

from typing import Any

from z3fold_stress import Arena
from z3fold_stress._live import Call


def store(arena: Arena, task: int, pool: int, sizes: list[int], out: Any) -> None:
    """In a child: allocate objects, fill them with the task's number, tell their handles."""
    arena.become(task)
    handles = []
    for size in sizes:
        result, _, handle = arena.call(Call.CALL_ALLOC, pool, size, 1)
        assert result == 0
        at, _, _ = arena.call(Call.CALL_MAP, pool, handle)
        arena.memory[at : at + size] = bytes([task]) * size
        arena.call(Call.CALL_UNMAP, pool, handle)
        handles.append(handle)
    out.send(handles)
    out.recv()
