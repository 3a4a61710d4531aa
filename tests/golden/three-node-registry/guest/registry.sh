#!/bin/sh
# Starts the lab's image registry in this machine, with a certificate of a CA that is made only for it.
# usage: registry.sh NAME:PORT ADDRESS [new]
# Existing certificates are kept unless they are for another name or address, or "new" ones are asked for. The CA's own
# key exists only while it signs: nobody can make further certificates that the lab's engines trust.
set -eu

place=$1
name=${1%:*}
port=${1#*:}
address=$2
renew=${3-}
directory=/etc/labgen/registry
config=/etc/docker/registry/config.yml
enabled=/etc/systemd/system/multi-user.target.wants/docker-registry.service
trusted=/etc/docker/certs.d/$place/labgen.crt # by Docker, which reads it at each request
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
subjectAltName = DNS:$name, IP:$address
END
    request ca "labgen CA of $place"
    request server "$name"
    sign -selfsign -in ca.request -extensions authority -out ca.crt
    sign -cert ca.crt -in server.request -extensions server -out server.crt
    rm ca.key
    mkdir -p "$directory"
    chmod 755 /etc/labgen "$directory"
    rm -f "$directory/for"
    install -m 644 ca.crt server.crt "$directory"
    install -m 640 -g docker-registry server.key "$directory"
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

configure() {
    cat >"$config.new" <<END
# Written by labgen; yours from now on.
version: 0.1
log:
  fields: {service: registry}
storage:
  filesystem: {rootdirectory: /var/lib/docker-registry}
  delete: {enabled: true}
http:
  addr: :$port
  tls: {certificate: $directory/server.crt, key: $directory/server.key}
END
    chmod 644 "$config.new"
    mv "$config.new" "$config"
}

answers() {
    curl --silent --show-error --fail --output /dev/null --max-time 20 --retry 60 --retry-delay 1 \
        --retry-max-time 90 --retry-connrefused --cacert "$directory/ca.crt" "https://$place/v2/"
}

[ -x /usr/bin/docker-registry ] || {
    echo "this machine's box has no docker-registry" >&2
    exit 1
}
made=
found=
[ ! -r "$directory/for" ] || read -r found <"$directory/for"
if [ "$found" != "$place $address" ] || [ -n "$renew" ]; then
    (make_certificates)
    made=yes
fi
case $(cat "$config" 2>/dev/null) in *"$directory/server.crt"*) ;; *) configure ;; esac
# As "systemctl enable" does, which takes ten seconds under emulation.
[ -L "$enabled" ] || ln -s /usr/lib/systemd/system/docker-registry.service "$enabled"
if [ -n "$made" ]; then
    systemctl restart docker-registry.service
    echo "$place $address" >"$directory/for" # last: without it, all is made again
else
    systemctl start docker-registry.service
fi
answers || {
    journalctl -u docker-registry.service -n 20 --no-pager >&2
    exit 1
}
mkdir -p "${trusted%/*}"
cmp -s "$directory/ca.crt" "$trusted" || cp "$directory/ca.crt" "$trusted"
