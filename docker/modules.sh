# A small stand-in for the environment modules of a cluster. `module load NAME` puts on PATH the
# programs of the folder NAME that lies beside this script's own.
_modules_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

module() {
    if [ "${1:-}" != load ] || [ -z "${2:-}" ]; then
        echo "usage: module load NAME" >&2
        return 2
    fi
    if [ ! -d "$_modules_root/$2/bin" ]; then
        echo "module: unable to locate a modulefile for '$2'" >&2
        return 1
    fi
    export PATH="$_modules_root/$2/bin:$PATH"
}
