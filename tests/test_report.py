"""Findings as steps and pages: the states are the arena's own, nothing escapes into the page, and
output is written whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from z3fold_stress import cli
from z3fold_stress.designs import resolve
from z3fold_stress.explore.explorer import Budget, explore
from z3fold_stress.explore.world import World
from z3fold_stress.findings import Finding
from z3fold_stress.findings.finding import make_finding, world_of
from z3fold_stress.findings.replay import Result, replay_in
from z3fold_stress.report.course import Course, course_of
from z3fold_stress.report.html import page_of
from z3fold_stress.scenario import Scenario, load, op
