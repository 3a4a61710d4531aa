import threading

import pytest

from labgen.errors import ClusterError, GuestError
from labgen.parallel import on_each


def test_results_come_in_the_items_order() -> None:
    assert list(on_each({"b": 2, "a": 1}, lambda number: number * 10).items()) == [("b", 20), ("a", 10)]


def test_all_run_at_once() -> None:
    together = threading.Barrier(3, timeout=10)
    on_each(dict.fromkeys("abc", together), lambda barrier: barrier.wait())


def test_none_is_a_result() -> None:
    assert on_each({"a": 1}, lambda _: None) == {"a": None}


def test_one_failure_is_raised_as_it_is() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise GuestError("two failed", "evidence")
        return number

    with pytest.raises(GuestError, match="two failed"):
        on_each({"a": 1, "b": 2}, work)


def test_several_failures_are_all_told() -> None:
    def work(name: str) -> None:
        raise ClusterError(f"{name} failed", f"evidence of {name}", "try again")

    with pytest.raises(ClusterError) as caught:
        on_each({"a": "a", "b": "b"}, work)
    assert "evidence of a" in caught.value.details
    assert "evidence of b" in caught.value.details
    assert caught.value.resolution == "try again"


def test_a_defect_is_not_hidden_behind_expected_failures() -> None:
    def work(name: str) -> None:
        raise GuestError("expected") if name == "a" else ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        on_each({"a": "a", "b": "b"}, work)
