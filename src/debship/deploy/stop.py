"""A person's wish to stop: once after this batch, twice at the next safe point."""

from dataclasses import dataclass

from debship.errors import Uncertain


class Interrupted(Uncertain):
    """A person wants out now; the host is at a safe point."""


@dataclass
class Stop:
    """How often a person asked to stop. Set from a signal's handler, read by the roll."""

    asked: int = 0

    def ask(self) -> None:
        """Ask (once more)."""
        self.asked += 1

    @property
    def after_batch(self) -> bool:
        """Whether the roll is to end when this batch has."""
        return self.asked > 0

    @property
    def now(self) -> bool:
        """Whether the roll is to end at the next safe point."""
        return self.asked > 1

    def safe_point(self) -> None:
        """Mark a moment at which a turn may be left.

        Raises:
            Interrupted: a person wants that.
        """
        if self.now:
            raise Interrupted("a person asked twice to stop")
