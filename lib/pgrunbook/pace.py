"""The pace of batches: how many rows at a time, and how long to pause, so that nobody stalls."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pace", "Progress"]

START, LARGEST = 200, 5_000
# A smaller one that fits into the budget is slow because the machine is: still smaller ones would take for ever.
SMALL = 50
# A batch is stopped when it has held rows for LIMIT of the stall budget: the rest is for taking it back.
LIMIT, AIM = 0.8, 0.5
# What can only be given back as a whole has to fit into the budget then, too, when the machine may be busier.
WHOLE_AIM = 0.3
# What cannot be made smaller meets a busy moment now and then: each try keeps the budget, so there may be many.
LAST_TRIES = 20


@dataclass(slots=True)
class Pace:
    """How many rows the next batch may be; `fixed` where its size is not ours to choose.

    A `patient` one keeps its size until all tries have failed, so that it is the same on a busy machine.

    >>> pace = Pace(budget_ms=100)
    >>> pace.took(10), pace.size, pace.took(60), pace.size, pace.smaller(), pace.size
    (None, 400, None, 300, True, 75)
    """

    budget_ms: float
    size: int = START
    fixed: bool = False
    patient: bool = False
    aim: float = AIM
    worst_ms: float = 0.0
    _tries: int = 0

    @property
    def limit_ms(self) -> float:
        """Return for how long a batch may hold rows before it is stopped."""
        return self.budget_ms * LIMIT

    def took(self, held_ms: float) -> None:
        """Take for how long a batch held its rows: the next one is larger or smaller for it."""
        self._tries = 0
        self.worst_ms = max(self.worst_ms, held_ms)
        if held_ms > self.budget_ms * self.aim:
            self.size = max(min(self.size, SMALL), self.size * 3 // 4)
        elif held_ms < self.budget_ms * self.aim / 2:
            self.size = min(LARGEST, self.size * 2)

    def smaller(self) -> bool:
        """Make the next batch much smaller, after one that was stopped; return False where that has no sense."""
        if self.size == 1 or self.fixed or self.patient:
            self._tries += 1
            if self._tries < LAST_TRIES or self.size == 1 or self.fixed:
                return self._tries < LAST_TRIES
            self.patient, self._tries = False, 0
        self.size = max(1, self.size // 4)
        return True


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a remedy or its undo is: rows so far, of about how many, since how many seconds."""

    rows: int
    expected: int = 0
    seconds: float = 0.0
    size: int = 0

    @property
    def rate(self) -> float:
        """Return the rows a second so far."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Return about how many seconds are left, or None where that is not known."""
        if not self.rate or self.rows >= self.expected:
            return None
        return (self.expected - self.rows) / self.rate

    def __str__(self) -> str:
        """Return it in words.

        >>> str(Progress(12_000, 50_000, 10.0, 400))
        '12,000 of about 50,000 rows, 1,200 a second, about 32 s left; batches of 400'
        >>> str(Progress(12_000, 0, 10.0, 400)), str(Progress(0, 7))
        ('12,000 rows, 1,200 a second; batches of 400', '0 of about 7 rows')
        """
        # A repair of one row may have to move others: what was found beforehand is no total then.
        of = f" of about {self.expected:,}" if self.expected and self.rows <= self.expected else ""
        rate = f", {self.rate:,.0f} a second" if self.rate else ""
        left = f", about {self.left_s:,.0f} s left" if self.left_s is not None else ""
        return f"{self.rows:,}{of} rows{rate}{left}" + (f"; batches of {self.size:,}" if self.size else "")
