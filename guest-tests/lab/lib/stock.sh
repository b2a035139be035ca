# shellcheck shell=bash
# shellcheck disable=SC2034 # lists are named by their kind
# Debian's own kernels, as guests and as hosts: the image and the few modules that a small initramfs
# must load. The cache holds each by its short name, with the version it has in the file "release".

STOCK_VERSIONS=(6.1 6.12 7)

declare -A STOCK_SUITE=([6.1]=bookworm [6.12]=trixie [7]=trixie-backports)

# In the order in which they are wanted; what they depend on comes along.
STOCK_GUEST_MODULES=(virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio-rng
	virtio_balloon nvme ext4 9pnet_virtio 9p overlay loop msr cpuid)
STOCK_HOST_MODULES=(virtio_pci virtio_blk virtio_console ext4 9pnet_virtio 9p overlay
	kvm-amd kvm-intel vfio-pci vfio_iommu_type1 tun veth bridge vhost_net nvme loop msr)

stock_dir() {
	printf '%s/debian/%s\n' "$(cache_dir)" "$1"
}

stock_ready() {
	[[ -s $(stock_dir "$1")/vmlinuz && -s $(stock_dir "$1")/modules/host.order ]]
}

# stock_setup [--update]: the kernels that are missing, or all of them anew.
stock_setup() {
	local version wanted=()
	for version in "${STOCK_VERSIONS[@]}"; do
		if ! stock_ready "$version" || [[ ${1:-} == --update ]]; then
			wanted+=("$version")
		fi
	done
	((${#wanted[@]})) || return 0
	need_packages depmod=kmod xz=xz-utils
	with_lock debian stock_fetch "${wanted[@]}"
}

stock_fetch() {
	local scratch apt version suites=()
	new_entry debian
	scratch=$NEW_ENTRY
	apt=$scratch/apt
	for version; do suites+=("${STOCK_SUITE[$version]}"); done
	debian_open "$apt" "${suites[@]}"
	for version; do
		stock_fetch_one "$scratch" "$apt" "$version"
	done
	rm -rf "$scratch"
}

# stock_packages APT VERSION: the packages, with their versions, that hold image and modules.
stock_packages() {
	local apt=$1 version=$2 suite=${STOCK_SUITE[$2]} meta name best='' best_version='' candidate
	if [[ $version != 7 ]]; then
		meta=$(debian_version "$apt" linux-image-amd64 "$suite")
		name=$(debian_apt "$apt" apt-cache show "linux-image-amd64=$meta" |
			sed -nE 's/^Depends: (linux-image-[^ ,]+).*/\1/p' | head -n 1)
		[[ $name ]] || return 0
		printf '%s=%s\n' "$name" "$(debian_version "$apt" "$name" "$suite")"
		return
	fi
	# The newest, whatever its name; since 7.2 image and modules are packages of their own.
	for name in $(debian_names "$apt" 'linux-(image|modules)-7\.[0-9.]+(\+[a-z0-9]+)?-amd64'); do
		candidate=$(debian_version "$apt" "$name" "$suite")
		[[ $candidate ]] || continue
		if [[ -z $best ]] || dpkg --compare-versions "$candidate" gt "$best_version" ||
			{ [[ $candidate == "$best_version" && $name == linux-modules-* ]]; }; then
			best=$name best_version=$candidate
		fi
	done
	[[ $best ]] || return 0
	printf '%s=%s\n' "$best" "$best_version"
	if [[ $best == linux-modules-* ]]; then
		for name in linux-binary{-unsigned,}-"${best#linux-modules-}"; do
			if [[ $(debian_version "$apt" "$name" "$suite") == "$best_version" ]]; then
				printf '%s=%s\n' "$name" "$best_version"
				break
			fi
		done
	fi
}

stock_fetch_one() {
	local scratch=$1 apt=$2 version=$3 dir=$1/$3 root=$1/$3.root deb image release kind
	local -a packages
	mapfile -t packages < <(stock_packages "$apt" "$version")
	((${#packages[@]})) || die "no Linux $version in ${STOCK_SUITE[$version]}"
	say "kernels: fetching ${packages[*]}"
	debian_download "$apt" "$scratch/$version.deb" "${packages[@]}"
	mkdir -p "$root" "$dir/modules"
	for deb in "$scratch/$version.deb"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root"
	done
	[[ -d $root/lib/modules ]] || { mkdir -p "$root/lib" && mv "$root/usr/lib/modules" "$root/lib/"; }
	image=$(find "$root" -name 'vmlinuz*' -type f | head -n 1)
	release=$(basename "$root/lib/modules"/*)
	[[ $image && -d $root/lib/modules/$release ]] || die "no kernel in ${packages[*]}"
	depmod -b "$root" "$release" 2>/dev/null || die "depmod failed for $release"
	cp "$image" "$dir/vmlinuz"
	for kind in guest host; do
		stock_modules "$root" "$release" "$dir/modules" "$kind"
	done
	cp "$root/boot/config-$release" "$dir/config" 2>/dev/null || true
	printf '%s\n' "$release" >"$dir/release"
	printf '%s\n' "${packages[@]}" >"$dir/packages"
	finish_entry "$dir" "$(stock_dir "$version")"
	rm -rf "$root" "$scratch/$version.deb"
}

# stock_modules ROOT RELEASE DIR KIND: the modules of one list and all they need, unpacked, and the
# order to load them in as DIR/KIND.order.
stock_modules() {
	local root=$1 release=$2 dir=$3 kind=$4 name file
	local -n names=STOCK_${kind^^}_MODULES
	for name in "${names[@]}"; do
		# One that is built in, or that this version does not have, needs no loading.
		modprobe -d "$root" -S "$release" --show-depends --ignore-install "$name" 2>/dev/null |
			sed -nE 's/^insmod ([^ ]+).*/\1/p' || true
	done | awk '!seen[$0]++' | while read -r file; do
		name=${file##*/}
		case $name in
		*.xz) name=${name%.xz} && xz -dc "$file" >"$dir/$name" ;;
		*.zst) name=${name%.zst} && zstd -qdc "$file" >"$dir/$name" ;;
		*) cp "$file" "$dir/$name" ;;
		esac
		printf '%s\n' "$name"
	done >"$dir/$kind.order"
}

# --- Headers of the newest one, for modules of our own ---

# What the newest Debian kernel wants from out-of-tree modules. Its compiler is not this machine's,
# and neither is the C library its tools are linked with: so the tools come from our own kernel, if
# that has been built from the same source, and options that only its compiler knows are taken out.
stock_headers() {
	printf '%s/headers/%s\n' "$(cache_dir)" "$(cat "$(stock_dir 7)/release" 2>/dev/null)"
}

stock_headers_ready() {
	stock_ready 7 && [[ -s $(stock_headers)/Makefile ]]
}

# Not being able to is not an error: tests with that module are skipped then, and say so.
stock_headers_setup() {
	local version source
	stock_headers_ready && return 0
	stock_ready 7 && kernel_ready || return 0
	version=$(sed -n 's/^linux-[^=]*=//p' "$(stock_dir 7)/packages" | head -n 1)
	source=$(kernel_source)
	if [[ $source != *_"$version".tar.xz ]]; then
		say "kernels: no headers of Debian's $(cat "$(stock_dir 7)/release"): our own kernel is of another version"
		return 0
	fi
	with_lock debian-headers stock_headers_fetch "$(cat "$(stock_dir 7)/release")" "$version"
}

stock_headers_fetch() {
	local release=$1 version=$2 base=${1%-amd64} scratch apt deb target
	stock_headers_ready && return 0
	target=$(stock_headers)
	new_entry headers
	scratch=$NEW_ENTRY
	apt=$scratch/apt
	debian_open "$apt" "${STOCK_SUITE[7]}"
	say "kernels: fetching linux-headers-$release"
	debian_download "$apt" "$scratch/deb" "linux-headers-$release=$version" \
		"linux-headers-$base-common=$version" "linux-kbuild-$base=$version"
	for deb in "$scratch"/deb/*.deb; do
		dpkg-deb -x "$deb" "$scratch/root"
	done
	mv "$scratch/root/usr/src/linux-headers-$release" "$scratch/entry"
	mv "$scratch/root/usr/src/linux-headers-$base-common" "$scratch/entry/common"
	rm "$scratch/entry/scripts" "$scratch/entry/tools" "$scratch/entry/vmlinux"
	mv "$scratch/root/usr/lib/linux-kbuild-$base"/{scripts,tools} "$scratch/entry/"
	stock_headers_adapt "$scratch/entry" "$target"
	mkdir -p "$(dirname "$target")"
	finish_entry "$scratch/entry" "$target"
	rm -rf "$scratch"
}

# stock_headers_adapt DIR TARGET: makes them work here, where they will be at TARGET.
stock_headers_adapt() {
	local dir=$1 target=$2 build tool
	build=$(kernel_entry)/build
	for tool in scripts/basic/fixdep scripts/mod/modpost tools/objtool/objtool; do
		cp --remove-destination "$build/$tool" "$dir/$tool"
	done
	# These lead to where the packages would have been installed.
	ln -sfn ../scripts "$dir/common/scripts"
	ln -sfn ../tools "$dir/common/tools"
	printf 'KBUILD_OUTPUT := %s\ninclude %s/common/Makefile\n' "$target" "$target" >"$dir/Makefile"
	sed -i -E '/^(CC|CCACHE|override CROSS_COMPILE)\b/d' "$dir/.kernelvariables"
	if ! echo | "${CC:-gcc}" -fmin-function-alignment=16 -x c -c -o /dev/null - 2>/dev/null; then
		sed -i '/^CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=/d' "$dir/include/config/auto.conf"
	fi
	# It would take the kernel's debugging information, and its signing key.
	sed -i -E '/^CONFIG_(DEBUG_INFO_BTF_MODULES|MODULE_SIG_ALL)=/d' "$dir/include/config/auto.conf"
}
