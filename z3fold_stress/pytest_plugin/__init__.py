"""The pytest plugin: scenarios as tests, a marker, fixtures, and race hunts shared by workers.

pytest loads this wherever the package is installed; it loads the engine only for what is ours.
"""

from z3fold_stress.pytest_plugin.fixtures import *  # noqa: F403
from z3fold_stress.pytest_plugin.plugin import *  # noqa: F403
