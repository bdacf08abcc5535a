"""Walking an ImagePlan: docker makes the image, and gives it away where it is to."""

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from debship.errors import Failed
from debship.image.plan import IIDFILE, Builder, ImagePlan
from debship.run import Completed, Run, failure


def find_builder(run: Run) -> Builder:
    """Say which builder this machine's docker has.

    Docker had BuildKit built in from 18.09 to 22; since 23 it lies in a plugin, docker-buildx.
    """
    if run(["docker", "buildx", "version"], check=False).returncode == 0:
        return "buildkit"
    text = run(["docker", "--version"]).text
    major = re.search(r"version (\d+)\.", text)
    return "buildkit" if major and 19 <= int(major[1]) < 23 else "classic"


def build_image(plan: ImagePlan, builder: Builder, *, run: Run, say: Callable[[str], None]) -> str:
    """Make the image.

    Args:
        plan: what it is.
        builder: which builder docker is to use.
        run: the door to local programs.
        say: hears what is being done.

    Returns:
        its id.

    Raises:
        Failed: docker is not installed, cannot be reached, or failed; no image has the tag then.
    """
    with tempfile.TemporaryDirectory(prefix="debship-image-") as name:
        context = Path(name)
        (context / "Dockerfile").write_text(plan.dockerfile)
        for beside, deb in plan.beside:
            shutil.copyfile(deb, context / beside)
        say(f"building {plan.deb.filename} into an image")
        environment = {"DOCKER_BUILDKIT": "1" if builder == "buildkit" else "0"}
        done = run(plan.build, cwd=context, env=environment, check=False)
        if done.returncode != 0:
            raise _failure(done, run)
        image = (context / IIDFILE).read_text().strip()
    if plan.push:
        say(f"pushing {plan.push[-1]}")
        run(plan.push)
    return image


def _failure(done: Completed, run: Run) -> Failed:
    """Tell a build that failed from a daemon that is not there, or not any more."""
    asked = run(["docker", "version"], check=False)
    if b"permission denied" in asked.stderr:
        hint = "be root, or in the group docker"
        return Failed("docker's daemon may not be spoken to by this user", hint)
    if asked.returncode != 0:
        hint = "start it, or name it in DOCKER_HOST"
        return Failed("docker's daemon cannot be reached", hint)
    # The classic builder writes on stdout what a step said.
    return Failed(failure(done._replace(stderr=done.stdout + b"\n" + done.stderr)))
