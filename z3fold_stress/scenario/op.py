"""Operations: what a scenario file writes, one function each; a program is a list of them.

Each function makes an ``Op``, and is the one place that says what the operation takes. Never
runs anything.

Objects, words and registers are named by strings; they begin to exist where they first appear.
An object is an allocation of the allocator's caller, a word is 8 bytes of shared memory (a lock,
a counter, a flag) on a cache line of its own, and a register belongs to one actor. Words and
registers are 0 at first.
"""

import inspect
from collections.abc import Sequence
from typing import Any, Literal, overload

from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario.value import Op, Page, register, shown


def page_of(obj: str) -> Page:
    """The page that an object is in when the operation runs."""
    return Page(obj)


def frame(number: int) -> Page:
    """A page by the number of its frame, from 0."""
    return Page(number)


# The allocator, as its caller uses it. An operation on an object that is not there does nothing.


def alloc(obj: str, size: int, atomic: bool = False, fill: bool = False, pool: int = 0) -> Op:
    """Allocate an object; ``atomic``: where sleeping is forbidden; ``fill``: and write its
    pattern before anybody sees it, as a store of zswap does."""
    return Op("alloc", (obj, size, atomic, fill, pool))


def free(obj: str) -> Op:
    """Free an object; while others have it mapped, the last of them frees it."""
    return Op("free", (obj,))


def fill(obj: str) -> Op:
    """Write the object's pattern, as its only user."""
    return Op("fill", (obj,))


def map(obj: str) -> Op:
    """Map an object: until it is unmapped its page must not move, nor be freed."""
    return Op("map", (obj,))


def check(obj: str) -> Op:
    """Verify the contents of a mapped object."""
    return Op("check", (obj,))


def unmap(obj: str) -> Op:
    """End this actor's mapping of an object."""
    return Op("unmap", (obj,))


def write(obj: str) -> Op:
    """Map, write a new version that others may see half of, unmap."""
    return Op("write", (obj,))


def read(obj: str) -> Op:
    """Map, see which version is there, unmap."""
    return Op("read", (obj,))


def reclaim(rounds: int = 1, pool: int = 0) -> Op:
    """Evict the oldest page, trying up to so many."""
    return Op("reclaim", (rounds, pool))


def compact_work(pool: int = 0) -> Op:
    """Run one work item of the compaction queue."""
    return Op("compact_work", (pool,))


def release_work(pool: int = 0) -> Op:
    """Run one work item of the release queue."""
    return Op("release_work", (pool,))


def drain(pool: int = 0) -> Op:
    """Run queued work until none is left."""
    return Op("drain", (pool,))


def queue_work(pool: int = 0) -> Op:
    """Queue the release work, also when nothing is to be released; nothing while it is pending."""
    return Op("queue_work", (pool,))


def cancel_work(pool: int = 0) -> Op:
    """Take the release work off its queue, and wait while it runs."""
    return Op("cancel_work", (pool,))


def flush_work(pool: int = 0) -> Op:
    """Wait until the release queue is empty, and nothing of it runs."""
    return Op("flush_work", (pool,))


def create_pool(pool: int, evicts: bool = False) -> Op:
    """Create a pool; ``evicts``: its reclaim may evict objects to swap."""
    return Op("create_pool", (pool, evicts))


def destroy_pool(pool: int) -> Op:
    """Destroy a pool."""
    return Op("destroy_pool", (pool,))


def free_all(pool: int = 0) -> Op:
    """Free every object that is left in a pool."""
    return Op("free_all", (pool,))


def probe(pages: int = 8) -> Op:
    """Migrate and reclaim with nobody in the way: both must succeed."""
    return Op("probe", (pages,))


def audit() -> Op:
    """Check every invariant; nobody else may be inside an operation."""
    return Op("audit")


def kworker(which: Literal["compact", "release"], pool: int = 0) -> Op:
    """Run the work of a queue for ever; a daemon, so it is its actor's only operation."""
    return Op("kworker", (which, pool))


# Migration, as the memory management does it.


def isolate(page: Page) -> Op:
    """Isolate a page for migration."""
    return Op("isolate", (page,))


def migrate(page: Page) -> Op:
    """Make one attempt to move a page that this actor has isolated."""
    return Op("migrate", (page,))


def putback(page: Page) -> Op:
    """Put an isolated page back."""
    return Op("putback", (page,))


def migrate_pages(
    page: Page,
    passes: int = 10,
    sync: bool = True,
    keep_failed: bool = False,
    in_reclaim: bool = False,
    putback: bool = True,
) -> Op:
    """Isolate a page and call migrate_pages() on it: tries again on -EAGAIN, then puts it back."""
    return Op("migrate_pages", (page, passes, sync, keep_failed, in_reclaim, putback))


def compact_memory(first: int = 0, frames: int = 8) -> Op:
    """Migrate all that is movable in a range of frames, as memory compaction does."""
    return Op("compact_memory", (first, frames))


def offline(first: int, frames: int, budget: int = 4) -> Op:
    """Empty a range of frames, in so many rounds at most."""
    return Op("offline", (first, frames, budget))


def lock_page(page: Page) -> Op:
    """Take PG_locked; sleeps."""
    return Op("lock_page", (page,))


def trylock_page(page: Page, into: str) -> Op:
    """Try to take PG_locked; the register says whether it was taken."""
    return Op("trylock_page", (page, into))


def unlock_page(page: Page) -> Op:
    return Op("unlock_page", (page,))


def lock_header(page: Page) -> Op:
    """Take the spinlock in the page's z3fold header."""
    return Op("lock_header", (page,))


def unlock_header(page: Page) -> Op:
    return Op("unlock_header", (page,))


# Raw words: spinlocks, reader-writer locks, memory accesses, atomics, sleeping.


def lock(word: str) -> Op:
    """spin_lock()."""
    return Op("lock", (word,))


def trylock(word: str, into: str) -> Op:
    """spin_trylock(); the register says whether it was taken."""
    return Op("trylock", (word, into))


def unlock(word: str) -> Op:
    """spin_unlock()."""
    return Op("unlock", (word,))


def read_lock(word: str) -> Op:
    return Op("read_lock", (word,))


def read_unlock(word: str) -> Op:
    return Op("read_unlock", (word,))


def write_lock(word: str) -> Op:
    return Op("write_lock", (word,))


def write_unlock(word: str) -> Op:
    return Op("write_unlock", (word,))


def load(word: str, into: str, order: Literal["plain", "relaxed", "acquire"] = "plain") -> Op:
    """Load a word into a register; a plain load may race."""
    return Op("load", (word, into, order))


def store(
    word: str, value: int | str, order: Literal["plain", "relaxed", "release"] = "plain"
) -> Op:
    """Store a number, or a register, in a word; a plain store may race."""
    return Op("store", (word, value, order))


def fetch_add(word: str, n: int, into: str | None = None) -> Op:
    """Atomically add to a word; the register gets what it was before."""
    return Op("fetch_add", (word, n, into))


def exchange(word: str, value: int, into: str) -> Op:
    """Atomically replace a word; the register gets what it was before."""
    return Op("exchange", (word, value, into))


def cas(word: str, expected: int, new: int, into: str) -> Op:
    """Compare and swap; the register says whether the word was as expected, and is now new."""
    return Op("cas", (word, expected, new, into))


def fence(order: Literal["acquire", "release", "acq_rel", "seq_cst"]) -> Op:
    """``acquire``: what relaxed loads before it read is acquired; ``release``: what relaxed stores
    after it write is released; ``acq_rel``: both; ``seq_cst``: that is smp_mb()."""
    return Op("fence", (order,))


def wait_while(word: str, value: int) -> Op:
    """Spin while the word has this value."""
    return Op("wait_while", (word, value))


def wait_until(word: str, value: int) -> Op:
    """Spin until the word has this value."""
    return Op("wait_until", (word, value))


def sleep(word: str) -> Op:
    """Sleep on a word until it changes; a wake that came before is missed."""
    return Op("sleep", (word,))


def wake(word: str) -> Op:
    """Wake all who sleep on a word, by adding 1 to it."""
    return Op("wake", (word,))


def might_sleep() -> Op:
    """Say that one could sleep here: a verdict in atomic context."""
    return Op("might_sleep")


def preempt_disable() -> Op:
    """Forbid sleeping."""
    return Op("preempt_disable")


def died(actor: str, into: str) -> Op:
    """In a finish: 1 if this mortal actor died in the execution that is over, else 0."""
    return Op("died", (actor, into))


def preempt_enable() -> Op:
    return Op("preempt_enable")


# Registers and control.

Comparison = Literal["==", "!=", "<", "<=", ">", ">="]


def set(reg: str, value: int) -> Op:
    return Op("set", (reg, value))


def move(reg: str, from_: str) -> Op:
    """Copy a register."""
    return Op("move", (reg, from_))


def add(reg: str, value: int | str) -> Op:
    """Add a number, or a register, to a register."""
    return Op("add", (reg, value))


def multiply(reg: str, n: int) -> Op:
    return Op("multiply", (reg, n))


def expect(reg: str, compare: Comparison, value: int | str, message: str) -> Op:
    """A verdict (``invariant``), with this message, unless the register compares so."""
    return Op("expect", (reg, compare, value, message))


@overload
def when(reg: str, body: Sequence[Op], /) -> Op: ...


@overload
def when(reg: str, compare: Comparison, value: int | str, body: Sequence[Op], /) -> Op: ...


def when(reg: str, *rest: Any) -> Op:
    """Run the body if a register is not 0, or compares so: ``when("r", "<", 3, [...])``."""
    compare, value, body = rest if len(rest) == 3 else ("!=", 0, *rest)
    return Op("when", (reg, compare, value), _body("when", body))


def unless(reg: str, body: Sequence[Op]) -> Op:
    """Run the body if a register is 0."""
    return Op("when", (reg, "==", 0), _body("unless", body))


def repeat(times: int, body: Sequence[Op]) -> Op:
    """Run the body so many times."""
    return Op("repeat", (times,), _body("repeat", body))


def _body(name: str, body: object) -> tuple[Op, ...]:
    if not isinstance(body, list | tuple):
        raise ScenarioError(f"{name}: the body is {shown(body)}: give a list of operations")
    return tuple(body)


def _when(reg: str, compare: Comparison, value: int | str, body: Sequence[Op]) -> Op:
    """The arguments of ``when`` as an Op has them."""
    return Op("when", (reg, compare, value), tuple(body))


_WRITTEN_AS_WHEN = (when, unless)

register(
    function
    for name, function in tuple(globals().items())
    if inspect.isfunction(function) and function.__module__ == __name__
    if inspect.signature(function).return_annotation is Op
    if function not in _WRITTEN_AS_WHEN
)
