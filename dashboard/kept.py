"""What pages keep between reruns and share between sessions where pickling would cost too much, bounded in size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock, RLock
from typing import Generic, TypeVar

__all__ = ["Kept"]

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by key; those that were not asked for longest go once the sizes add up to more than a budget.

    Parameters
    ----------
    budget : int
        Most that all values together may take, in bytes. One value alone may take more.
    size : callable
        What a value takes, in bytes.

    Notes
    -----
    Values are handed out as they are, not copied: nobody may change them. One value is made at a time, so that two
    sessions that ask for the same one do not both take the time and the memory.
    """

    def __init__(self, budget: int, size: Callable[[T], int]) -> None:
        self._budget = budget
        self._size = size
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._total = 0
        self._lock = Lock()
        self._making = RLock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made where it is not there."""
        with self._lock:
            if key in self._values:
                return self._found(key)
        with self._making:
            with self._lock:
                if key in self._values:  # made by another session in the meantime
                    return self._found(key)
            value = make()
            with self._lock:
                self._keep(key, value)
        return value

    def _found(self, key: Hashable) -> T:
        self._values.move_to_end(key)
        return self._values[key][0]

    def _keep(self, key: Hashable, value: T) -> None:
        self._values[key] = value, self._size(value)
        self._total += self._values[key][1]
        while self._total > self._budget and len(self._values) > 1:
            _, (_, size) = self._values.popitem(last=False)
            self._total -= size

    def __len__(self) -> int:
        return len(self._values)

    @property
    def total(self) -> int:
        """What the values take together, in bytes."""
        return self._total
