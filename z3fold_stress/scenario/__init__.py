"""Scenarios: programs of a few actors as data, where they come from and what they compile to.

Describes, checks and compiles; never runs anything.
"""

from z3fold_stress.errors import ScenarioError
from z3fold_stress.scenario import op
from z3fold_stress.scenario.library import all_scenarios, built_in_folder, load, load_file
from z3fold_stress.scenario.program import CompiledActor, CompiledScenario, compile_scenario
from z3fold_stress.scenario.scenario import Scenario
from z3fold_stress.scenario.value import Op, Page

__all__ = [
    "CompiledActor",
    "CompiledScenario",
    "Op",
    "Page",
    "Scenario",
    "ScenarioError",
    "all_scenarios",
    "built_in_folder",
    "compile_scenario",
    "load",
    "load_file",
    "op",
]
