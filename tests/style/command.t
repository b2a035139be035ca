#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: tests/style/command.t [NIDUS]
#
# The command as a user meets it, without starting a guest: exit codes, one line per mistake,
# nothing created; manifests, man page and completion. Prints TAP.

set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
nidus=$(realpath "${1:-$tree/build/nidus}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work/runtime
count=0 failed=0

report()
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2${3:+ ($3)}"
		failed=$((failed + 1))
	fi
}

skip()
{
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# bad TEXT ARG...: refused with exit code 2, one line that holds TEXT, and nothing created.
bad()
{
	local text=$1 before after code
	shift
	before=$(cd "$work" && find . | sort)
	(cd "$work" && "$nidus" "$@" >out 2>err </dev/null)
	code=$?
	after=$(cd "$work" && find . | sort)
	if [ $code != 2 ]; then
		report 1 "$*" "exit code $code"
	elif [ "$(wc -l <"$work/err")" != 1 ] || [ -s "$work/out" ]; then
		report 1 "$*" "not one line on stderr"
	elif ! grep -qF -- "$text" "$work/err"; then
		report 1 "$*" "$(cat "$work/err")"
	elif [ "$before" != "$after" ]; then
		report 1 "$*" "left something behind"
	else
		report 0 "$*"
	fi
}

# good CODE TEXT ARG...: exit code CODE and a line on stdout that holds TEXT.
good()
{
	local code=$1 text=$2 got
	shift 2
	(cd "$work" && "$nidus" "$@" >out 2>err </dev/null)
	got=$?
	if [ $got != "$code" ]; then
		report 1 "$*" "exit code $got: $(cat "$work/err")"
	elif [ -n "$text" ] && ! grep -qF -- "$text" "$work/out"; then
		report 1 "$*" "no '$text' on stdout"
	else
		report 0 "$*"
	fi
}

# poke OFFSET BYTES
poke()
{
	printf '%b' "$2" | dd of=kernel bs=1 seek="$1" conv=notrunc status=none
}

cd "$work" || exit 1
mkdir runtime dir
chmod 700 runtime
touch out err empty
cp "$tree/configs/minimal.dts" .
echo text >text
# A bzImage as far as its header goes: boot sector, magic, protocol 2.12, high, 64-bit, at 16 MiB.
truncate -s 8K kernel
poke 510 '\x55\xaa'
poke 514 'HdrS\x0c\x02'
poke 529 '\x01'
poke 566 '\x01'
poke 600 '\x00\x00\x00\x01'
truncate -s 1M disk.img
printf 'odd' >odd.img

for verb in run check; do
	bad "no kernel is given" $verb
	bad "cannot read 'nothing': No such file" $verb nothing
	bad "'dir' is a directory" $verb -k dir
	bad "'empty' is empty" $verb -k empty
	bad "kernel text: " $verb -k text
	bad "cannot read 'nothing'" $verb -k kernel -i nothing
	bad "unknown option '--dsik': did you mean --disk?" $verb --dsik
	bad "unknown key 'rw' in 'disk.img,rw'; valid keys: path, fd, ro" $verb -d disk.img,rw
	bad "must be a multiple of 4K from 16M" $verb -k kernel -m 0
	bad "bad value '-5'" $verb -k kernel -m -5
	bad "are more than the" $verb -k kernel -m 15T
	bad "must be a number from 1 to 64" $verb -k kernel -c 65
	bad "not a multiple of 512" $verb -k kernel -d odd.img
	bad "cannot read and write 'nothing'" $verb -k kernel -d nothing
	bad "is the image of --disk 0" $verb -k kernel -d disk.img -d disk.img
	bad "there is no tap 'nosuchtap'" $verb -k kernel -n nosuchtap
	bad "'lo' is a network device but no tap" $verb -k kernel -n lo
	bad "fd 77 is not open" $verb -k kernel -d fd=77
	bad "is what --serial uses already" $verb -k kernel --console stdio
	bad "cannot open 'nothing.dtb'" $verb -f nothing.dtb
	bad "dtc -O dtb -o vm.dtb minimal.dts" $verb -f minimal.dts
	bad "is not a device tree blob" $verb -f text
done
bad "unknown verb 'rum': did you mean run?" rum
bad "unknown verb 'xyzzy'; valid ones: run, check" xyzzy
bad "NAME is missing" stats
bad "bad name '../x'" stop ../x
bad "unknown verb 'rnu'" help rnu
bad "cannot write 'no/where'" check -k kernel --dtb no/where
bad "no kernel is given" bench
bad "--kernel: cannot read 'nothing'" bench -k nothing
bad "unknown mode 'nestde': did you mean nested?" bench -k kernel --modes native,nestde
bad "nested needs a device of the host" bench -k kernel --modes nested
bad "of no use to the mode emulated" bench 06:0d.0 -k kernel --modes emulated
bad "vfio 77:1f.7: no such device" bench 77:1f.7 -k kernel
bad "--native: cannot run 'nothing'" bench -k kernel --native nothing
bad "--html: cannot write 'no/where'" bench -k kernel --html no/where
bad "--from: cannot read 'nothing'" bench --from nothing
bad "is not what \`nidus bench --json\` has written: line 1" bench --from text
bad "'empty' is empty" bench --from empty
bad "goes with --json, --save and --html only" bench --from text --quick
bad "vfio 77:1f.7: no such device" bench 77:1f.7 --modes native
bad "--modes: unknown mode 'x'; valid ones: native, direct, nested, shadowed, emulated" \
	bench -k kernel --modes x
printf '{"format":1,"nidus":"0.1","device":"","host":"7.3","quick":true}\n' >rows
cp rows kept
bad "--html: cannot write 'no/where'" bench --from rows --save kept --html no/where
bad "--html: cannot write 'no/where'" bench --from rows --save new --html no/where
bad "--html: './kept' is the file of --save" bench --from rows --save kept --html ./kept
bad "--html: 'new' is the file of --save" bench --from rows --save new --html new
cmp -s rows kept
report $? "bench: what is refused leaves the files as they were"
seq 1000 >>kept
good 1 "Linux 7.3" bench --from rows --save kept --html /dev/null
cmp -s rows <(sed 's/"nidus":"[^"]*"/"nidus":"0.1"/' kept)
report $? "bench: nothing is left of what was in the file"
good 1 "Linux 7.3" bench --from rows --save /dev/null --html /dev/null
bad "unknown option '--mods': did you mean --modes?" bench --mods

good 0 "Usage: nidus VERB" --help
good 0 "Usage: nidus run" run --help
good 0 "Usage: nidus check" help check
good 0 "nidus " --version
good 0 "nidus " version
good 0 "" list
good 0 "[]" list --json
good 0 "disk 0      path=disk.img,ro=on" check kernel -d disk.img,ro
good 1 "" stats nobody
good 1 "" stop nobody

"$nidus" check kernel -d disk.img,ro -m 64 --name vm --dtb a.dtb &&
	"$nidus" check -f a.dtb --dtb b.dtb && cmp -s a.dtb b.dtb
report $? "a manifest that was written is read as the same"
"$nidus" version >/dev/full 2>/dev/null
[ $? = 1 ]
report $? "standard output that cannot be written is an error"

if command -v dtc >/dev/null; then
	for source in "$tree"/configs/*.dts; do
		name=$(basename "$source" .dts)
		warnings=$(dtc -q -O dtb -o "$name.dtb" "$source" 2>&1) && [ -z "$warnings" ]
		report $? "configs/$name.dts compiles without warnings" "$warnings"
		"$nidus" check -f "$name.dtb" 2>&1 | grep -q "cannot read '.*bzImage'"
		report $? "configs/$name.dts is understood up to its kernel"
	done
else
	skip "configs/*.dts compile" "dtc is not installed"
fi

if command -v groff >/dev/null; then
	warnings=$(groff -man -Tutf8 -ww -z "$tree/docs/nidus.1" 2>&1) && [ -z "$warnings" ]
	report $? "the man page has no warnings" "$warnings"
else
	skip "the man page has no warnings" "groff is not installed"
fi

# shellcheck source=/dev/null
source "$tree/docs/completion/nidus.bash"

# complete_to "REPLIES" WORD...: what bash would offer.
complete_to()
{
	local expected=$1
	shift
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_nidus
	[ "${COMPREPLY[*]}" = "$expected" ]
	report $? "completion of '$*'" "${COMPREPLY[*]}"
}

complete_to "stats stop" nidus st
complete_to "bench" nidus b
complete_to "--sdma --serial --seccomp" nidus run --s
complete_to "odd.img" nidus run -d odd
complete_to "x,ro,queues=" nidus run -d x,ro,q
complete_to "2M 1G off" nidus run -m 1G,hugepages = ""
complete_to "kill" nidus run --seccomp = k
complete_to "info,debug" nidus run --log info,d
complete_to "--timeout" nidus stop --t
complete_to "nested,shadowed" nidus bench --modes nested,s
complete_to "--save" nidus bench --s

echo "1..$count"
exit $((failed > 0))
