from debship.fabfile import *  # noqa: F403
