#!/usr/bin/env bash
# Run a goal of the Makefile, such as quick or test, on Debian trixie in a container: tools/trixie.sh GOAL [ARGS=...]
#
# The container has a copy of this checkout, and is removed at the end. Its tests have their servers of this machine's
# engine, whose socket it is given; with XPM_TEST_SSH=local, or without such a socket, they use a private sshd of trixie.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/engine.sh

xpm_engine git=git
[ -n "${XPM_TEST_BUILD_ARGS:-}" ] || xpm_build_args
xpm_trixie
[ -n "${XPM_TEST_TRIXIE_IMAGE:-}" ]

packages=sshfs
engine=${XPM_TEST_ENGINE:-docker}
docker_socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
docker_socket=${docker_socket#unix://}
# The test's servers are named by the processes that use them, so it sees those of all tests; hence a place of its own
# for temporary files, by which the tests know their processes.
given=(--pid=host -e PYTEST_DEBUG_TEMPROOT=/tests)
[ ! -e /dev/fuse ] || given+=(--device /dev/fuse --cap-add SYS_ADMIN)
if [ "${1:-}" = quick ] || [ "${XPM_TEST_SSH:-}" = local ]; then
    given+=(-e XPM_TEST_SSH=local)
elif [[ $engine = *podman* ]]; then
    packages+=' podman-remote'
    sockets=$(mktemp -d)
    # shellcheck disable=SC2086  # the arguments are words
    "$engine" ${XPM_TEST_ENGINE_ARGS:-} system service --time=0 "unix://$sockets/podman.sock" \
        </dev/null >/dev/null 2>&1 &
    trap "kill $!; rm -rf '$sockets'" EXIT
    given+=(-v "$sockets:/run/engine" -e XPM_TEST_ENGINE=podman-remote)
    given+=(-e 'XPM_TEST_ENGINE_ARGS=--url unix:///run/engine/podman.sock')
elif [ -S "$docker_socket" ]; then
    packages+=' docker-cli'
    given+=(-v "$docker_socket:/var/run/docker.sock" -e XPM_TEST_ENGINE=docker)
else
    given+=(-e XPM_TEST_SSH=local)
fi
for name in XPM_TEST_{ALL,BASE_IMAGE,BUILD_ARGS,RUN_ARGS,TRIXIE_IMAGE,WORKERS}; do
    [ -z "${!name:-}" ] || given+=(-e "$name=${!name}")
done
# shellcheck disable=SC2016  # it is the container's to expand
run='set -e
mkdir /checkout /tests
cd /checkout
tar x
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    ca-certificates git make openssh-client openssh-server procps python3-venv tmux tzdata $1 >/dev/null
shift
python3 --version
ssh -V
make "$@"'
# shellcheck disable=SC2086  # the arguments are words
git ls-files -z --cached --others --exclude-standard | tar --null -T - -c |
    xpm_call run -i --rm $XPM_TEST_BUILD_ARGS "${given[@]}" "$XPM_TEST_TRIXIE_IMAGE" \
        bash -c "$run" trixie "$packages" "$@"
