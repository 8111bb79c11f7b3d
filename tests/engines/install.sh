#!/usr/bin/env bash
# Installs the engines that tests/engines starts: Debian's packages where a program is missing, npm's into .engines.
# For root on Debian or Ubuntu; elsewhere install by hand what it names, and run `make test-engines` again.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=()
want() { # want PROGRAM PACKAGE...: install the packages if the program is missing
    command -v "$1" >/dev/null || packages+=("${@:2}")
}
PATH=$PATH:/usr/sbin:/sbin
want radosgw radosgw
want ceph-mon ceph-mon ceph-base
want ceph-osd ceph-osd
want ceph ceph-common
want sshd openssh-server
want ssh-keygen openssh-client
want glusterfsd glusterfs-server
want glusterfs glusterfs-client
want npm nodejs npm
want sbatch slurm-wlm
want slurmdbd slurmdbd slurm-wlm-mysql-plugin
want munged munge
want mariadbd mariadb-server
if ((${#packages[@]})); then
    echo "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=600 update
    # Services that a package would start are not wanted: the tests start their own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
    fi
    apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${packages[@]}" >/dev/null
fi
if [ ! -e .engines/node_modules/azurite ] || [ ! -e .engines/node_modules/s3rver ]; then
    mkdir -p .engines
    npm install --prefix .engines --silent --no-audit --no-fund azurite@3 s3rver@3
fi
