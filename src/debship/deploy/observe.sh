# What is true on this host, as lines of "key value". Arguments: PACKAGE FILE...
# It changes nothing, and no answer it gives is an error: an absent thing has no line.
set -u
export LC_ALL=C
package=$1
shift
# Asking systemd takes time, and a host is out for as long as it is asked: each unit is asked once.
value() {
    rest=${shown##*"$1="}
    [ "$rest" = "$shown" ] || echo "${rest%%"$newline"*}"
}
newline='
'
dpkg-query -W -f='package ${db:Status-Abbrev}|${Version}\n' "$package" 2>/dev/null
# A template cannot run; its instances are links in the package.
units=$(dpkg-query -L "$package" 2>/dev/null |
    sed -n 's#^\(/usr\)\{0,1\}/lib/systemd/system/\([^/]*[^/@]\.\(service\|timer\|socket\)\)$#\2#p' | sort -u)
for unit in $units; do
    echo "unit $unit"
    shown=$(systemctl show -p ActiveState,SubState,Result,NRestarts,InvocationID,MainPID,UnitFileState "$unit")
    echo "$shown"
    pid=$(value MainPID)
    if [ "${pid:-0}" -gt 0 ] && [ -r "/proc/$pid/environ" ]; then
        tr '\0' '\n' < "/proc/$pid/environ" 2>/dev/null | sed -n 's/^DEBSHIP_VERSION=/running /p'
        echo "started $(stat -c %Y "/proc/$pid" 2>/dev/null)"
    fi
done
shown=$(systemctl show -p LoadState,ActiveState "debship-install-$package.service" 2>/dev/null)
[ "$(value LoadState)" = loaded ] && echo "install $(value ActiveState)"
for file in "$@"; do
    [ -e "$file" ] && echo "file $(stat -c '%a %U %G %Y' "$file") $(sha256sum < "$file" | cut -c1-64) $file"
done
dpkg-query -W -f='${Conffiles}\n' "$package" 2>/dev/null | while read -r file sum rest; do
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
