"""Who publishes: the store, the keys, and time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from debship.publish.clock import Clock
from debship.publish.signing import Certificates, Keyring
from debship.publish.snapshot import Snapshot, read_snapshot
from debship.publish.store import Store

Say = Callable[[str], None]


class Publisher(NamedTuple):
    """All that a publisher needs."""

    store: Store
    keys: Keyring
    clock: Clock
    say: Say
    jitter: Callable[[], float]  # 0 to 1, another for each publisher
    ours: Certificates

    def snapshot(self, suite: str, beside: Sequence[str] = ()) -> Snapshot:
        """Read a suite as it is now; see ``read_snapshot``."""
        return read_snapshot(self.store, suite, self.ours, self.keys.run, beside)
