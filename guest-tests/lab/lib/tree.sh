# shellcheck shell=bash
# shellcheck disable=SC2034 # TREE_COMMAND is read by the callers
# The private Debian 13 tree. Debian 12's QEMU corrupts the state of nested SVM guests, so the
# machine's own QEMU will not do; this one runs from its tree on any host, root or not. The same
# tree, as an ext4 image, is the root file system of H.
#
# QEMU itself comes from the backports: before 10.2 its vmexit changes a CPU's pending interrupts
# without a lock or an atomic operation, and with KVM in H timer interrupts and IPIs get lost, the
# more often the busier the machine is.

TREE_SUITE=trixie
TREE_QEMU_SUITE=trixie-backports

tree_packages() {
	grep -vE '^(#|$)' "$LAB_DIR/tree.packages"
}

# A tree that already exists is good until the suite, the package list or this recipe changes; its
# packages are as new as the day it was made (lab setup --update makes a new one).
tree_dir() {
	printf '%s/tree/%s-%s\n' "$(cache_dir)" "$TREE_SUITE" \
		"$({ echo "$TREE_SUITE $TREE_QEMU_SUITE recipe 2"; tree_packages; } | key)"
}

tree_ready() {
	[[ -s $(tree_dir)/root.ext4 && -x $(tree_dir)/root/usr/bin/qemu-system-x86_64 ]]
}

tree_setup() {
	need_packages mmdebstrap=mmdebstrap mkfs.ext4=e2fsprogs xz=xz-utils zstd=zstd
	debian_keyring_ready
	if ((EUID != 0)); then
		need_packages newuidmap=uidmap
		grep -qE "^($(id -un)|$EUID):" /etc/subuid 2>/dev/null ||
			die "making the Debian tree takes root, or subordinate user ids for $(id -un) in /etc/subuid; as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
	fi
	with_lock tree tree_build "$@"
}

tree_build() {
	local target scratch began
	target=$(tree_dir)
	if tree_ready && [[ ${1:-} != --update ]]; then
		return 0
	fi
	say "tree: Debian $TREE_SUITE with $(tree_packages | wc -l) packages"
	began=$(date +%s)
	new_entry tree
	scratch=$NEW_ENTRY
	if ! tree_make "$scratch"; then
		rm -rf "$scratch"
		die "the Debian tree could not be made"
	fi
	finish_entry "$scratch" "$target"
	say "tree: done in $(($(date +%s) - began)) s, $(du -sh "$target" | cut -f1)"
}

tree_make() {
	local scratch=$1 log=$1/log mode=root owner=()
	debian_acquire_options >"$scratch/apt.conf"
	cat >"$scratch/preferences" <<-EOF
		Package: qemu-* seabios ipxe-qemu
		Pin: release n=$TREE_QEMU_SUITE
		Pin-Priority: 600
	EOF
	if ((EUID != 0)); then
		mode=unshare owner=(--no-same-owner --no-same-permissions)
	fi
	# A tar file comes out the same in every mode of mmdebstrap, with or without root.
	run_logged "$log" timeout 1500 mmdebstrap --mode="$mode" --variant=apt --format=tar \
		--include="$(tree_packages | paste -sd,)" \
		--aptopt="$scratch/apt.conf" \
		--aptopt='APT::Install-Recommends "false"' \
		--setup-hook="cp '$scratch/preferences' \"\$1/etc/apt/preferences.d/qemu\"" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		"$TREE_SUITE" "$scratch/tree.tar" \
		"$(debian_source_line "$TREE_SUITE")" "$(debian_source_line "$TREE_QEMU_SUITE")" || return 1
	mkdir "$scratch/root" || return 1
	run_logged "$log" tar -C "$scratch/root" --exclude './dev/*' "${owner[@]}" \
		-xf "$scratch/tree.tar" || return 1
	rm "$scratch/tree.tar"
	tree_image "$scratch/root" "$scratch/root.ext4" "$log" || return 1
	rm "$scratch/apt.conf" "$scratch/preferences"
}

# H mounts the image read-only and puts a tmpfs over it, so one image serves any number of labs.
tree_image() {
	local root=$1 image=$2 log=$3 megabytes
	megabytes=$(($(du -sm --apparent-size "$root" | cut -f1) * 5 / 4 + 64))
	truncate -s "${megabytes}M" "$image" || return 1
	run_logged "$log" mkfs.ext4 -q -F -O ^has_journal -m 0 -d "$root" "$image"
}

# tree_command PROGRAM: sets TREE_COMMAND to the words that run a program of the tree on this machine.
# Its own loader and libraries come along; nothing of the host is mixed in.
tree_command() {
	local root
	root=$(tree_dir)/root
	TREE_COMMAND=("$root/usr/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path
		"$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/ceph:$root/usr/lib"
		"$root$1")
}
