#!/bin/bash
# The tree as a whole: scripts that parse, manifests that compile, an installation that is complete,
# and nothing of the machine it was written on.
cd "$(dirname "$0")/../.." || exit
set -u
. tests/tap.sh
. tests/multiboot.sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mapfile -t files < <(git ls-files -co --exclude-standard)

# --- Scripts ---

for file in "${files[@]}"; do
	[[ -f $file && ! -L $file ]] || continue
	case $(head -c 64 "$file" | head -n 1 | tr -d '\0') in
	'#!/bin/bash'* | '# shellcheck shell=bash'*) holds "$file parses" bash -n "$file" ;;
	'#!/bin/sh'* | '#!/bin/busybox sh'*) holds "$file parses" sh -n "$file" ;;
	'#!'*perl*) holds "$file parses" perl -I "$(dirname "$file")" -I "$(dirname "$file")/lib" -c "$file" ;;
	'#!'*python3*) holds "$file parses" python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$file" ;;
	'#!'*) bad_row "$file: an interpreter that this test knows" ;;
	esac
	if [[ $(head -c 2 "$file" | tr -d '\0') == '#!' ]]; then
		holds "$file is executable" test -x "$file"
	fi
done

# --- Nothing of one machine ---

# matches FIXED-STRING...: in the text files of the tree.
matches() {
	printf '%s\n' "${files[@]}" | grep -vE '^tests/fuzz/corpus/' | xargs -d '\n' grep -IlF -e "$1" -- 2>/dev/null
}
is 'no file names the directory it is in' "$(matches "$PWD")" ''
above=$(dirname "$PWD")
case $above in
/ | /tmp | /root | /home | /home/*) ;;
*) is 'no file names what is beside it' "$(matches "$above/")" '' ;;
esac
for host in $(apt-get indextargets --format '$(SITE)' 2>/dev/null | sed -E 's|^[a-z+]+://([^/:]*@)?([^/:]+).*|\2|' | sort -u); do
	case $host in
	*.debian.org) ;;
	*) is 'no file names a mirror of this machine' "$(matches "$host")" '' ;;
	esac
done
proxies=$({
	env | sed -nE 's/^[a-zA-Z]+_(proxy|PROXY)=.*:\/\/([^:\/]+).*/\2/p'
	apt-config dump 2>/dev/null | sed -nE 's/^Acquire::https?::Proxy "[a-z]+:\/\/([^:\/]+).*/\1/p'
} | sort -u)
for host in $proxies; do
	is 'no file names a proxy of this machine' "$(matches "$host")" ''
done
is 'nothing is left to be done' \
	"$(printf '%s\n' "${files[@]}" | grep -vE 'tests/style/tree.t$' | xargs -d '\n' grep -IlE '\b(TODO|FIXME|XXX)\b' --)" ''
holds 'build/ is not part of the tree' fails git ls-files --error-unmatch build

# --- Manifests ---

# A manifest names files beside it; empty ones of the right kind stand for them.
mkdir "$scratch/configs"
bare "$scratch/good" "$CODE_HALT"
for source in configs/*.dts; do
	name=$(basename "$source" .dts)
	holds "$source compiles without warnings" dtc -I dts -O dtb -o "$scratch/configs/$name.dtb" "$source"
	is "$source: dtc says nothing" "$(dtc -I dts -O dtb -o /dev/null "$source" 2>&1)" ''
	tap=$(sed -n 's/^[^*]*tap = "\(.*\)".*/\1/p' "$source")
	for file in $(sed -nE 's/^[^*]*(nidus,kernel|path) = "(.*)".*/\2/p' "$source"); do
		[[ $file == /* ]] || truncate -s 1M "$scratch/configs/$file"
	done
	if [[ $tap && ! -e /sys/class/net/$tap ]]; then
		# All but the tap, which only root can make: it is found missing last.
		like "$source is checked up to its tap" \
			"$(build/nidus check -f "$scratch/configs/$name.dtb" -k "$scratch/good" 2>&1)" "there is no tap '$tap'"
	else
		holds "$source passes check" build/nidus check -f "$scratch/configs/$name.dtb" -k "$scratch/good"
	fi
done

# --- Installation ---

holds 'make install DESTDIR=' make -s install DESTDIR="$scratch/root" PREFIX=/usr
is 'it installs the program, the man page and the completion' \
	"$(cd "$scratch/root" && find . -type f | sort | paste -sd' ')" \
	'./usr/bin/nidus ./usr/share/bash-completion/completions/nidus ./usr/share/man/man1/nidus.1'
like 'the installed program runs' "$("$scratch/root/usr/bin/nidus" version)" "^nidus $(<VERSION)$"
holds 'make uninstall DESTDIR=' make -s uninstall DESTDIR="$scratch/root" PREFIX=/usr
is 'it removes them' "$(find "$scratch/root" -type f)" ''
done_testing
