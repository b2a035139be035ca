#!/bin/bash
# The patches of kernel-patches: they apply to every linux-source-7.x in the cache, and when one moves,
# `kernel-patches/build --check` says which patch does not apply to which source. That is tried with a
# small series of its own, on sources of one file.
set -u
cd "$(dirname "$0")/../.." || exit
REPO=$PWD
# shellcheck source=tests/tap.sh
. tests/tap.sh
GROUP=patches
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT

# --- Ours, on Debian's ---

# shellcheck source=guest-tests/lab/lib/common.sh
. guest-tests/lab/lib/common.sh
sources=$(find "$(cache_dir)/source" -name 'linux-source-7.*.tar.xz' 2>/dev/null | wc -l)
if ((sources)); then
	kernel-patches/build --check 2>"$W/err"
	is 'the series applies to every source in the cache' "$?" 0 || note "$(cat "$W/err")"
	is 'each source is named' "$(grep -c 'patches apply to linux-source-7' "$W/err")" "$sources"
else
	skip_row 'the series applies to every source in the cache' 'no linux-source-7.x there yet'
fi

# --- A small one ---

export NIDUS_CACHE=$W/cache
mkdir -p "$W/kernel-patches" "$W/cache/source"
ln -s "$REPO/guest-tests" "$REPO/configs" "$W/"
cp kernel-patches/build "$W/kernel-patches/"

lines() { # FIRST LAST: of a file in which every line is another
	seq -f 'line %g' "$1" "$2"
}

source_of() { # VERSION <FILE
	mkdir -p "$W/src/linux-source-$1/drivers"
	cat >"$W/src/linux-source-$1/drivers/one.c"
	tar -C "$W/src" -cJf "$W/cache/source/linux-source-$1_$1.1-1.tar.xz" "linux-source-$1"
}

patch_of() { # NAME COMMAND...: what the command, an edit in place, does to drivers/one.c
	local name=$1
	shift
	mkdir -p "$W/a/drivers" "$W/b/drivers"
	lines 1 40 >"$W/a/drivers/one.c"
	cp "$W/a/drivers/one.c" "$W/b/drivers/one.c"
	(cd "$W/b/drivers" && "$@")
	(cd "$W" && diff -uNr a b) >"$W/kernel-patches/$name.patch"
	rm -rf "$W/a" "$W/b"
}

# shellcheck disable=SC2317 # called by patch_of
two_lines() {
	sed -i 's/^line 30$/line thirty/' one.c
	echo new >two.c
}

check() {
	"$W/kernel-patches/build" --check 2>"$W/err"
}

lines 1 40 | source_of 7.8
lines 1 40 | source_of 7.10
patch_of 0001-first sed -i 's/^line 10$/line ten/' one.c
patch_of 0002-second two_lines
printf '%s\n' '# in this order' 0001-first.patch '' 0002-second.patch >"$W/kernel-patches/series"

check
is 'two sources, two patches: all is well' "$?" 0
like 'the one is named' "$(cat "$W/err")" 'all 2 patches apply to linux-source-7.8_7.8.1-1'
like 'and the other' "$(cat "$W/err")" 'all 2 patches apply to linux-source-7.10_7.10.1-1'

# Only the lines around it have changed: no guesses.
{ lines 1 28 && echo 'line 29 as it is now' && lines 30 40; } | source_of 7.10
check
is 'a source has moved' "$?" 1
like 'what does not apply to what' "$(cat "$W/err")" \
	'0002-second.patch does not apply to linux-source-7.10_7.10.1-1'
is 'the other patch does' "$(grep -c '0001-first.patch does not' "$W/err")" 0
like 'and so does all to the other source' "$(cat "$W/err")" \
	'all 2 patches apply to linux-source-7.8_7.8.1-1'

# Lines before it do not matter.
{ echo first && lines 1 40; } | source_of 7.10
check
is 'a source in which all has moved down' "$?" 0

echo 0003-third.patch >>"$W/kernel-patches/series"
check
is 'a series that names what is not there' "$?" 1
like 'and which' "$(cat "$W/err")" 'names 0003-third.patch, which is not there'
done_testing
