#!/usr/bin/env bash
# Run the tests: `tools/test.sh test|quick [PYTEST ARGUMENT ...]`; see the Makefile.
#
# All tests run in two parts, none of them twice. What is quick and needs no server runs with the coverage
# of the pure modules, which is a gate; the rest runs without. With arguments there is one part and no gate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/engine.sh

kind=$1
shift
processors=$(getconf _NPROCESSORS_ONLN)
# Tests also wait.
more=$((processors + (processors + 1) / 2))
parallel=(--maxprocesses 8 --dist loadfile --no-loadscope-reorder -q --durations=25)
quick='not server and not slow'
started=$SECONDS
status=0
stopped=

# In the background, since bash takes a signal only while it waits; SIGINT reaches the tests by itself.
pytest() {
    local ended=0
    .venv/bin/python -m pytest "$@" <&0 &
    trap 'stopped=1' INT
    trap "stopped=1; kill -TERM $! 2>/dev/null" TERM HUP
    wait $! || ended=$?
    [ -z "$stopped" ] || { wait $! || true; exit 130; }
    [ $ended = 0 ] || status=1
}

if [ "$kind" = quick ]; then
    pytest -n "${XPM_TEST_WORKERS:-$more}" "${parallel[@]}" -m "$quick" "$@"
else
    # A part may need no server.
    if [ $# -eq 0 ] || .venv/bin/python -m tools.needs_server "$@" >/dev/null 2>&1; then
        if [ "${XPM_TEST_SSH:-}" = local ]; then
            xpm_need ssh=openssh-client git=git sshd=openssh-server tmux=tmux
        else
            xpm_engine ssh=openssh-client git=git sshd=openssh-server tmux=tmux
            xpm_trixie
        fi
    fi
    if [ $# -gt 0 ]; then
        pytest "$@"
    else
        .venv/bin/python -m tools.pure >.venv/pure.coveragerc
        pytest -n "${XPM_TEST_WORKERS:-$processors}" "${parallel[@]}" -m "$quick" --cov --cov-config=.venv/pure.coveragerc
        pytest -n "${XPM_TEST_WORKERS:-$more}" "${parallel[@]}" -m "not ($quick)"
    fi
fi
took=$((SECONDS - started))
printf 'tests: %d min %02d s, %s\n' $((took / 60)) $((took % 60)) "$([ $status = 0 ] && echo passed || echo FAILED)"
exit $status
