"""Builds the engine: what is compiled lives in pyx/, and knows nothing of the Python package."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

PYX = Path("pyx")
PARTS = sorted(str(p) for kind in ("*.pxi", "*.h") for p in PYX.rglob(kind))

live = Extension(
    "z3fold_stress._live",
    sources=[str(PYX / "_live.pyx")],
    include_dirs=[str(PYX)],
    depends=PARTS,
    extra_compile_args=[
        "-O2",
        "-g1",
        "-fno-strict-aliasing",
        "-fno-inline-functions-called-once",
        "-fno-inline-small-functions",
        "-fno-inline-functions",
        "-fno-partial-inlining",
        "-fno-tree-slp-vectorize",
        "-Wno-unused-function",
        "-Wno-sign-compare",
    ],
)

setup(
    ext_modules=cythonize(
        [live],
        build_dir="build/cython",
        include_path=[str(PYX)],
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
    ),
)
