#!/bin/sh
# Lets the lab's nodes know each other by name.
# usage: hosts.sh ADDRESS=NAME ...
set -eu

begin='# labgen: the nodes of this lab'
end='# labgen: end'

new=$(mktemp /etc/hosts.XXXXXX)
trap 'rm -f "$new"' EXIT
sed "/^$begin\$/,/^$end\$/d" /etc/hosts >"$new"
{
    echo "$begin"
    for pair in "$@"; do
        echo "${pair%%=*} ${pair#*=}"
    done
    echo "$end"
} >>"$new"
chmod 644 "$new"
mv "$new" /etc/hosts
