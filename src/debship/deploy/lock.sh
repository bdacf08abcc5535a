# One roll at a time for one package on this host. Arguments: VERB FILE [ROLL SINCE BY PROCESS OVER]
# The file is one line, "ROLL NUMBER SINCE BY PROCESS" ("-" as ROLL: nobody), and its time of
# change is the heartbeat: every command of a roll touches it. Ages are told by this host's clock.
set -u
verb=$1 file=$2
mkdir -p -m 0755 "$(dirname "$file")"
exec 9>>"$file"
# A command of the holder that still runs holds the file shared: nobody takes over before its end.
flock -x -w 5 9 || verb=show
read -r roll number since by process < "$file" || { roll=- number=0; }
age=$(($(date +%s) - $(stat -c %Y "$file")))
held() { echo "held $roll $number $since $by $process $age"; }
free=no
case $roll in -) free=yes ;; esac
case $verb in
show) [ $free = yes ] && echo "free $number" || held ;;
take)
    if [ $free = yes ] || [ "$roll" = "$3" ] || [ "$roll" = "$7" ]; then
        number=$((number + 1))
        echo "$3 $number $4 $5 $6" > "$file"
        echo "taken $number"
    else
        held
    fi
    ;;
drop)
    if [ "$roll" = "$3" ]; then
        echo "- $number" > "$file"
        echo "free $number"
    elif [ $free = yes ]; then
        echo "free $number"
    else
        held
    fi
    ;;
esac
exit 0
