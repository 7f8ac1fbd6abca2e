#!/bin/bash
# Starts dropbear and sshd with the keys in /keys:
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

# Dropbear looks into the home, and has the key in a form of its own.
if [ -f /run/keys/authorized_keys/dora ]; then
    install -d -m 0700 -o dora -g dora /home/dora/.ssh
    install -m 0600 -o dora -g dora /run/keys/authorized_keys/dora /home/dora/.ssh/authorized_keys
fi
dropbearconvert openssh dropbear /run/keys/ssh_host_ed25519_key /run/keys/dropbear_key
dropbear -r /run/keys/dropbear_key -p 2222 -s -w -E

exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
