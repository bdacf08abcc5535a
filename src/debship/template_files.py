"""Where the templates are; finding them loads no template engine."""

from pathlib import Path

from debship.errors import Failed


def directory() -> Path:
    """Find ``debian-templates``: inside the wheel, or at the top of a checkout.

    Raises:
        Failed: neither holds it, so the installation is broken.
    """
    here = Path(__file__).resolve().parent
    for candidate in (here / "debian-templates", here.parents[1] / "debian-templates"):
        if candidate.is_dir():
            return candidate
    raise Failed(
        "debship's templates are missing from this installation", "reinstall the debship wheel"
    )
