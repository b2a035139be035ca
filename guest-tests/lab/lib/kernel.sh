# shellcheck shell=bash
# shellcheck disable=SC2034 # read by kernel-patches/build
# The kernel of our own: where its source and its build lie in the cache, and what they are keyed by.
# kernel-patches/build fills the entry; the lab and the tests read it.

KERNEL_SUITE=trixie-backports
PATCH_DIR=$REPO_DIR/kernel-patches
CONFIG_DIR=$REPO_DIR/configs/kernel

# Which linux-source: 7.3 is that one, nothing the newest 7.x.
KERNEL_SERIES=${NIDUS_KERNEL_SOURCE:-}

# The variant that guests have, H1 of the nested lab included. H has that of `lab run --kernel`.
KERNEL_VARIANT=${NIDUS_KERNEL_VARIANT:-default}

# All sources in the cache, one a line.
kernel_sources() {
	find "$(cache_dir)/source" -name 'linux-source-7.*_*.tar.xz' -size +0 2>/dev/null | sort
}

# The newest source in the cache, as linux-source-X.Y_VERSION.tar.xz; nothing if there is none.
kernel_source() {
	local file best='' version best_version=''
	for file in "$(cache_dir)/source/linux-source-"${KERNEL_SERIES:-7.*}_*.tar.xz; do
		[[ -s $file ]] || continue
		version=${file##*/*_}
		if [[ -z $best ]] || dpkg --compare-versions "${version%.tar.xz}" gt "$best_version"; then
			best=$file best_version=${version%.tar.xz}
		fi
	done
	printf '%s\n' "$best"
}

kernel_fragments() {
	local variant=$1
	printf '%s\n' "$CONFIG_DIR"/*.config
	if [[ $variant != default ]]; then
		[[ -f $CONFIG_DIR/variants/$variant.config ]] ||
			die "no kernel variant '$variant'; there are: default $(find "$CONFIG_DIR/variants" -name '*.config' -printf '%f ' 2>/dev/null | sed 's/\.config//g')"
		printf '%s\n' "$CONFIG_DIR/variants/$variant.config"
	fi
}

# The patches to apply, in order, as paths. A series file as quilt has it: # starts a comment.
kernel_patches() {
	local name
	[[ -f $PATCH_DIR/series ]] || return 0
	while read -r name _; do
		case $name in '' | \#*) continue ;; esac
		[[ -f $PATCH_DIR/$name ]] || die "kernel-patches/series names $name, which is not there"
		printf '%s\n' "$PATCH_DIR/$name"
	done <"$PATCH_DIR/series"
}

# kernel_entry [VARIANT]: the directory of the build these inputs give, built or not.
kernel_entry() {
	local variant=${1:-$KERNEL_VARIANT} source inputs
	source=$(kernel_source)
	[[ $source ]] || return 0
	# Compared as text in one pass: a renamed or reordered fragment is another kernel as well.
	inputs=$(
		set -e
		echo "recipe 1 ${source##*/} $variant"
		${CC:-gcc} --version 2>/dev/null | head -n 1
		kernel_fragments "$variant" | xargs cat
		kernel_patches | xargs -r cat
	) || exit 1
	printf '%s/kernel/%s-%s\n' "$(cache_dir)" "$variant" "$(key <<<"$inputs")"
}

kernel_ready() {
	local entry
	entry=$(kernel_entry "${1:-$KERNEL_VARIANT}")
	[[ $entry && -s $entry/bzImage && -s $entry/vmlinux ]]
}
