#!/bin/sh
# Makes a certificate for this machine, signed by a CA that is made only for it.
# usage: certificate.sh DIRECTORY GROUP AUTHORITY NAME|ADDRESS ... [new]
# GROUP may read the key; AUTHORITY is the CA's name. Leaves ca.crt, server.crt and server.key in DIRECTORY. Existing ones
# are kept unless they are for other names, or "new" ones are asked for. The CA's own key exists only while it signs:
# nobody can make further certificates that are trusted with it.
set -eu

directory=$1
group=$2
authority=$3
shift 3
renew=
names=
subject=$1
for name; do
    case $name in
    new) renew=yes ;;
    *[!0-9.]*) names="$names, DNS:$name" ;;
    *) names="$names, IP:$name" ;;
    esac
done
names=${names#, }
# The machine's clock may be set back, as after a restored checkpoint. 2049 is the last year of X.509's short dates.
begins=20200101000000Z
ends=20491231235959Z

make_certificates() {
    umask 077
    work=$(mktemp -d -p /run) # in memory: keys that were on a disk could be read from it later
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    : >index
    cat >settings <<END
[req]
distinguished_name = subject
[subject]
[ca]
default_ca = lab
[lab]
new_certs_dir = .
database = index
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = $names
END
    request ca "$authority"
    request server "$subject"
    sign -selfsign -in ca.request -extensions authority -out ca.crt
    sign -cert ca.crt -in server.request -extensions server -out server.crt
    rm ca.key
    mkdir -p "$directory"
    chmod 755 "${directory%/*}" "$directory"
    rm -f "$directory/for"
    install -m 644 ca.crt server.crt "$directory"
    install -m 640 -g "$group" server.key "$directory"
    echo "$names" >for
    install -m 644 for "$directory" # last: without it, all is made again
    cd /
}

request() {
    openssl req -config settings -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$2" \
        -keyout "$1.key" -out "$1.request" 2>messages || fail
}

sign() {
    openssl ca -config settings -batch -notext -keyfile ca.key -startdate "$begins" -enddate "$ends" "$@" \
        2>messages || fail
}

fail() {
    cat messages >&2
    exit 1
}

found=
[ ! -r "$directory/for" ] || read -r found <"$directory/for"
if [ "$found" != "$names" ] || [ -n "$renew" ]; then
    (make_certificates)
fi
