#!/bin/sh
# Where the answer comes from: text for curl, a page for a browser.
# shellcheck source=images/hello/files/usr/local/lib/answer.sh
. /usr/local/lib/answer.sh
case $HTTP_USER_AGENT in
  Mozilla/*) ;;
  *)
    answer text/plain
    printf 'node %s\ntask %s\nversion %s\nclient %s\n' "$NODE" "$TASK" "$VERSION" "$REMOTE_ADDR"
    exit
    ;;
esac
answer text/html
cat <<PAGE
<!DOCTYPE html>
<html lang="en">
<title>hello from $NODE</title>
<meta name="viewport" content="width=device-width">
<style>
  body { font: 1.2rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem }
  h1 { font-weight: 500 }
  th { text-align: left; font-weight: normal; color: #666; padding-right: 2rem }
</style>
<h1>Hello from $NODE</h1>
<table>
  <tr><th>container<td>$TASK
  <tr><th>version<td>$VERSION
  <tr><th>your address, as seen here<td>$REMOTE_ADDR
</table>
<p>Reload the page: another container may answer.
</html>
PAGE
