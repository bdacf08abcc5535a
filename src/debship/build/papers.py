"""What a package tells of itself: its changelog, its copyright, and why lintian may be wrong."""

import email.utils
import time
from typing import Any

from debship.build.package import Package


def papers(package: Package) -> dict[str, Any]:
    """Give what the templates of the papers may name."""
    return {
        "package": package,
        "plan": package.plan,
        "date": email.utils.formatdate(package.date),
        "year": time.gmtime(package.date).tm_year,
        "prefix": str(package.plan.prefix).removeprefix("/"),
    }
