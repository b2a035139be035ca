#!/bin/bash
# A hostile G1: the bare guest vtd-hostile, to which H1's nidus passes an sdma device on. What it
# does to tables, queues and registers is done to H1's kernel and to H0's unit too; but no memory
# changes that is not its own, and another guest on the same H1 works with a device of its own before,
# meanwhile and afterwards.
#
# HOSTILE_SEED starts the random numbers elsewhere, HOSTILE_SECONDS makes it longer, HOSTILE_NIDUS is
# another nidus for H1: one with sanitizers, which are not in H1 (-static-libasan -static-libubsan).
. "$(dirname "$0")/nested-lib.sh"

CANARY=$NIDUS_INITRAMFS/sdma/canary
LINES_MAX=100         # of nidus's log; what a guest provokes is dropped after 16 for each source
PEAK_MAX=$((96 << 10)) # KiB of nidus, 64 MiB of them the guest's
SLAB_MAX=$((16 << 10)) # KiB that H1's kernel may have kept, whatever for

# G2 works, and watches memory of its own, until it is told to end. The clean guest works once.
mkdir -p "$W/h1-g1.d" "$W/h1.d"
cp "$CANARY" "$W/h1-g1.d/"
guest_script h1 <<'G1'
if [ "$role" = clean ]; then
	sdma-check --timeout 300 malloc kernel
	echo "checked $?"
else
	mkfifo /tmp/end
	/canary 96 <>/tmp/end >/tmp/canary &
	canary=$!
	while [ ! -e /tmp/enough ]; do
		sdma-check --timeout 300 malloc >/tmp/rows 2>&1
		status=$?
		echo "round $status"
		[ $status = 0 ] || cat /tmp/rows
		sleep 2
	done &
	rounds=$!
	pause_here
	touch /tmp/enough
	wait $rounds
	echo >/tmp/end
	wait $canary
	cat /tmp/canary
fi
trouble
pause_here
G1
cp "$CANARY" "$NIDUS_REPO/build/guest-tests/bare/vtd-hostile.elf" "$W/h1.d/"
echo "seed=${HOSTILE_SEED:-1} seconds=${HOSTILE_SECONDS:-20}" >"$W/h1.d/words"
if [[ ${HOSTILE_NIDUS:-} ]]; then
	STATIC=$HOSTILE_NIDUS PEAK_MAX=$((1 << 20))
	# Sanitizers make system calls of their own; behind the sandbox nobody can look for leaks.
	echo "filter='--seccomp off'; export ASAN_OPTIONS=detect_leaks=0" >>"$W/h1.d/words"
	for library in $(ldd "$STATIC" | grep -oE '/[^ ]+'); do
		mkdir -p "$W/h1.d$(dirname "$library")"
		cp -L "$library" "$W/h1.d$library"
	done
fi
host_script h1 <<'H1'
. /words
set -- $(sdmas)
to_vfio $1
to_vfio $2
mkfifo /tmp/end
/canary 160 <>/tmp/end >/tmp/canary &
canary=$!

slab() { awk '/^Slab:/ { print $2 }' /proc/meminfo; }
seconds_up() { awk '{ print int($1) }' /proc/uptime; }
rounds() { grep -c '^round 0' /tmp/g2.out; }
# Until G2 has come through one more.
one_round() {
	local from=$(rounds)
	until [ $(rounds) -gt $from ] || ! kill -0 $pid_g2 2>/dev/null; do sleep 0.5; done
}

# Until nidus has ended, or it should have: then it is told to.
look_on() { # NAME PID SECONDS
	local end=$(($(seconds_up) + $3)) peak
	while kill -0 $2 2>/dev/null; do
		/nidus stats $1 >/tmp/new 2>/dev/null && mv /tmp/new /tmp/$1.stats
		peak=$(awk '/^VmHWM:/ { print $2 }' /proc/$2/status 2>/dev/null)
		[ -z "$peak" ] || echo $peak >/tmp/$1.peak
		[ $(seconds_up) -lt $end ] || kill -TERM $2
		sleep 1
	done
}

# hostile NAME SECONDS WORDS: runs it, as NAME, for at most SECONDS; how it ended, how large nidus grew,
# and how much it said.
hostile() {
	local name=$1 limit=$2 pid trace
	shift 2
	/nidus run --name $name -k /vtd-hostile.elf -m 64 -c 2 --exit-port $filter \
		--vtd --vfio $device,nested=on -p "$*" </dev/null >/tmp/$name.out 2>/tmp/$name.err &
	pid=$!
	until /nidus stats $name >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.2; done
	# Who traces it and does not read must not stop it.
	/nidus trace $name vfio0 </dev/null >/tmp/$name.trace 2>&1 &
	trace=$!
	sleep 3
	kill -STOP $trace
	look_on $name $pid $limit
	wait $pid
	echo "$name-status $?"
	kill -CONT $trace
	wait $trace
	sed "s/^/stats-$name: /" /tmp/$name.stats
	echo "$name-peak $(cat /tmp/$name.peak)"
	echo "$name-lines $(wc -l </tmp/$name.err)"
	echo "$name-traced $(wc -c </tmp/$name.trace)"
	tr -d '\r' </tmp/$name.out | grep -aE '^((not )?ok [0-9]+ - |# |1\.\.)' | sed "s/^/$name: /"
	sed "s/^/$name-err: /" /tmp/$name.err
}

G1_PARAMS=role=busy
g1 g2 -c 1 -m 256M $filter --vtd --vfio $2,nested=on
g1_wait g2 >/dev/null
one_round
echo "rounds-before $(rounds)"
device=$1
slab=$(slab)
hostile rules $((seconds * 8 + 120)) seed=$seed seconds=$seconds
echo "rounds-rules $(rounds)"
hostile deadly $((seconds * 2 + 20)) seed=$((seed + 1)) seconds=$seconds deadly=1
echo "rounds-deadly $(rounds)"
one_round
echo "rounds-after $(rounds)"
echo "slab-grown $(($(slab) - slab))"
trouble meanwhile

G1_PARAMS=role=clean
g1 clean -c 1 -m 192M $filter --vtd --vfio $1,nested=on
g1_wait clean >/dev/null
g1_end clean
echo >/tmp/g2.in
until grep -q '^trouble' /tmp/g2.out || ! kill -0 $pid_g2 2>/dev/null; do sleep 0.5; done
g1_end g2
echo >/tmp/end
wait $canary
sed 's/^changed/canary/' /tmp/canary
trouble trouble
echo 1 >/sys/bus/pci/devices/$1/remove
trouble removed
pause_here
H1

mkfifo "$W/end"
"$CANARY" 512 <>"$W/end" >"$W/canary" &
canary=$!
LIMIT=800 host h1 -c 1 -m 1G --vtd --sdma queues=4 --sdma queues=4
echo >"$W/end"
wait "$canary"

note "seed ${HOSTILE_SEED:-1}; G1: $(tr -d '\r' <"$W/h1.out" | grep -E '^(rules|deadly): # .* rounds' | tr '\n' ' ')"
is 'by the rules: the guest comes through, and its VM ends as told' "$(said h1 rules-status)" 1 ||
	note "$(tr -d '\r' <"$W/h1.out" | grep '^rules-err: ')"
rows_of h1 rules rules
status=$(said h1 deadly-status)
# Of a guest that has overwritten itself: an exit code of its own, an end by its own doing, or SIGTERM.
holds "without rules: a documented end ($status)" test "$status" = 0 -o "$status" = 3 -o "$status" = 4 \
	-o "$status" = 143 -o \( "${status:-0}" -lt 128 -a $((${status:-0} % 2)) = 1 \)
bad=$(tr -d '\r' <"$W/h1.out" | grep '^deadly: not ok')
[[ -z $bad ]] || note "which is no failure: $bad"
for name in rules deadly; do
	did="$(guest_stat h1 $name vtd0.vfio0 host_binds) binds, $(guest_stat h1 $name vtd0.vfio0 host_unbinds) unbinds, "
	did+="$(guest_stat h1 $name vtd0.vfio0 host_invalidates) invalidations, $(guest_stat h1 $name vtd0.vfio0 host_errors) refused"
	# Without rules it may be over soon.
	least=5
	[[ $name == rules ]] || least=0
	holds "$name: what it did reached the host ($did)" \
		test "$(guest_stat h1 $name vtd0.vfio0 host_unbinds)" -gt $least
	holds "$name: nidus has said little ($(said h1 $name-lines) lines)" test "$(said h1 $name-lines)" -lt $LINES_MAX
	holds "$name: and is small ($(said h1 $name-peak) KiB)" test "$(said h1 $name-peak)" -lt $PEAK_MAX
	holds "$name: a trace that is not read is bounded ($(said h1 $name-traced) bytes)" \
		test "$(said h1 $name-traced)" -gt 0 -a "$(said h1 $name-traced)" -lt $((1 << 20))
done
[[ -z ${HOSTILE_NIDUS:-} ]] || is 'no sanitizer complains' "$(grep -caE 'runtime error:|ERROR: [A-Za-z]*Sanitizer' "$W/h1.out")" 0
before=$(said h1 rounds-before) rules=$(said h1 rounds-rules) deadly=$(said h1 rounds-deadly)
holds "G2 works before ($before), meanwhile ($rules, $deadly) and afterwards ($(said h1 rounds-after))" \
	test "$before" -gt 0 -a "$rules" -gt "$before" -a "$deadly" -gt "$rules" -a "$(said h1 rounds-after)" -gt "$deadly"
is 'none of its rounds failed' "$(tr -d '\r' <"$W/h1.out" | grep -cE '^g2: round [^0]')" 0
is "G2's memory has not changed" "$(guest_said h1 g2 changed)" 0
is "nor has memory of a process of H1" "$(said h1 canary)" 0
is "nor has memory of a process of H0" "$(sed -n 's/^changed //p' "$W/canary")" 0
is "G2's kernel has no complaint" "$(guest_said h1 g2 trouble)" 0
is 'G2 ends by itself' "$(said h1 g2-status)" 0
is 'the device works in a clean guest' "$(guest_said h1 clean checked) $(said h1 clean-status)" '0 0' ||
	note "$(tr -d '\r' <"$W/h1.out" | grep '^clean')"
is "H1's kernel has no complaint" "$(said h1 meanwhile) $(said h1 trouble)" '0 0' ||
	note "$(tr -d '\r' <"$W/h1.out" | grep '^complaint')"
is 'nor when the device is removed' "$(said h1 removed)" 0
holds "it has kept nothing ($(said h1 slab-grown) KiB of slab)" test "$(said h1 slab-grown)" -lt $SLAB_MAX
holds "H0 walked nested tables for it ($(stat vtd0.sdma0 walks_nested))" test "$(stat vtd0.sdma0 walks_nested)" -gt 50
holds "H0 delivered page requests ($(stat vtd0.sdma0 page_requests)), and recorded faults ($(stat vtd0.sdma0 faults))" \
	test "$(stat vtd0.sdma0 page_requests)" -gt 0 -a "$(stat vtd0.sdma0 faults)" -gt 0
is "no error in the queue of H1's kernel" "$(stat vtd0 queue_errors)" 0
holds "H0's nidus has said little ($(wc -l <"$W/h1.err") lines)" test "$(wc -l <"$W/h1.err")" -lt $LINES_MAX
done_testing
