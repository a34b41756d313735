from __future__ import annotations

import pytest

from assembler.registry.retry import Patience, RetryPolicy
from assembler.registry.unreachable import Unreachable
from tests.support.clocks import FakeTime


def patience(time: FakeTime, policy: RetryPolicy | None = None) -> tuple[Patience, list[str]]:
    warnings: list[str] = []
    return Patience(time.clock, policy or RetryPolicy(), warnings.append), warnings


def fails(times: int, error: Unreachable | None = None) -> list[object]:
    return [error or Unreachable("The line is cut")] * times + ["done"]


def run(of: Patience, answers: list[object]) -> object:
    def action() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return of.call("The work", action)


def test_pauses_grow_and_are_jittered(time: FakeTime) -> None:
    of, warnings = patience(time)
    assert run(of, fails(4)) == "done"
    assert time.pauses == [0.5, 1.0, 2.0, 4.0]  # half of 1, 2, 4, 8: chance is 0.5 here
    assert warnings[0] == "The work: The line is cut; try 2 in 0.5 s."


def test_patience_is_by_time_and_not_by_tries(time: FakeTime) -> None:
    of, _ = patience(time)
    assert run(of, fails(20)) == "done"
    with pytest.raises(Unreachable) as caught:
        run(of, fails(40))
    assert caught.value.detail == "The work was tried 27 times, with 118 s of pauses; --retry-for allows more"


def test_without_patience_everything_is_tried_once(time: FakeTime) -> None:
    of, warnings = patience(time, RetryPolicy(patience=0))
    with pytest.raises(Unreachable) as caught:
        run(of, fails(1))
    assert caught.value.detail == "The work was tried once; --retry-for allows more"
    assert not warnings and not time.pauses


def test_what_will_not_pass_is_not_tried_again(time: FakeTime) -> None:
    of, _ = patience(time)
    with pytest.raises(Unreachable):
        run(of, fails(1, Unreachable("no such host", temporary=False)))
    assert time.pauses == []


def test_the_budget_is_of_pauses_and_not_of_work(time: FakeTime) -> None:
    """An upload that broke after an hour is worth another try."""
    of, _ = patience(time, RetryPolicy(patience=2.0))
    trial = of.trial("The upload")
    trial.begin()
    time.now += 3600
    trial.failed(Unreachable("cut"))
    trial.begin()
    trial.failed(Unreachable("cut"))
    with pytest.raises(Unreachable):
        trial.failed(Unreachable("cut"))


def test_progress_starts_the_count_anew(time: FakeTime) -> None:
    of, _ = patience(time)
    trial = of.trial("The upload")
    for reached in range(20):
        trial.begin(reached)
        trial.failed(Unreachable("cut"))
    with pytest.raises(Unreachable):
        for _ in range(40):
            trial.begin(19)
            trial.failed(Unreachable("cut"))


def test_a_retry_after_holds_for_all_threads(time: FakeTime) -> None:
    of, _ = patience(time)
    of.hold_back(7)
    assert run(of, ["done"]) == "done"
    assert time.pauses == [7]
