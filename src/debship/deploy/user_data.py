"""Cloud-init user data by which a new instance installs what the fleet has, by itself. Pure.

It is a script, as cloud-init runs it once at the first boot. Whoever can read an instance's metadata
can read it, so it holds no secret: files that name one are left to the next roll.
"""

import base64
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from debship.deploy import apt
from debship.deploy.configuration import RenderedFile
from debship.model import DebVersion, PackageName

_HEAD = """#!/bin/sh
# Written by `fab bootstrap --user-data`: cloud-init runs it at an instance's first boot.
set -eu
umask 022
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8
put() {
    if [ -n "$installed" ]; then
        case ":$late" in *":$1:"*) ;; *) return ;; esac
    elif ! owner_is_there "$2"; then
        late="$late$1:"
        return
    fi
    mkdir -p -m 0755 -- "$(dirname -- "$1")"
    base64 -d > "$1.new"
    chown -- "$2" "$1.new"
    chmod -- "$3" "$1.new"
    mv -fT -- "$1.new" "$1"
}
# A user of the application's own comes with its package.
owner_is_there() {
    getent passwd "${1%%:*}" && getent group "${1#*:}"
} > /dev/null
installed='' late=''
# At the first boot the network and apt's locks may take their time.
patiently() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 30 ] || exit 1
        sleep 5
    done
}
"""
# What ``apt.with_key_beside`` does, on a host of which nobody knows yet which apt it has.
_BESIDE = f"""if dpkg --compare-versions "$(dpkg-query -W -f '${{Version}}' apt)" lt {apt.READS_KEYS}; then
    mkdir -p {PurePosixPath(apt.KEYRING).parent}
    sed -n '/^Signed-By:$/,$ s/^ \\.\\{{0,1\\}}//p' {apt.SOURCE} > {apt.KEYRING}
    sed -i 's#^Signed-By:$#Signed-By: {apt.KEYRING}#; /^ /d' {apt.SOURCE}
fi
"""
_TAIL = """patiently apt-get -q -o APT::Update::Error-Mode=any update
patiently apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=600 \\
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \\
    install {package}={version}
"""
# Without those files the service began in vain.
_LATE = """installed=yes
if [ -n "$late" ]; then
    managed
    for unit in $(dpkg-query -L {package} |
        sed -n 's#^\\(/usr\\)\\{{0,1\\}}/lib/systemd/system/\\([^/]*[^/@]\\.service\\)$#\\2#p' | sort -u); do
        systemctl reset-failed "$unit" || :
        case $(systemctl is-enabled "$unit" || :) in
        enabled*) systemctl restart "$unit" ;;
        *) systemctl try-restart "$unit" ;;
        esac
    done
fi
"""


def user_data(
    package: PackageName, version: DebVersion, sources: str, files: Sequence[RenderedFile]
) -> str:
    """Write the script.

    Args:
        sources: the deb822 text with the key inline (sources.list(5)).
        files: managed files that hold no secret; they are there before the service starts, but for
            those of a user that comes with the package: with them it starts once more.
    """
    head = _HEAD + _put(apt.SOURCE, "root:root", 0o644, sources) + _BESIDE
    tail = _TAIL.format(package=package, version=version)
    if not files:
        return head + tail
    puts = [_put(f.path, f"{f.owner}:{f.group}", f.mode, f.content.reveal()) for f in files]
    managed = f"managed() {{\n{''.join(puts)}}}\nmanaged\n"
    return head + managed + tail + _LATE.format(package=package)


def _put(path: str, owner: str, mode: int, content: str) -> str:
    text = base64.encodebytes(content.encode()).decode()
    return f"put {shlex.quote(path)} {owner} {mode:04o} << 'END'\n{text}END\n"
