#!/bin/sh
# Gives this machine's load balancer another configuration, if the program accepts it; otherwise the former one stays.
# usage: balancer.sh PROGRAM VERSION PORT/tcp|udp ... <FILES    as a tar archive
#        balancer.sh PROGRAM                                    prints the version that runs
# Prints "changed", or nothing if that version runs already. Exit status 3: the program does not accept the files, or
# another one has a port; 4: it does not run with them, and runs with the former ones again; 5: the program is missing.
set -eu

program=$1
version=${2-}
shift
[ $# -eq 0 ] || shift
top=/etc/labgen/balancer
limit=60 # attempts, until the new configuration is in use

# For each program: its file, whether it accepts a directory's files, which version it runs, and its last words.
case $program in
nginx)
    binary=/usr/sbin/nginx main=nginx.conf reader=www-data
    place=/etc/nginx
    check() { nginx -t -q -c "$1/$main"; }
    running() { curl --silent --max-time 5 http://127.0.0.1:9909/version; }
    last_words() { tail -n 5 /var/log/nginx/error.log; }
    ;;
haproxy)
    binary=/usr/sbin/haproxy main=haproxy.cfg reader=root
    place=/etc/haproxy
    check() { haproxy -c -f "$1/$main"; }
    running() { echo "show info" | nc -U -w 5 /run/haproxy/admin.sock | sed -n 's/^[Dd]escription: //p'; }
    last_words() { journalctl -u haproxy.service -n 20 --no-pager; }
    ;;
nftables)
    binary=/usr/sbin/nft main=nftables.conf reader=root
    place=/etc
    check() { nft -c -f "$1/$main"; }
    running() { nft list table ip labgen | sed -n 's/^[[:space:]]*comment "version \(.*\)"$/\1/p'; }
    last_words() { journalctl -u nftables.service -n 20 --no-pager; }
    ;;
*)
    echo "$program is not a program for load balancers" >&2
    exit 5
    ;;
esac

# As "systemctl enable" does, which takes ten seconds under emulation.
start_at_boot() {
    wanted=/etc/systemd/system/multi-user.target.wants/$program.service
    [ -L "$wanted" ] || ln -s "/usr/lib/systemd/system/$program.service" "$wanted"
}

# Where the program looks: its own file, and beside it what that refers to.
link() {
    [ "$(readlink "$place/$main")" = "$top/current/$main" ] || {
        [ ! -f "$place/$main" ] || [ -e "$place/$main.debian" ] || mv "$place/$main" "$place/$main.debian"
        ln -sf "$top/current/$main" "$place/$main"
    }
    [ ! -d "$top/current/labgen" ] || [ -L "$place/labgen" ] || ln -s "$top/current/labgen" "$place/labgen"
}

# A reload would not report it, and HAProxy stops listening for a moment while it tries. $@: the ports.
require_free() {
    for port; do
        case $port in *udp) kind=-u ;; *) kind=-t ;; esac
        others=$(ss -Hln $kind -p "sport = :${port%/*}" | grep -v "users:((\"$program\"" || :)
        [ -z "$others" ] || {
            echo "port $port is taken: $others" >&2
            return 1
        }
    done
}

# $1: a version. There is always a current one, whenever this script is killed.
switch() {
    ln -sfn "$1" "$top/current.new"
    mv -T "$top/current.new" "$top/current"
}

# Packets for the backends pass through this machine, also after it was booted.
forward() {
    setting=net.ipv4.ip_forward
    sysctl --quiet --write "$setting=1"
    echo "$setting = 1" >/etc/sysctl.d/labgen-balancer.conf
}

put_into_use() {
    [ "$program" != nftables ] || forward
    if systemctl --quiet is-active "$program.service"; then
        systemctl reload "$program.service"
    else
        systemctl start "$program.service"
    fi
}

# The former processes may answer for another moment: several answers in a row have to be right. $1: a version.
is_in_use() {
    attempts=0 right=0
    while [ "$right" -lt 5 ]; do
        attempts=$((attempts + 1))
        [ "$attempts" -le "$limit" ] || return 1
        if [ "$(running)" = "$1" ]; then right=$((right + 1)); else right=0; fi
        sleep 0.1
    done 2>/dev/null
}

[ -x "$binary" ] || {
    echo "this machine's box has no $program" >&2
    exit 5
}
[ -n "$version" ] || {
    running || :
    exit 0
}
[ "$(running 2>/dev/null || :)" != "$version" ] || [ "$(readlink "$top/current")" != "$version" ] || exit 0

umask 027
mkdir -p "$top"
chmod 755 /etc/labgen "$top"
rm -rf "$top"/*.unpacking
mkdir "$top/$version.unpacking"
trap 'rm -rf "$top/$version.unpacking"' EXIT
tar -x --no-same-owner -C "$top/$version.unpacking"
chown -R "root:$reader" "$top/$version.unpacking"
check "$top/$version.unpacking" >&2 || exit 3
require_free "$@" || exit 3
former=$(readlink "$top/current" || :)
rm -rf "${top:?}/$version"
mv "$top/$version.unpacking" "$top/$version"
switch "$version"
link
start_at_boot
if put_into_use && is_in_use "$version"; then
    for each in "$top"/*; do
        case ${each##*/} in current | tls | "$version" | "$former") ;; *) rm -rf "$each" ;; esac
    done
    echo changed
    exit 0
fi
last_words >&2 || :
if [ -n "$former" ] && [ "$former" != "$version" ] && [ -d "$top/$former" ]; then
    switch "$former"
    if put_into_use; then is_in_use "$former" || :; fi
fi
exit 4
