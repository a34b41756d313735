"""Whatever is in a file that is called a module: a verdict, never a traceback, and no more memory than it is worth."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.kernel.compression import LARGEST
from assembler.kernel.judge import judge
from assembler.kernel.kernel import Kernel, Machine
from assembler.kernel.module import read_module
from assembler.kernel.module_signature import MARK
from assembler.kernel.symbols import Listed
from assembler.kernel.verdict import Outcome
from tests.kernel.conftest import RELEASE

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = Kernel(
    "test", RELEASE, config={"MODVERSIONS": "y", "MODULES": "y", "MODULE_SIG": "y", "MODULE_SIG_FORCE": "y"},
    vermagic=f"{RELEASE} SMP", symbols=Listed({}, is_complete=True), machine=Machine(62, 64), keys=(),
)  # fmt: skip


def judged(data: bytes) -> Outcome:
    (verdict,) = judge([read_module("any.ko", memoryview(data))], KERNEL)
    assert verdict.reasons
    return verdict.outcome


@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    for head in (b"", b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x02\x01", b"\xfd7zXZ\0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"):
        assert judged(head + data) is Outcome.REFUSED
    assert judged(data + MARK) is Outcome.REFUSED


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage(built: Path, signed: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from([built / "t_use.ko", built / "t_dep.ko", signed]))
    whole = bytearray(file.read_bytes())
    table = int.from_bytes(whole[40:48], "little")
    places = st.one_of(
        st.integers(0, 63), st.integers(table, len(whole) - 1), st.integers(0, len(whole) - 1),
        st.integers(max(0, len(whole) - 600), len(whole) - 1),
    )  # fmt: skip
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        whole[place] = data.draw(st.integers(0, 255))
    judged(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    judged(bytes(whole))


def test_a_cut_off_module_is_refused_wherever_it_was_cut(built: Path) -> None:
    whole = (built / "t_plain.ko").read_bytes()
    for size in range(0, len(whole), 997):
        assert judged(whole[:size]) is Outcome.REFUSED


def test_a_bomb() -> None:
    tracemalloc.start()
    try:
        packed = gzip.compress(bytes(LARGEST + 1000), 1)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert judged(packed * 3) is Outcome.REFUSED
        assert tracemalloc.get_traced_memory()[1] - before < 3 * LARGEST
    finally:
        tracemalloc.stop()
