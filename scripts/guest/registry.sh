#!/bin/sh
# Starts the lab's image registry in this machine, with the certificate that certificate.sh has made.
# usage: registry.sh NAME:PORT
set -eu

place=$1
port=${1#*:}
directory=/etc/labgen/registry
config=/etc/docker/registry/config.yml
enabled=/etc/systemd/system/multi-user.target.wants/docker-registry.service
trusted=/etc/docker/certs.d/$place/labgen.crt # by Docker, which reads it at each request

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
case $(cat "$config" 2>/dev/null) in *"$directory/server.crt"*) ;; *) configure ;; esac
# As "systemctl enable" does, which takes ten seconds under emulation.
[ -L "$enabled" ] || ln -s /usr/lib/systemd/system/docker-registry.service "$enabled"
if ! cmp -s "$directory/server.crt" "$directory/served.crt"; then
    systemctl restart docker-registry.service
    cp "$directory/server.crt" "$directory/served.crt"
else
    systemctl start docker-registry.service
fi
answers || {
    journalctl -u docker-registry.service -n 20 --no-pager >&2
    exit 1
}
mkdir -p "${trusted%/*}"
cmp -s "$directory/ca.crt" "$trusted" || cp "$directory/ca.crt" "$trusted"
