#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Make ./configure out of configure.ac. Needs autoconf, automake, libtool and pkg-config.
set -e
cd "$(dirname "$0")"
mkdir -p build-aux m4
exec autoreconf --install --force "$@"
