#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# From a fresh machine to a running btrkit.
#
#	sh ./quickstart.sh [DIR]          install what is missing, build, make a Btrfs image of DIR and show what is in it
#	sh ./quickstart.sh test           the same set-up, then all tests
#	sh ./quickstart.sh --build-only   the same set-up, no more; leaves build/btrkit
#	--no-install                      with any of them: only say what is missing
#
# CI=true makes compiler warnings errors. BTRKIT_BUILD is the build folder (default: build).
set -eu
cd "$(dirname "$0")"
top=$(pwd)
build=${BTRKIT_BUILD:-$top/build}
mode=demo
install=yes
source_dir=$top

usage() {
	sed -n '5,8s/^#//p' "$top/quickstart.sh"
}
die() {
	echo "quickstart: $*" >&2
	exit 1
}
say() {
	echo "==> $*"
}

for word in "$@"; do
	case $word in
	test) mode='test' ;;
	--build-only) mode=build ;;
	--no-install) install=no ;;
	-h | --help) usage && exit 0 ;;
	-*) usage >&2 && exit 2 ;;
	*)
		[ -e "$word" ] || die "$word: no such directory"
		source_dir=$word
		;;
	esac
done

# --- What is needed -------------------------------------------------------------------------------
# need: build (required), better (used when found), test (for the tests only).
# found by: cmd:PROGRAM, header:FILE, pc:PKG-CONFIG-MODULE, py:PYTHON-MODULE, glob:FILES.
# Then the package's name for apt-get, dnf, pacman, apk and zypper; '-': comes with another package.
needs() {
	cat <<-'TABLE'
	build  cmd:cc                    gcc                gcc                gcc               gcc              gcc
	build  header:stdlib.h           libc6-dev          glibc-devel        glibc             musl-dev         glibc-devel
	build  header:linux/btrfs_tree.h linux-libc-dev     kernel-headers     linux-api-headers linux-headers    linux-glibc-devel
	build  cmd:make                  make               make               make              make             make
	build  cmd:autoconf              autoconf           autoconf           autoconf          autoconf         autoconf
	build  cmd:automake              automake           automake           automake          automake         automake
	build  cmd:libtoolize            libtool            libtool            libtool           libtool          libtool
	build  cmd:pkg-config            pkg-config         pkgconf-pkg-config pkgconf           pkgconf          pkgconf-pkg-config
	build  cmd:find                  findutils          findutils          findutils         findutils        findutils
	build  cmd:awk                   mawk               gawk               gawk              -                gawk
	build  pc:uuid                   uuid-dev           libuuid-devel      util-linux-libs   util-linux-dev   libuuid-devel
	build  pc:blkid                  libblkid-dev       libblkid-devel     util-linux-libs   util-linux-dev   libblkid-devel
	build  pc:zlib                   zlib1g-dev         zlib-devel         zlib              zlib-dev         zlib-devel
	build  pc:libxxhash              libxxhash-dev      xxhash-devel       xxhash            xxhash-dev       xxhash-devel
	better pc:libisal                libisal-dev        isa-l-devel        isa-l             isa-l-dev        isa-l-devel
	better pc:libgcrypt              libgcrypt20-dev    libgcrypt-devel    libgcrypt         libgcrypt-dev    libgcrypt-devel
	better pc:ext2fs                 libext2fs-dev      e2fsprogs-devel    e2fsprogs         e2fsprogs-dev    libext2fs-devel
	better pc:libzstd                libzstd-dev        libzstd-devel      zstd              zstd-dev         libzstd-devel
	better header:lzo/lzo1x.h        liblzo2-dev        lzo-devel          lzo               lzo-dev          lzo-devel
	better pc:liblz4                 liblz4-dev         lz4-devel          lz4               lz4-dev          liblz4-devel
	better pc:libsodium              libsodium-dev      libsodium-devel    libsodium         libsodium-dev    libsodium-devel
	better pc:libarchive             libarchive-dev     libarchive-devel   libarchive        libarchive-dev   libarchive-devel
	better pc:json-c                 libjson-c-dev      json-c-devel       json-c            json-c-dev       libjson-c-devel
	better cmd:rst2man               python3-docutils   python3-docutils   python-docutils   py3-docutils     python3-docutils
	test   pc:cmocka                 libcmocka-dev      libcmocka-devel    cmocka            cmocka-dev       libcmocka-devel
	test   cmd:bash                  bash               bash               bash              bash             bash
	test   cmd:cmp                   diffutils          diffutils          diffutils         diffutils        diffutils
	test   cmd:tar                   tar                tar                tar               tar              tar
	test   cmd:python3               python3            python3            python            python3          python3
	test   py:jsonschema             python3-jsonschema python3-jsonschema python-jsonschema py3-jsonschema   python3-jsonschema
	test   cmd:mkfs.btrfs            btrfs-progs        btrfs-progs        btrfs-progs       btrfs-progs      btrfsprogs
	test   cmd:mkfs.ext4             e2fsprogs          e2fsprogs          e2fsprogs         e2fsprogs        e2fsprogs
	test   cmd:setfattr              attr               attr               attr              attr             attr
	test   cmd:setfacl               acl                acl                acl               acl              acl
	test   cmd:xz                    xz-utils           xz                 xz                xz               xz
	test   cmd:cpio                  cpio               cpio               cpio              cpio             cpio
	test   cmd:losetup               mount              util-linux         util-linux        losetup          util-linux
	test   cmd:mount                 mount              util-linux         util-linux        mount            util-linux
	test   cmd:file                  file               file               file              file             file
	test   cmd:nm                    binutils           binutils           binutils          binutils         binutils
	test   cmd:clang                 clang              clang              clang             clang            clang
	test   glob:clang_rt             libclang-rt-dev    compiler-rt        compiler-rt       compiler-rt      clang
	TABLE
}

find_package_manager() {
	manager=
	for candidate in apt-get dnf pacman apk zypper; do
		if command -v $candidate >/dev/null 2>&1; then
			manager=$candidate
			return
		fi
	done
}

is_there() {
	case $1 in
	cmd:rst2man) command -v rst2man || command -v rst2man.py || command -v rst2man3 ;;
	cmd:*) command -v "${1#cmd:}" || [ -x "/sbin/${1#cmd:}" ] || [ -x "/usr/sbin/${1#cmd:}" ] ;;
	pc:*) pkg-config --exists "${1#pc:}" ;;
	py:*) python3 -c "import ${1#py:}" ;;
	header:*) printf '#include <%s>\n' "${1#header:}" | ${CC:-cc} -E - ;;
	glob:clang_rt)
		set -- /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-* /usr/lib*/clang/*/lib/*/libclang_rt.fuzzer*
		for found in "$@"; do [ ! -e "$found" ] || return 0; done
		return 1
		;;
	esac >/dev/null 2>&1
}

# missing NEED: the packages that would bring what is not there.
missing() {
	needs | while read -r need by apt dnf pacman apk zypper; do
		[ "$need" = "$1" ] || continue
		! is_there "$by" || continue
		case $manager in
		apt-get) package=$apt ;;
		dnf) package=$dnf ;;
		pacman) package=$pacman ;;
		apk) package=$apk ;;
		zypper) package=$zypper ;;
		*) package=${by#*:} ;;
		esac
		[ "$package" = - ] || echo "$package"
	done | sort -u | tr '\n' ' '
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
install_packages() {
	case $manager in
	apt-get)
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -y \
			--no-install-recommends install "$@" >"$log" 2>&1
		;;
	dnf) as_root dnf -q -y install "$@" ;;
	pacman) as_root pacman -S --noconfirm --needed "$@" ;;
	apk) as_root apk add -q "$@" ;;
	zypper) as_root zypper -q -n install --no-recommends "$@" ;;
	esac >"$log" 2>&1
}
refresh_package_lists() {
	case $manager in
	apt-get) as_root apt-get -qq update ;;
	pacman) as_root pacman -Sy --noconfirm ;;
	apk) as_root apk update -q ;;
	zypper) as_root zypper -q -n refresh ;;
	esac >"$log" 2>&1
}
# The lists are fetched only when installing without that fails: they are missing or out of date.
install_or_refresh() {
	install_packages "$@" || { refresh_package_lists && install_packages "$@"; }
}

install_what_is_missing() {
	find_package_manager
	required=$(missing build)
	extra=$(missing better)
	[ $mode != test ] || extra="$extra$(missing test)"
	[ -n "$required$extra" ] || return 0
	if [ $install = no ] || [ -z "$manager" ]; then
		[ -n "$manager" ] || echo "quickstart: no package manager that I know (apt-get, dnf, pacman, apk, zypper)" >&2
		[ -z "$required" ] || echo "Needed, and missing: $required"
		[ -z "$extra" ] || echo "Not needed to build, but missing: $extra"
		case $manager in pacman) verb=-S ;; apk) verb=add ;; *) verb=install ;; esac
		[ -z "$manager" ] || echo "To install: $manager $verb $required$extra"
		[ -z "$required" ] || exit 1
		return 0
	fi
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 ||
		die "not root, and no sudo; please install: $required$extra"
	say "installing: $required$extra"
	log=$(mktemp)
	# All at once is fastest; what is only useful may be unknown to this distribution.
	# shellcheck disable=SC2086
	if ! install_or_refresh $required $extra; then
		if [ -n "$required" ] && ! install_packages $required; then
			cat "$log" >&2
			rm -f "$log"
			die "could not install: $required"
		fi
		for package in $extra; do
			install_packages "$package" || echo "    (not available here: $package)"
		done
	fi
	rm -f "$log"
}

# --- Build --------------------------------------------------------------------------------------------
build_it() {
	jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
	set --
	[ "${CI:-}" != true ] || set -- --enable-werror
	if [ ! -x configure ] || [ ! -e Makefile.in ] || [ -n "$(find configure.ac -newer configure)" ]; then
		say "making ./configure"
		mkdir -p "$build"
		./autogen.sh >"$build/autogen.log" 2>&1 || { cat "$build/autogen.log" >&2; die "autogen.sh failed"; }
	fi
	mkdir -p "$build"
	if [ ! -e "$build/config.status" ] || [ ! -e "$build/Makefile" ] ||
		[ "$(cat "$build/.options" 2>/dev/null)" != "options: $*" ]; then
		say "configuring in $build"
		(cd "$build" && "$top/configure" "$@" >configure.log 2>&1) ||
			{ tail -n 20 "$build/configure.log" >&2; die "configure failed: $build/config.log has more"; }
		echo "options: $*" >"$build/.options"
		sed -n '/^configure: *$/,$p' "$build/configure.log" | sed 1d
	fi
	say "building"
	make -s -C "$build" -j"$jobs" || die "the build failed"
}

# --- What it is for -----------------------------------------------------------------------------------
run_tests() {
	say "testing"
	status=0
	find "$build" -name '*.trs' -exec rm -f {} +
	# One more than there are processors: many wait for devices.
	make -s -k -C "$build" -j$((jobs + 1)) check >"$build/check.log" 2>&1 || status=1
	results=$build/check.results
	find "$build" -name '*.trs' | sort | while read -r trs; do
		sed -n "s|^:test-result: \([A-Z]*\).*|\1 ${trs%.trs}.log|p" "$trs"
	done >"$results"
	count() { grep -cE "^($1) " "$results" || true; }
	passed=$(count 'PASS|XFAIL')
	failed=$(count 'FAIL|XPASS|ERROR')
	skipped=$(count SKIP)
	grep -E '^(FAIL|XPASS|ERROR) ' "$results" | cut -d' ' -f2- | sort -u | while read -r file; do
		echo "--- $file"
		grep -vE '^(ok|PASS:|SKIP:) ' "$file" | tail -n 300
	done
	find "$build" -name '*.log' ! -name test-suite.log -newer "$build/.options" -exec grep -hE '^(ok|not ok).*# *SKIP|^1\.\.0 # *SKIP' {} + 2>/dev/null |
		sed 's/^.*# *SKIP */skipped: /' | sort | uniq -c | sort -rn | head -n 40 || true
	if [ $status != 0 ] && [ "$failed" = 0 ]; then
		tail -n 60 "$build/check.log"
		failed=1
	fi
	[ "$passed" != 0 ] || status=1
	[ "$failed" = 0 ] || status=1
	echo "$passed passed, $failed failed, $skipped skipped"
	exit $status
}

show_it() {
	btrkit=$build/btrkit
	image=${TMPDIR:-/var/tmp}/btrkit-quickstart-$(id -u).img
	say "making a Btrfs image of $source_dir, without root and without mounting"
	rm -f "$image"
	"$btrkit" mkfs --quiet --rootdir "$source_dir" --label quickstart "$image"
	echo
	say "what is in it"
	"$btrkit" inspect summary "$image"
	echo
	say "where its chunks lie"
	"$btrkit" inspect chunks "$image"
	echo
	say "its files (the first 20 of $("$btrkit" ls -R "$image" | grep -c .))"
	"$btrkit" ls -lR "$image" | head -n 20
	echo
	echo "The image is $image. To mount it:"
	echo "    sudo mount -o loop,ro $image /mnt"
	echo "To take files out of it without mounting:"
	echo "    $btrkit restore $image DIRECTORY"
}

install_what_is_missing
build_it
case $mode in
test) run_tests ;;
demo) show_it ;;
build) say "built $build/btrkit" ;;
esac
