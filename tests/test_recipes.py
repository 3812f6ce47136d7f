"""The recipes of docs/contributing.md, followed on a copy of the tree: all at once, one build."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent

STRATEGY = """#include "sim.h"

static void prepare(void) { }
static bool begin(void) { return true; }
static u32 choose(const u8 *enabled, u32 n, int running)
{
    (void)enabled;
    (void)running;
    return n - 1;
}

const struct strategy strategy_last = {
    .name = "last", .prepare = prepare, .begin = begin, .choose = choose,
    .decide = sim_decide_at_random,
};
"""

OBSERVER = """#include "sim.h"
#include "observe.h"

void forbidden_observe(struct sim_task *t, const struct access *a)
{
    (void)t;
    if (a->writes && a->offset == memory.scratch + SCRATCH_STRIDE)
        sim_fail(V_FORBIDDEN, "forbidden", 0, 0, 0, a->pc, "the second word was written");
}
"""

OPERATION = """

cdef void run_negate(const instruction *i) noexcept nogil:
    store_release64(word_of(i), <u64>(i.b - <i64>load_acquire64(word_of(i))))
"""

FACE = """def negate(word: str, n: int) -> Op:
    \"\"\"Set a word to n less what it is.\"\"\"
    return Op("negate", (word, n))


_WRITTEN_AS_WHEN"""

TRIED = """
from z3fold_stress import Scenario, op
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore
from z3fold_stress.verdicts import Verdict

def tried(actors, **more):
    scenario = Scenario(actors=actors, **more)
    tally = explore(scenario, resolve("sound"), strategy="last", budget=Budget(executions=50))
    return tally.executions, tally.verdicts

right = [op.negate("x", 7), op.load("x", "r", "acquire"), op.expect("r", "==", 2, "x is 2")]
assert tried({"a": right}, words={"x": 5}) == (50, frozenset())
wrong = [op.negate("x", 7), op.load("x", "r", "acquire"), op.expect("r", "==", 3, "x is 3")]
assert tried({"a": wrong}, words={"x": 5})[1] == {Verdict.INVARIANT}
second = [op.fetch_add("x", 1), op.negate("y", 0)]
assert tried({"a": second})[1] == {Verdict.FORBIDDEN}
assert Verdict.FORBIDDEN == "forbidden" and Verdict.FORBIDDEN.meaning == "A word was not to be."
print("all recipes hold")
"""


@pytest.mark.soak
def test_each_recipe_is_as_short_as_it_says(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "pyx", "z3fold_stress", "setup.py"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split():
        if (TOP / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, tmp_path / name)
    for name in ("scenarios", "README.md", "pyproject.toml", "LICENSE"):
        (tmp_path / name).symlink_to(TOP / name)

    def add(path: str, text: str) -> None:
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text)

    def change(path: str, before: str, after: str) -> None:
        text = (tmp_path / path).read_text()
        assert text.count(before) == 1, (path, before)
        (tmp_path / path).write_text(text.replace(before, after))

    add("pyx/sim/strategy_last.c", STRATEGY)
    change("pyx/vocabulary/strategies.h", "STRATEGY(replay)", "STRATEGY(last)\nSTRATEGY(replay)")

    verdicts = (tmp_path / "pyx/vocabulary/verdict.h").read_text()
    end = re.search(r"^};", verdicts, re.M)
    assert end is not None
    line = '    V_FORBIDDEN,\n    /* "A word was not to be." */\n'
    (tmp_path / "pyx/vocabulary/verdict.h").write_text(
        verdicts[: end.start()] + line + verdicts[end.start() :]
    )
    add("pyx/sim/forbidden.c", OBSERVER)
    line = "#define OBSERVERS(INLINED, CALLED) \\\n"
    change("pyx/sim/observe.h", line, line + "    CALLED(forbidden) \\\n")

    change("pyx/vocabulary/code.h", "    NR_CODES,", "    CODE_NEGATE,\n    NR_CODES,")
    words = tmp_path / "pyx/run/on_words.pxi"
    words.write_text(words.read_text() + OPERATION)
    change("z3fold_stress/scenario/op.py", "_WRITTEN_AS_WHEN =", FACE + " =")

    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    done = subprocess.run(
        [sys.executable, "-c", TRIED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "all recipes hold\n", done.stderr[-3000:]
