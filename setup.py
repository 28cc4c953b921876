"""The native engine, which a machine without a C compiler does without; pyproject.toml has all else."""

from glob import glob

from setuptools import Extension, setup

NATIVE = "skneural/_engine/native/c"

setup(
    ext_modules=[
        Extension(
            "skneural._engine.native._native",
            sorted(glob(f"{NATIVE}/*.c")),
            depends=sorted(glob(f"{NATIVE}/*.h")),
            extra_compile_args=["-O3", "-std=gnu11", "-pthread", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"],
            extra_link_args=["-pthread"],
            libraries=["m"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
