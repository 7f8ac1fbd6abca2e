#!/usr/bin/env bash
# Run a goal of the Makefile, such as quick or test, on Debian trixie in a container: tools/trixie.sh GOAL [ARGS=...]
#
# The container has a copy of this checkout, and is removed at the end. Its tests have no container engine: those that
# need a server use a private sshd.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/engine.sh

xpm_engine git=git
[ -n "${XPM_TEST_BUILD_ARGS:-}" ] || xpm_build_args
xpm_trixie
[ -n "${XPM_TEST_TRIXIE_IMAGE:-}" ]
# shellcheck disable=SC2016  # it is the container's to expand
run='set -e
mkdir /checkout
cd /checkout
tar x
export DEBIAN_FRONTEND=noninteractive XPM_TEST_SSH=local
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    ca-certificates git make openssh-client openssh-server procps python3-venv tzdata >/dev/null
python3 --version
ssh -V
make "$@"'
# shellcheck disable=SC2086  # the arguments are words
git ls-files -z --cached --others --exclude-standard | tar --null -T - -c |
    xpm_call run -i --rm $XPM_TEST_BUILD_ARGS "$XPM_TEST_TRIXIE_IMAGE" bash -c "$run" trixie "$@"
