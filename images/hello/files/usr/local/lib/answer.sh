# What the scripts have in common.
# shellcheck shell=sh disable=SC1091
. /tmp/environment

# Begins an answer; nginx adds the headers that say who gives it: answer TYPE
answer() {
  printf 'Content-Type: %s; charset=utf-8\r\n\r\n' "$1"
}

# A whole number out of the query: number NAME DEFAULT LARGEST
number() {
  case $QUERY_STRING in
    "$1="*[!0-9]* | "$1=") echo "$2" ;;
    "$1="*) [ "${QUERY_STRING#*=}" -le "$3" ] 2>/dev/null && echo "${QUERY_STRING#*=}" || echo "$3" ;;
    *) echo "$2" ;;
  esac
}
