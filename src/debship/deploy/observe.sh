# What is true on this host, as lines of "key value". Arguments: PACKAGE FILE...
# It changes nothing, and no answer it gives is an error: an absent thing has no line.
set -u
export LC_ALL=C
package=$1
shift
newline='
'
# Asking dpkg and systemd takes time, and a host is out for as long as they are asked.
about=$(dpkg-query -W -f='${db:Status-Abbrev}|${Version}\n${Conffiles}\n' "$package" 2>/dev/null) &&
    echo "package ${about%%"$newline"*}"
# A template cannot run; its instances are links in the package.
units=$(dpkg-query -L "$package" 2>/dev/null |
    sed -n 's#^\(/usr\)\{0,1\}/lib/systemd/system/\([^/]*[^/@]\.\(service\|timer\|socket\)\)$#\2#p' | sort -u)
# shellcheck disable=SC2086 # names of units, as words
shown=$(systemctl show \
    -p Id,LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,MainPID,UnitFileState,Job \
    shutdown.target "debship-install-$package.service" $units 2>/dev/null) ||
    shown=$(for unit in shutdown.target $units; do printf 'Id=%s\n\n' "$unit"; done)
printf '%s\n\n' "$shown" | sed 's/^/unit /'
for pid in $(printf '%s\n' "$shown" | sed -n 's/^MainPID=\([1-9][0-9]*\)$/\1/p'); do
    [ -r "/proc/$pid/environ" ] || continue
    echo "process $pid $(stat -c %Y "/proc/$pid" 2>/dev/null)" \
        "$(tr '\0' '\n' < "/proc/$pid/environ" 2>/dev/null | sed -n 's/^DEBSHIP_VERSION=//p')"
done
for file in "$@"; do
    [ -e "$file" ] && echo "file $(stat -c '%a %U %G %Y' "$file") $(sha256sum < "$file" | cut -c1-64) $file"
done
printf '%s\n' "${about#*"$newline"}" | while read -r file sum rest; do
    if [ -n "$file" ] && [ -f "$file" ] && [ "$(md5sum < "$file" | cut -c1-32)" != "$sum" ]; then
        echo "edited $file"
    fi
done
[ -r "/var/lib/debship/$package/once.jsonl" ] && sed 's/^/once /' "/var/lib/debship/$package/once.jsonl"
for record in out.json version.json; do
    path=/var/lib/debship/$package/$record
    [ -r "$path" ] && echo "$record $(tr -d '\n' < "$path")"
done
exit 0
