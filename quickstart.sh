#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
set -e
./autogen.sh && mkdir -p build && cd build && ../configure --enable-werror && make -j2 && make check
