#!/bin/bash
# `nidus bench` in H1, on a device that H0's nidus emulates: all modes, among them native, with H1's
# own driver. Times mean little here; what is counted has to be what was promised. Its table, JSON and
# page of plots, which stay in $NIDUS_SHARE; what it leaves behind when it is interrupted.
# NIDUS_BENCH_FULL: all sizes, and more samples.
. "$(dirname "$0")/nested-lib.sh"

mkdir -p "$W/h1.d"
cp "$KERNEL" "$W/h1.d/bzImage"
cp "$NIDUS_INITRAMFS/guest-sdma.cpio" "$W/h1.d/guest.cpio"
cp "$NIDUS_INITRAMFS/sdma/driver/sdma.ko" "$W/h1.d/"
cp "$NIDUS_INITRAMFS/sdma/sdma-perf" "$W/h1.d/"

quick=--quick
[[ -z ${NIDUS_BENCH_FULL:-} ]] || quick=
{
	echo "QUICK=$quick"
	cat <<'H1'
set -- $(sdmas)
bench="/nidus bench -k /bzImage -i /guest.cpio -m 256M"
driver() { basename $(readlink /sys/bus/pci/devices/$1/driver 2>/dev/null) 2>/dev/null; }
try unbound $bench $1
try absent $bench 0a:00.0
/nidus vfio bind $1
try nodriver $bench $1 --modes native --native /sdma-perf
insmod /sdma.ko
# What is interrupted gives the device back, and leaves no guest behind.
$bench $1 --modes native,nested --native /sdma-perf >/tmp/table 2>/tmp/progress &
until grep -q 'native: copies$' /tmp/progress || ! kill -0 $!; do sleep 0.2; done
echo "native $(driver $1)"
kill -INT $!
wait $!
echo "interrupted $? $(driver $1)"
$bench --modes emulated >/tmp/table 2>/tmp/progress &
until grep -q 'emulated: copies$' /tmp/progress || ! kill -0 $!; do sleep 0.2; done
echo "listed $(/nidus list | wc -l)"
kill -TERM $!
wait $!
echo "terminated $? $(/nidus list | wc -l) $(ls /run/nidus | wc -l)"
echo "began $(now)"
$bench $QUICK $1 --native /sdma-perf --save /tmp/rows --html /tmp/page >/tmp/table 2>/tmp/progress
echo "status $?"
echo "finished $(now)"
echo "back $(driver $1)"
for file in table rows page progress; do
	sed "s/^/$file: /" /tmp/$file
done
trouble trouble
pause_here
H1
} | host_script h1
LIMIT=800 host h1 -c 1 -m 1G --vtd --sdma queues=4

like 'a device of no driver for guests is refused, with what to do' "$(said h1 unbound)" \
	'^2 .*nidus vfio bind 0000:'
like 'so is one that is not there' "$(said h1 absent)" '^2 .*no such device'
like 'native needs the driver' "$(said h1 nodriver)" '^1 .*no driver sdma loaded'
is 'the device is native while that is measured' "$(said h1 native)" sdma
is 'Ctrl-C: the exit code, and the device is given back' "$(said h1 interrupted)" '130 vfio-pci'
is 'a guest runs while that is measured' "$(said h1 listed)" 1
is 'SIGTERM: the exit code; no guest is left, and no socket' "$(said h1 terminated)" '143 0 0'

for file in table rows page progress; do
	tr -d '\r' <"$W/h1.out" | sed -n "s/^$file: \{0,1\}//p" >"$W/$file"
done
cp "$W/table" "$NIDUS_SHARE/nested.table"
cp "$W/rows" "$NIDUS_SHARE/nested.json"
cp "$W/page" "$NIDUS_SHARE/nested.html"
is 'all modes are measured' "$(said h1 status)" 0 || note "$(cat "$W/table" "$W/progress")"
note "in $(said h1 began) to $(said h1 finished) s of H1's time"
is 'the device is given back' "$(said h1 back)" vfio-pci

# A Python expression of the rows, as a list of dictionaries.
rows() {
	python3 -c "import json, sys
head, *rows = [json.loads(line) for line in open(sys.argv[1])]
print($1)" "$W/rows"
}
for mode in native direct nested shadowed emulated; do
	holds "$mode has rows ($(rows "sum(r['mode'] == '$mode' and 'value' in r for r in rows)"))" \
		test "$(rows "sum(r['mode'] == '$mode' and 'value' in r for r in rows)")" -ge 20
done
is 'nothing went wrong on the way' \
	"$(rows "[r['missing'] for r in rows if 'missing' in r and 'what' in r]")" '[]'
is 'and what cannot be had is said' "$(rows "sorted(r['mode'] for r in rows if 'missing' in r)")" \
	"['direct', 'native', 'shadowed']"

# cost SUBJECT UNIT [PLACE]: what was counted of nested, each.
cost() {
	rows "[r['value'] for r in rows if r['mode'] == 'nested' and r['what'] == '$1' and r['unit'] == '$2'${3:+ and $3}]"
}
for subject in copy-warm copy-cold kernel-copy; do
	is "nested: $subject needs no exit" "$(cost $subject exits)" '[0]'
	is "nested: $subject needs no walk in nidus" "$(cost $subject walks)" '[0]'
done
for place in 1 512; do
	like "nested: $place pages: at most one ioctl for a wait ($(cost invalidate ioctls/wait "r['pages'] == $place"))" \
		"$(cost invalidate ioctls/wait "r['pages'] == $place")" '^\[(0\.[0-9]*|1)\]$'
done
for subject in bind unbind; do
	like "nested: $subject takes at most two ioctls ($(cost $subject ioctls))" \
		"$(cost $subject ioctls)" '^\[[12]\]$'
done
is 'no target is missed' "$(rows "[r for r in rows if r.get('met') is False]")" '[]'
like 'emulated: the same counters do count' \
	"$(rows "[r['value'] for r in rows if r['mode'] == 'emulated' and r['what'] == 'copy-cold' and r['unit'] == 'walks']")" \
	'^\[2(\.0)?\]$'

holds 'the page of plots is well-formed' python3 -c 'import sys, xml.etree.ElementTree as tree
tree.parse(sys.argv[1])' "$W/page"
is 'it has a plot for each subject' "$(grep -c '<figure>' "$W/page")" 12
holds '--from makes the same table' cmp -s <("$NIDUS" bench --from "$W/rows" --html "$W/page.2") "$W/table"
holds 'the same page' cmp -s "$W/page.2" "$W/page"
holds 'and the same JSON' cmp -s <("$NIDUS" bench --from "$W/rows" --json) "$W/rows"
is "H1's kernel has no complaint" "$(said h1 trouble)" 0 ||
	note "$(tr -d '\r' <"$W/h1.out" | grep '^complaint')"
while read -r line; do
	note "$line"
done <"$W/table"
done_testing
