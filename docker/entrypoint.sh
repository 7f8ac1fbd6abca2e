#!/bin/bash
# Starts sshd with the keys in /keys:
#
#   /keys/ssh_host_ed25519_key      the host key; one is made when there is none
#   /keys/authorized_keys/<user>    who may log in as <user>
#   /keys/user_ca.pub               the CA whose user certificates are trusted; may be missing
#
# They are copied, because sshd wants files that are root's and that nobody else may write.
set -euo pipefail

umask 022
mkdir -p /run/sshd /run/keys/authorized_keys
if [ -d /keys ]; then
    cp -R /keys/. /run/keys/
fi
if [ ! -f /run/keys/ssh_host_ed25519_key ]; then
    ssh-keygen -q -t ed25519 -N '' -f /run/keys/ssh_host_ed25519_key
fi
touch /run/keys/user_ca.pub
chown -R root:root /run/keys
chmod -R u=rwX,go=rX /run/keys
chmod 0600 /run/keys/ssh_host_ed25519_key

exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
