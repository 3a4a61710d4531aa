# What the pages have in common.
# shellcheck shell=sh disable=SC1091
. /tmp/environment

# Begins an answer, whose headers say who gives it: answer TYPE
answer() {
  printf 'Content-Type: %s; charset=utf-8\r\n' "$1"
  printf 'Cache-Control: no-store\r\nX-Node: %s\r\nX-Task: %s\r\nX-Version: %s\r\n\r\n' "$NODE" "$TASK" "$VERSION"
}

# A whole number out of the query: number NAME DEFAULT LARGEST
number() {
  case $QUERY_STRING in
    "$1="*[!0-9]* | "$1=") echo "$2" ;;
    "$1="*) [ "${QUERY_STRING#*=}" -le "$3" ] 2>/dev/null && echo "${QUERY_STRING#*=}" || echo "$3" ;;
    *) echo "$2" ;;
  esac
}
