#!/bin/sh
# Bring back, on the cluster, every job that a run of its workspace refers to and that is missing there; wait for what
# passes by itself; fail when some cannot be brought back.
#
#     examples/recover_missing.sh my-cluster
#
# my-cluster is a workspace of ~/.config/experimaestro/settings.yaml with ssh and folders. Nothing passes through this
# machine: the copies are made there. XPM is the command to run; XPM_TRIES says how often to try what may pass, and
# XPM_WAIT how many seconds to wait before each further try.
#
# Exit status: 0 when nothing is missing any more, 31 when some jobs are in no folder, else that of the last try
# (docs/exit-codes.md): 13 when the host refuses us, 33 when a folder is not mounted, 34 when another process works there.

set -u

workspace=${1:?usage: $0 WORKSPACE}
xpm=${XPM:-experimaestro}
tries=${XPM_TRIES:-5}
wait=${XPM_WAIT:-60}

try=1
while :; do
    status=0
    # Jobs that are brought back already do not count as missing: to run it again is always safe.
    $xpm jobs --workspace "$workspace" recover --missing || status=$?
    case $status in
    0)
        echo "nothing is missing in $workspace" >&2
        exit 0
        ;;
    # No address, no host, a lost link, a server that ended or is slow, an unavailable folder, another process at work.
    10 | 11 | 14 | 24 | 26 | 33 | 34) ;;
    # Some or all of what is missing is in no folder, and further tries would not find it.
    30 | 31)
        echo "some jobs of $workspace are in no folder: they have to run again" >&2
        exit 31
        ;;
    *) exit "$status" ;;
    esac
    if [ "$try" -ge "$tries" ]; then
        exit "$status"
    fi
    echo "try $try of $tries failed with exit status $status; trying again in $wait s" >&2
    # Interrupted, a sleep ends with the script.
    sleep "$wait"
    try=$((try + 1))
done
