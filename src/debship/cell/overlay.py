"""An overlay: a layer for writes on a folder that is itself not written to (overlayfs)."""

import os
from dataclasses import dataclass
from pathlib import Path

from debship.errors import Refused


@dataclass(frozen=True, slots=True)
class Overlay:
    """Where writes go, and where what was there before lies."""

    lower: Path
    folder: Path  # a new one

    @property
    def upper(self) -> Path:
        """Where what is written goes."""
        return self.folder / "upper"

    @property
    def options(self) -> str:
        """Options for mount(8). volatile: nobody waits for the disk, for what is thrown away."""
        work = self.folder / "work"
        user = "" if os.geteuid() == 0 else ",userxattr"
        return f"lowerdir={self.lower},upperdir={self.upper},workdir={work},volatile{user}"

    def make(self) -> None:
        """Make its folders.

        Raises:
            Refused: an option of mount(8) cannot hold the path.
        """
        for path in (self.lower, self.folder):
            if set(':,\\"') & set(str(path)):
                raise Refused(
                    f"{path}: an overlay's path may have no colon, comma, backslash or quote",
                    "move it to a path without (temporary files: TMPDIR; roots: DEBSHIP_CACHE)",
                )
        self.upper.mkdir(parents=True)
        self.upper.chmod(self.lower.stat().st_mode & 0o7777)
        (self.folder / "work").mkdir()


def make_place(path: Path, layer: Overlay) -> None:
    """Make a place to mount on in a layer; a folder there hides the mode of the one below."""
    inner = path.relative_to("/")
    for parent in (*reversed(inner.parents[:-1]), *([inner] if path.is_dir() else ())):
        folder, like = layer.upper / parent, layer.lower / parent
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(like.stat().st_mode & 0o7777 if like.is_dir() else 0o755)
    if not path.is_dir():
        (layer.upper / inner).touch()
