# Sourced by the scripts in this directory.
# shellcheck shell=bash

say() { printf '%s\n' "labgen: $*" >&2; }

# The host is not ready: exit code 20, the same as labgen's.
die() {
  printf 'labgen: error: %s\n' "$1" >&2
  shift
  [[ $# -eq 0 ]] || printf '  %s\n' "$@" >&2
  exit 20
}

# Runs a command as root: directly, or through sudo, which may ask for a password.
as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    die "this needs root: $*" "Run it as root, or install sudo and let $(id -un) use it."
  fi
}

# Whether the user is in the group libvirt: already in this process, or from the next login.
in_group_now() { [[ " $(id -nG) " == *" libvirt "* ]]; }
in_group() { [[ " $(id -nG "$(id -un)") " == *" libvirt "* ]]; }
