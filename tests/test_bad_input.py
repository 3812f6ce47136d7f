"""What the commands of the sim world make of bad input: one line that names it, and status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_files import scenario_file
from commanding import Run, refused

from z3fold_stress.findings import load_finding

# bad input


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("explore", "Missing argument 'SCENARIOS"),
        ("explore abba-ba", "no scenario is named 'abba-ba'; the nearest is 'abba'"),
        ("explore {none}.py", "cannot read"),
        ("explore {none}.json", "cannot read"),
        ("explore {empty}", "no scenario is in"),
        ("explore {broken}", "line 2: SyntaxError"),
        ("explore {raises}", "line 2: ZeroDivisionError"),
        ("explore {nothing}", "defines neither of 'scenario' and 'scenarios'"),
        ("explore {wrong}", "line 2"),
        ("explore {junk}", "is not JSON"),
        ("explore {text}", "no scenario is named"),
        ("explore abba --strategy dsf", "no strategy is named 'dsf'"),
        ("explore abba --design sund", "no design is named 'sund'; the nearest is 'sound'"),
        ("explore abba --defect nosuch", "no defect is named 'nosuch'"),
        ("explore abba --executions 0", "a budget of 0 executions shows nothing"),
        ("explore abba --executions -3", "a budget of -3 executions shows nothing"),
        ("explore abba --executions many", "'many' is not a valid integer"),
        ("explore abba --seconds 0", "a budget of 0 seconds shows nothing"),
        ("explore abba --seconds -1", "a budget of -1 seconds shows nothing"),
        ("explore abba --seconds nan", "a budget of nan seconds shows nothing"),
        ("explore abba --max-steps 0", "'--max-steps': 0 is not in the range"),
        ("hunt nosuch", "no scenario is named 'nosuch'"),
        ("hunt abba --strategy dsf", "no strategy is named 'dsf'"),
        ("hunt abba --design sund", "no design is named 'sund'"),
        ("hunt abba --seconds 0", "--seconds 0 shows nothing"),
        ("hunt abba --seconds -2", "--seconds -2 shows nothing"),
        ("hunt abba --jobs 0", "'--jobs': 0 is not in the range"),
        ("hunt abba --jobs -1", "'--jobs': -1 is not in the range"),
        ("fuzz --design sund", "no design is named 'sund'"),
        ("fuzz --programs 0", "'--programs': 0 is not in the range"),
        ("fuzz --seconds -1", "--seconds -1 shows nothing"),
        ("fuzz --programs 3 --jobs 0", "'--jobs': 0 is not in the range"),
        ("museum nosuch", "no scenario is named 'nosuch'"),
        ("museum abba --jobs 0", "'--jobs': 0 is not in the range"),
        ("replay", "Missing argument 'FINDING'"),
        ("replay {none}", "No such file or directory"),
        ("replay {empty}", "Is a directory"),
        ("replay {junk}", "is not a finding"),
        ("replay zs1:", "a corrupted replay string"),
        ("replay zs1:AAAA", "a corrupted replay string"),
        ("replay {cut}", "a corrupted replay string"),
        ("replay {saved} --policy lax", "'lax' is not one of"),
        ("replay {saved} --scenario nosuch", "no scenario is named 'nosuch'"),
        ("replay {saved} --scenario textbook", "scenarios; name one"),
        ("shrink zs1:AAAA", "a corrupted replay string"),
        ("shrink {none}", "No such file or directory"),
        ("shrink {saved} --seconds 0", "--seconds 0: it must be more than 0"),
        ("report zs1:AAAA", "a corrupted replay string"),
        ("report {none}", "No such file or directory"),
        ("scenarios nosuch", "no scenario is named 'nosuch'"),
    ],
)
def test_bad_input_is_told_in_one_line(
    run: Run, saved: Path, tmp_path: Path, line: str, says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk.json").write_bytes(b"\x00\xff junk")
    (tmp_path / "text.txt").write_text("scenario")
    names: dict[str, object] = {
        "none": tmp_path / "none",
        "empty": tmp_path / "empty",
        "junk": tmp_path / "junk.json",
        "text": tmp_path / "text.txt",
        "saved": saved,
        "cut": load_finding(str(saved)).line()[:-40],
        "broken": scenario_file(tmp_path, "broken", "scenario = Scenario("),
        "raises": scenario_file(tmp_path, "raises", "scenario = 1 / 0"),
        "nothing": scenario_file(tmp_path, "nothing", "other = 1"),
        "wrong": scenario_file(tmp_path, "wrong", "scenario = Scenario(actors={'t': [op.lock()]})"),
    }
    refused(run(*[word.format(**names) for word in line.split()]), says)


@pytest.mark.parametrize(
    "option",
    [
        "--max-steps=99999999999",
        "--seed=-1",
        "--seed=99999999999999999999",
        "--bound=99999999999999",
    ],
)
def test_number_that_the_engine_cannot_hold(run: Run, option: str) -> None:
    how = ("--strategy", "dfs", "--executions", 5, "--no-save")
    refused(run("explore", "abba", *how, option), option.split("=")[0])


@pytest.mark.parametrize(
    "line",
    [
        "explore abba --executions 0 --json",
        "hunt abba --jobs 0 --json",
        "fuzz --programs 3 --jobs 0 --json",
        "museum abba --jobs 0 --json",
        "replay zs1:AAAA --json",
        "shrink zs1:AAAA --json",
        "report zs1:AAAA --json",
        "scenarios nosuch --json",
    ],
)
def test_bad_input_leaves_nothing_for_a_program_to_read(run: Run, line: str) -> None:
    answer = run(*line.split())
    assert (answer.status, answer.out) == (2, "")
