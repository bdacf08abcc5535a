# What is true on this host, as lines of "key value". Arguments: PACKAGE FILE...
# It changes nothing, and no answer it gives is an error: an absent thing has no line.
set -u
export LC_ALL=C
package=$1
shift
dpkg-query -W -f='package ${db:Status-Abbrev}|${Version}\n' "$package" 2>/dev/null
