"""The changelog of a package (deb-changelog(5))."""

import email.utils

from debship.build.package import Package
from debship.templates import render


def changelog(package: Package) -> str:
    """Write the changelog."""
    plan = package.plan
    date = email.utils.formatdate(package.date)
    values = {"package": package, "plan": plan, "date": date}
    return render("package/changelog", values, overrides=plan.app.build.templates)
