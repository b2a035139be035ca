#!/bin/bash
# The lives of guests with passed-through devices, on one H1: DMA of G1's kernel, strict and lazy, in
# two VMs at once; one of them killed under DMA, and its device in use again at once; hundreds of
# PASIDs; page faults; the device reset by the host, and G1 by itself and by `nidus reset`, all under
# DMA. What H1's kernel holds, and what H0's unit has, shows that everything is given back.
. "$(dirname "$0")/nested-lib.sh"

guest_script life <<'G1'
role=$(sed -n 's/.*role=\([a-z]*\).*/\1/p' /proc/cmdline)
# Leaves the device with a full ring.
busy() {
	sdma-busy >/tmp/busy &
	until grep -q busy /tmp/busy; do sleep 0.1; done
}
# Memory that nobody has written to stays as it is: a third of it all.
canary() {
	dd if=/dev/urandom of=/tmp/canary bs=1M count=64 2>/dev/null
	sum=$(md5sum </tmp/canary)
	sleep 2
	[ "$sum" = "$(md5sum </tmp/canary)" ]
	echo "canary-$1 $?"
	rm /tmp/canary
}
echo "type $(cat /sys/class/sdma/sdma0/device/iommu_group/type)"

dma() {
	# The first copy has tables to make.
	sdma-perf --only streaming --count 8 >/dev/null
	pause_here
	sdma-perf --only streaming --count 200 >/dev/null; echo "copied $?"
	pause_here
	sdma-check kernel; echo "checked $?"
	busy
	pause_here
	kill $!
	sdma-check malloc untouched; echo "unharmed $?"
	trouble
}

life_1() {
	swapon /dev/vdb
	sdma-check malloc >/dev/null
	pause_here
	sdma-perf --only bind --count 400 >/dev/null; echo "bound $?"
	sdma-check untouched read-only swapped; echo "checked $?"
	pause_here
	busy
	pause_here
	wait $!; echo "busy $?"
	echo "stopped $(tail -n 1 /tmp/busy)"
	echo 1 >/sys/class/sdma/sdma0/device/reset; echo "reset $?"
	sdma-check malloc interrupts; echo "after-reset $?"
	trouble
	echo 2 >/dev/vda
	busy
	pause_here
	# No driver is told.
	echo b >/proc/sysrq-trigger
}

life_2() {
	pause_here
	canary 2
	pause_here
	sdma-check malloc untouched; echo "second $?"
	trouble
	echo 3 >/dev/vda
	busy
	pause_here
	sleep 1000
}

life_3() {
	canary 3
	sdma-check malloc untouched; echo "third $?"
	trouble
}

case $role in
again) life_$(head -c 1 /dev/vda) ;;
*) dma ;;
esac
G1
host_script life <<'H1'
set -- $(sdmas)
to_vfio $1
to_vfio $2
echo 1 >/tmp/life
truncate -s 1M /tmp/life
held() { echo "$1 $(pinned) $(domains) $(files) $(available)"; }
held held-before

# Two VMs, of one kind each.
G1_PARAMS='role=strict iommu.strict=1'
g1 strict -c 1 -m 192M --vtd --vfio $1,nested=on
G1_PARAMS='role=lazy iommu.strict=0'
g1 lazy -c 1 -m 192M --vtd --vfio $2,nested=on
g1_pauses strict
g1_pauses lazy
echo "pinned-two $(pinned)"
for vm in strict lazy; do
	snapshot $vm-1
	before=$(g1_stat $vm vfio0 invalidate_calls)
	g1_go_on $vm
	g1_pauses $vm
	echo "invalidations-$vm $(($(g1_stat $vm vfio0 invalidate_calls) - before))"
	snapshot $vm-2
done
g1_go_on strict
g1_go_on lazy
g1_pauses strict
g1_pauses lazy

# Both are under DMA. One dies; its device has another user at once.
snapshot dma-1
sleep 1
snapshot dma-2
held held-two
g1_kill strict
held held-killed
G1_PARAMS='role=again'
g1 again -c 1 -m 192M --vtd --vfio $1,nested=on -d /tmp/life -d /dev/vda --restart
snapshot dma-3
sleep 1
snapshot dma-4
g1_end lazy
held held-one

# Much comes and goes.
g1_pauses again
used() { echo "$1 $(($(g1_stat again vfio0 binds) - $(g1_stat again vfio0 unbinds))) $(domains)"; }
used used-1
binds=$(g1_stat again vfio0 binds)
snapshot used-1
g1_go_on again
g1_pauses again
used used-2
echo "binds $(($(g1_stat again vfio0 binds) - binds))"
echo "requests $(g1_stat again vfio0 page_requests)"
snapshot used-2

# The host resets the device.
g1_go_on again
g1_pauses again
echo 1 >/sys/bus/pci/devices/$1/reset
echo "host-reset $?"
g1_go_on again

# G1 is reset, by itself and by us.
g1_pauses again
snapshot reset-1
g1_go_on again
g1_pauses again
snapshot reset-2
g1_go_on again
g1_pauses again
snapshot reset-3
used used-3
g1_go_on again
g1_pauses again
/nidus reset again
echo "nidus-reset $?"
g1_line again '^third'
echo "restarts $(g1_stat again vm restarts)"
g1_end again
snapshot end
held held-after
trouble trouble
pause_here
H1
truncate -s 64M "$W/swap" && mkswap "$W/swap" >/dev/null 2>&1
LIMIT=800 host life -c 1 -m 1280M --vtd --sdma queues=8 --sdma queues=4 -d "$W/swap"

note "seconds of H1: $(tr -d '\r' <"$W/life.out" | sed -n 's/^at //p' | paste -sd,)"

# What `held` and `used` have printed, by place.
held() { said life "held-$1" | cut -d ' ' -f "$2"; }
used() { said life "used-$1" | cut -d ' ' -f "$2"; }
BYTES=$((192 << 20))
PAGES=$((BYTES / 4096))

# --- DMA of the kernel ---

for vm in strict lazy; do
	is "$vm: 200 copies, each mapped and unmapped" "$(guest_said life $vm copied)" 0
	is "$vm: coherent and streaming copies of the kernel are right" "$(guest_said life $vm checked)" 0
done
is 'strict: the kernel says so' "$(guest_said life strict type)" DMA
is 'lazy: the kernel says so' "$(guest_said life lazy type)" DMA-FQ
holds "strict: an ioctl for each unmap ($(said life invalidations-strict))" \
	test "$(said life invalidations-strict)" -ge 400
holds 'and H0 has invalidated the device-TLB for each' \
	test "$(grown vtd0.sdma0 invalidate_devtlb strict-1 strict-2)" -ge 400
holds "lazy: far fewer ($(said life invalidations-lazy))" \
	test "$(said life invalidations-lazy)" -lt 200
holds 'and so in H0' test "$(grown vtd0.sdma1 invalidate_devtlb lazy-1 lazy-2)" -lt 200

# --- Two VMs; one is killed under DMA ---

is 'RAM of both VMs is pinned, all of it' "$(said life pinned-two)" $((2 * PAGES))
for device in sdma0 sdma1; do
	holds "$device is under DMA" test "$(grown $device bytes dma-1 dma-2)" -gt 0
done
holds 'with a PASID' test "$(entries sdma0 dma-2)" -gt 0
is 'nidus is killed under DMA' "$(said life strict-status)" 137
is 'its pages are free' "$(($(held two 1) - $(held killed 1)))" $PAGES
holds 'and its domain-ids' test "$(held killed 2)" -lt "$(held two 2)"
holds "its files ($(held killed 3) of $(held two 3) are open)" test "$(held killed 3)" -lt "$(held two 3)"
holds "its memory ($(held two 4) MiB before, $(held killed 4) after)" \
	test "$(held killed 4)" -ge $(($(held two 4) + BYTES / 2 / 1048576))
is 'H0 has no PASID of its device' "$(entries sdma0 dma-3)" 0
is 'whose DMA has ended' "$(grown sdma0 bytes dma-3 dma-4)" 0
holds 'while that of the other goes on' test "$(grown sdma1 bytes dma-3 dma-4)" -gt 0
is 'the other VM is unharmed' "$(guest_said life lazy unharmed)" 0
is 'and ends by itself' "$(said life lazy-status)" 0 || note "$(tr -d '\r' <"$W/life.out" | grep '^lazy-err')"
is 'only one is left: its RAM is pinned' "$(held one 1)" $PAGES

# --- PASIDs, and page faults ---

rows_of life 'killed and started again at once: G1' again
is 'its page faults' "$(guest_said life again checked)" 0
holds "page requests of the host have reached G1 ($(said life requests))" test "$(said life requests)" -gt 100
holds "hundreds of binds ($(said life binds))" test "$(said life binds)" -ge 400
is 'all of them by a process that binds and unbinds' "$(guest_said life again bound)" 0
is 'all are unbound' "$(used 2 1)" "$(used 1 1)"
is 'no domain-id is left' "$(used 2 2)" "$(used 1 2)"
is 'nor an entry of a PASID in H0' "$(entries sdma0 used-2)" "$(entries sdma0 used-1)"

# --- Resets, under DMA ---

is 'the host resets the device' "$(said life host-reset)" 0
is 'G1 sees that it has stopped' "$(guest_said life again busy)" 3 ||
	note "$(guest_said life again stopped)"
is 'G1 resets it, too' "$(guest_said life again reset)" 0
is 'and it works again' "$(guest_said life again after-reset)" 0
holds 'G1 resets itself under DMA' test "$(stat sdma0 bytes reset-2)" -gt "$(stat sdma0 bytes used-2)"
holds 'with a PASID' test "$(entries sdma0 reset-1)" -gt "$(entries sdma0 used-1)"
is 'its second life has no DMA of the first' "$(grown sdma0 bytes reset-2 reset-3)" 0
is 'nor has its memory' "$(guest_said life again canary-2)" 0
is 'it has as many domain-ids as the first had at its start' "$(used 3 2)" "$(used 1 2)"
is 'and no PASID of the first' "$(entries sdma0 reset-2)" "$(entries sdma0 used-1)"
is 'and shared virtual addressing works' "$(guest_said life again second)" 0
is 'nidus reset, under DMA' "$(said life nidus-reset)" 0
is 'the third life has no DMA of the second in its memory' "$(guest_said life again canary-3)" 0
is 'and works' "$(guest_said life again third)" 0
is 'stats count the restarts' "$(said life restarts)" 2
is 'no kernel of a G1 has a complaint' "$(tr -d '\r' <"$W/life.out" |
	grep -E '^(lazy|again): trouble ' | cut -d ' ' -f 3 | sort | uniq -c | tr -s ' ')" ' 4 0'
is 'the last G1 ends by itself' "$(said life again-status)" 0 ||
	note "$(tr -d '\r' <"$W/life.out" | grep '^again-err')"

# --- The end ---

is 'no page is pinned any more' "$(held after 1)" "$(held before 1)"
is 'domain-ids are as at first' "$(held after 2)" "$(held before 2)"
holds "open files are ($(held before 3), $(held after 3))" test "$(held after 3)" -le $(($(held before 3) + 8))
is 'H0 has no entry of a PASID' "$(entries sdma0 end) $(entries sdma1 end)" '0 0'
is "H1's kernel has no complaint" "$(said life trouble)" 0 ||
	note "$(tr -d '\r' <"$W/life.out" | grep '^complaint')"
is 'no error in the invalidation queue' "$(stat vtd0 queue_errors)" 0
done_testing
