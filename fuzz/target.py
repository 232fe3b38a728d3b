"""What libFuzzer calls with each input; `__main__.py` runs it, with libFuzzer's own options."""

import sys

import atheris

with atheris.instrument_imports(include=["exporter.read", "exporter.fields"]):
    import exporter.read.reader  # noqa: F401 - only what is imported here first guides the fuzzer

from fuzz.cases import case_of
from fuzz.promises import check


def one_input(given: bytes) -> None:
    """Reads what the input means; an error ends the run, and libFuzzer keeps the input."""
    check(case_of(given))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
