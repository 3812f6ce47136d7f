"""Builds the engine: what is compiled lives in pyx/, and knows nothing of the Python package."""

import hashlib
import os
import platform
import runpy
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

PYX = Path("pyx")
PARTS = sorted(str(p) for kind in ("*.pxi", "*.h", "*.c") for p in PYX.rglob(kind))
# What Cython and Python know of the vocabulary is written first: the package needs it too.
GENERATED = Path("build/vocabulary")
generate = runpy.run_path(str(PYX / "vocabulary" / "generate.py"))["generate"]
# Z3FOLD_STRESS_ASSERT=1: the simulator checks its own invariants (sim/assert.h).
# Z3FOLD_STRESS_UBSAN=1: and is watched for undefined behavior.
ASSERT, UBSAN = (os.environ.get(f"Z3FOLD_STRESS_{name}") == "1" for name in ("ASSERT", "UBSAN"))
VARIANT = [
    *(["-DZ3F_ASSERT"] if ASSERT else []),
    *(["-fsanitize=undefined", "-fno-sanitize-recover=undefined"] if UBSAN else []),
]
DEPENDS = [*PARTS, *map(str, generate(PYX, GENERATED, Path("z3fold_stress")))]
FLAGS = [
    "-O2",
    "-g1",
    "-fvisibility=hidden",
    "-fno-strict-aliasing",
    "-fno-inline-functions-called-once",
    "-fno-inline-small-functions",
    "-fno-inline-functions",
    "-fno-partial-inlining",
    "-fno-tree-slp-vectorize",
    "-Wno-unused-function",
    "-Wno-sign-compare",
]
# A finding names the sources that it was found with: a schedule is for them.
BUILD = hashlib.sha256(b"".join(Path(part).read_bytes() for part in PARTS)).hexdigest()[:12]
# Every access to memory calls a hook (sim/hooks.c); the runtime that usually has them is not
# linked. Frame pointers are how a report learns who called.
INSTRUMENTED = [
    *FLAGS,
    "-DZ3F_SIM",
    f'-DZ3F_BUILD="{BUILD}"',
    *(["-DZ3F_ASSERT"] if ASSERT else []),
    "-fsanitize=thread",
    "--param=tsan-instrument-func-entry-exit=0",
    "-Wno-tsan",  # it says that fences are unknown: to the runtime that is not linked
    "-fno-omit-frame-pointer",
    "-fno-optimize-sibling-calls",
]
BESIDE = [
    "-O3",
    "-g1",
    "-flto",
    "-fvisibility=hidden",
    "-fno-strict-aliasing",
    "-fno-omit-frame-pointer",
    # A switch of stacks (fiber.h) pushes below what the compiler knows of.
    *(["-mno-red-zone"] if platform.machine() == "x86_64" else []),
    *VARIANT,
]
# Another variant is another build of everything: what depends on this file is made anew.
STAMP = GENERATED / "variant"
if not STAMP.exists() or STAMP.read_text() != " ".join(VARIANT):
    STAMP.write_text(" ".join(VARIANT))
DEPENDS.append(str(STAMP))

live = Extension(
    "z3fold_stress._live",
    sources=[str(PYX / "_live.pyx")],
    include_dirs=[str(PYX)],
    depends=DEPENDS,
    extra_compile_args=FLAGS,
)
sim = Extension(
    "z3fold_stress._sim",
    sources=[str(PYX / "_sim.pyx"), *sorted(str(p) for p in (PYX / "sim").glob("*.c"))],
    include_dirs=[str(PYX)],
    depends=DEPENDS,
    extra_link_args=BESIDE,
)


class Build(build_ext):
    """Compiles each source of _sim as it must be: the subject's half with instrumentation."""

    def build_extensions(self):
        compile_one = self.compiler._compile

        def compile_as_fits(obj, src, extension, cc_args, extra_postargs, pp_opts):
            path = Path(src)
            flags = (
                INSTRUMENTED if path.stem == "_sim" else BESIDE if path.parent.name == "sim" else []
            )
            compile_one(obj, src, extension, cc_args, [*extra_postargs, *flags], pp_opts)

        self.compiler._compile = compile_as_fits
        super().build_extensions()


# The folder scenarios/ is installed as the package z3fold_stress.scenarios.
SCENARIOS = find_packages(include=["scenarios", "scenarios.*"])

setup(
    cmdclass={"build_ext": Build},
    packages=[
        *find_packages(include=["z3fold_stress", "z3fold_stress.*"]),
        *(f"z3fold_stress.{name}" for name in SCENARIOS),
    ],
    package_dir={"z3fold_stress.scenarios": "scenarios"},
    ext_modules=cythonize(
        [live, sim],
        build_dir="build/cython",
        emit_linenums=True,
        include_path=[str(PYX), str(GENERATED)],
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
    ),
)
