# shellcheck shell=bash
# Sourced by tools/test.sh, and before whatever else needs the test server:
#
#   source tools/engine.sh && xpm_engine
#
# That leaves a container engine that works and, in XPM_TEST_*, what it needs of this machine to work
# (tests/support/engine.py says what each of them means). Nothing is done where XPM_TEST_ENGINE names one
# already, or where docker answers. Otherwise podman is used, and each particular is set only if podman
# fails without it. On Debian, root gets what is missing; elsewhere one line says what to install.

XPM_ENGINE_STATE="${XDG_CACHE_HOME:-$HOME/.cache}/xpm-remote-ci"
XPM_ENGINE_DOCKERFILE="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/docker/Dockerfile"
XPM_ENGINE_BASE=localhost/xpm-remote-test-base
# Seconds to find out whether an image registry can be reached.
XPM_ENGINE_PULL_LIMIT=120

xpm_say() {
    printf 'set-up: %s\n' "$*" >&2
}

# Install the Debian packages of the commands that are missing: COMMAND=PACKAGE ...
xpm_need() {
    local pair missing=()
    for pair in "$@"; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        xpm_say "${XPM_NEEDED_FOR:-make test} needs ${missing[*]}: install ${XPM_INSTEAD:-what is missing}"
        return 1
    fi
    xpm_say "installing ${missing[*]}"
    apt-get update -qq </dev/null >&2 || xpm_say "apt-get update failed; going on with old lists"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 "${missing[@]}" </dev/null >&2
}

# Call the engine.
xpm_call() {
    # shellcheck disable=SC2086  # the arguments are words
    "${XPM_TEST_ENGINE:-docker}" ${XPM_TEST_ENGINE_ARGS:-} "$@"
}

# The mirror of this machine's own apt, for its base distribution.
xpm_mirror() {
    local uri
    # shellcheck disable=SC2016  # they are apt's own
    uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk '$3 == "main" && $2 !~ /-/ { print $1; exit }')
    case "$uri" in
        # Cloud images list their mirrors in a file of their own.
        mirror+file:*) awk '/^[a-z]+:/ { print $1; exit }' "${uri#mirror+file:}" ;;
        *) printf '%s\n' "$uri" ;;
    esac
}

# Build Debian's minimal system of a RELEASE as an image, once.
xpm_build_base() {
    local root status=0 log="$XPM_ENGINE_STATE/debootstrap-$1.log"
    xpm_need debootstrap=debootstrap || return
    mkdir -p "$XPM_ENGINE_STATE" && root=$(mktemp -d) || return
    xpm_say "no image registry can be reached; building $XPM_ENGINE_BASE:$1 with debootstrap"
    {
        debootstrap --variant=minbase "$1" "$root" "$(xpm_mirror)" </dev/null >"$log" 2>&1 &&
            # As in the distributed images: installing a server does not start it.
            printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" &&
            chmod 0755 "$root/usr/sbin/policy-rc.d" &&
            rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* &&
            tar -C "$root" -c . | xpm_call import - "$XPM_ENGINE_BASE:$1" >&2
    } || status=$?
    rm -rf "$root"
    [ "$status" -eq 0 ] || xpm_say "that failed; see $log"
    return "$status"
}

# The base image that the Dockerfile asks for by itself.
xpm_own_base() {
    sed -n 's/^ARG BASE_IMAGE=//p' "$XPM_ENGINE_DOCKERFILE"
}

# Print the image of a RELEASE: the PUBLISHED one if it can be had, else our own.
xpm_base() {
    if xpm_call image inspect "$2" </dev/null >/dev/null 2>&1; then
        printf '%s\n' "$2"
    elif xpm_call image inspect "$XPM_ENGINE_BASE:$1" </dev/null >/dev/null 2>&1; then
        printf '%s\n' "$XPM_ENGINE_BASE:$1"
    # shellcheck disable=SC2086  # the arguments are words
    elif timeout "$XPM_ENGINE_PULL_LIMIT" "${XPM_TEST_ENGINE:-docker}" ${XPM_TEST_ENGINE_ARGS:-} \
        pull -q "$2" </dev/null >/dev/null 2>&1; then
        printf '%s\n' "$2"
    else
        xpm_build_base "$1" && printf '%s\n' "$XPM_ENGINE_BASE:$1"
    fi
}

# Set XPM_TEST_BASE_IMAGE if the Dockerfile's own base image cannot be had.
xpm_base_image() {
    local own image
    own=$(xpm_own_base)
    unset XPM_TEST_BASE_IMAGE
    image=$(xpm_base bookworm "$own") || return
    [ "$image" = "$own" ] || export XPM_TEST_BASE_IMAGE="$image"
}

# Set XPM_TEST_TRIXIE_IMAGE, after xpm_engine. Without it, the tests that need it report that.
xpm_trixie() {
    [ -z "${XPM_TEST_TRIXIE_IMAGE:-}" ] || return 0
    if XPM_TEST_TRIXIE_IMAGE=$(xpm_base trixie debian:trixie-slim); then
        export XPM_TEST_TRIXIE_IMAGE
    else
        unset XPM_TEST_TRIXIE_IMAGE
        xpm_say "there is no image of Debian trixie; name one by XPM_TEST_TRIXIE_IMAGE"
    fi
}

# Find the arguments with which podman runs a container here, from none to all of them.
xpm_run_args() {
    local image="${XPM_TEST_BASE_IMAGE:-$(xpm_own_base)}"
    local limits='--ulimit nofile=1024:1024 --ulimit nproc=4096:4096'
    unset XPM_TEST_ENGINE_ARGS XPM_TEST_RUN_ARGS
    if xpm_call run --rm "$image" true </dev/null >/dev/null 2>&1; then
        return
    fi
    # A machine that may not raise its limits: podman's default limits are above them, and crun
    # fails where runc does not.
    xpm_need runc=runc || return
    printf '[containers]\ndefault_ulimits = []\n' >"$XPM_ENGINE_STATE/containers.conf"
    export CONTAINERS_CONF="$XPM_ENGINE_STATE/containers.conf"
    export XPM_TEST_ENGINE_ARGS='--runtime runc' XPM_TEST_RUN_ARGS="$limits"
    # shellcheck disable=SC2086  # the arguments are words
    xpm_call run --rm $XPM_TEST_RUN_ARGS "$image" true </dev/null >&2 ||
        { xpm_say "podman cannot run a container on this machine"; return 1; }
}

xpm_build_args() {
    local bundle=/etc/ssl/certs/ca-certificates.crt inside=/run/build-ca.crt
    XPM_TEST_BUILD_ARGS="--network=host ${XPM_TEST_RUN_ARGS:-}"
    # The build trusts whom this machine trusts; a network may have an authority of its own.
    if [ -r "$bundle" ]; then
        XPM_TEST_BUILD_ARGS+=" -v $bundle:$inside:ro --env SSL_CERT_FILE=$inside --env PIP_CERT=$inside"
    fi
    export XPM_TEST_BUILD_ARGS
}

# Have the engine, and what else is needed: COMMAND=PACKAGE ...
xpm_engine() {
    if [ -n "${XPM_TEST_ENGINE:-}" ]; then
        xpm_need "$@"
        return
    fi
    if docker info >/dev/null 2>&1; then
        xpm_need "$@" || return
        xpm_say "using docker"
        return
    fi
    XPM_INSTEAD="what is missing (docker will do for podman), or set XPM_TEST_SSH=local to use a private sshd" \
        xpm_need "$@" podman=podman || return
    mkdir -p "$XPM_ENGINE_STATE" || return
    export XPM_TEST_ENGINE=podman
    xpm_base_image && xpm_run_args && xpm_build_args || return
    xpm_say "using podman ${XPM_TEST_ENGINE_ARGS:-}"
}
