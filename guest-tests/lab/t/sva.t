#!/bin/bash
# Shared virtual addressing: processes in a guest hand their own pointers to sdma devices behind a
# VT-d unit, and sdma-check (guest-tests/linux/tools) verifies every byte and the device's counters.
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016,SC2034 # guests expand them; lib.sh reads them
INITRD=$NIDUS_INITRAMFS/guest-sdma.cpio
PROCESSES=4

truncate -s 256M "$W/swap" && chmod 600 "$W/swap" && mkswap "$W/swap" >/dev/null
truncate -s 128M "$W/ext4" && mkfs.ext4 -q "$W/ext4"
disks=(-d "$W/swap" -d "$W/ext4")

# checks NAME WORDS [COMMAND]...: a guest's script that runs sdma-check with these words, and then the
# commands. The kernel's messages stay away from the rows.
checks() {
	local name=$1 words=$2
	shift 2
	{
		echo 'dmesg -n 1'
		echo 'echo 16 >/proc/sys/vm/nr_hugepages'
		echo '[ ! -e /dev/vda ] || swapon /dev/vda'
		echo 'mkdir /mnt; [ ! -e /dev/vdb ] || mount -t ext4 /dev/vdb /mnt'
		echo 'echo "listed $(sdma-check --list | wc -l)"'
		echo "sdma-check $words; echo \"checked \$?\""
		printf '%s\n' "$@"
		echo 'echo "trouble $(dmesg | grep -cE "WARNING:|BUG:|Oops|blocked for more than|detected stalls|self-detected")"'
	} | script "$name"
}

# rows_of NAME PREFIX: the rows that sdma-check has printed there, as rows of this test.
rows_of() {
	local verdict name line
	while read -r line; do
		verdict=${line%% - *} name=${line#* - }
		if [[ $verdict == ok* && $name != *'# SKIP'* ]]; then
			ok_row "$2: $name"
		else
			bad_row "$2: $name" "$(tr -d '\r' <"$W/$1.out" | grep "^# ${name%%:*}/")"
		fi
	done < <(tr -d '\r' <"$W/$1.out" | grep -E '^(not )?ok [0-9]+ - ')
}

# verdict NAME CHECK: "ok", "not ok", or nothing if it was not run.
verdict() {
	tr -d '\r' <"$W/$1.out" | sed -nE "s/^(ok|not ok) [0-9]+ - $2:.*/\1/p"
}

# passes PREFIX NAME ARGUMENT...: such a guest, in which all checks pass.
passes() {
	local prefix=$1 name=$2
	shift 2
	linux "$name" "$@"
	ended "$name" 0 "$prefix: the guest ends by itself"
	rows_of "$name" "$prefix"
	is "$prefix: all checks were run and passed" "$(said "$name" checked)" 0 || show "$name"
	is "$prefix: the kernel has no complaint" "$(said "$name" trouble)" 0
}

# --- All checks, each by many processes at once, on two devices ---

checks all "--disk /mnt --procs $PROCESSES" \
	'echo "remapped $(grep -c "IR-PCI-MSIX.*sdma0-" /proc/interrupts)"' \
	'echo "prq $(grep -c "dmar0-prq" /proc/interrupts)"' \
	'rmmod sdma && echo "unloaded yes"' \
	'insmod /modules/sdma.ko && sdma-check malloc >/dev/null && echo "reloaded yes"'
passes "$PROCESSES processes" all -c 2 -m 1G --vtd --sdma queues=8 --sdma queues=4 "${disks[@]}"
is 'every check of sdma-check --list has a row' \
	"$(tr -d '\r' <"$W/all.out" | grep -cE '^(not )?ok [0-9]+ - ')" "$(said all listed)"
is 'the interrupts of all queues are remapped' "$(said all remapped)" 8
is 'the kernel has a page request queue' "$(said all prq)" 1
is 'the driver is unloaded' "$(said all unloaded)" yes
is 'and loaded again' "$(said all reloaded)" yes

# --- More processes than queues; one CPU; other units, other modes of the kernel ---

some='malloc untouched cow munmap stale kernel-and-sva'

checks crowd '--procs 10 malloc untouched munmap exit'
passes '10 processes, 3 queues' crowd -c 2 -m 512M --vtd --sdma queues=3

checks units "$some two-devices"
passes 'a unit for each device' units -c 1 -m 512M --vtd devices=sdma1 --vtd --sdma --sdma queues=1

checks caching "$some"
passes 'caching-mode=on' caching -c 2 -m 512M --vtd caching-mode=on --sdma queues=4
checks first "$some"
passes 'first stage only' first -c 2 -m 512M --vtd second-stage=off,nested=off --sdma queues=4
PARAMS='iommu.strict=1'
checks strict "$some" \
	'for n in 0 4; do' \
	'	echo $n >/sys/class/sdma/sdma0/atc_entries' \
	'	sdma-check malloc untouched mremap-dma >/tmp/rows' \
	'	echo "tlb$n $(grep -c ^ok /tmp/rows)"' \
	'done'
passes 'iommu.strict=1' strict -c 2 -m 512M --vtd --sdma queues=4
is 'a device without TLB passes what needs none' "$(said strict tlb0)" 3
is 'a device whose TLB has four entries passes too' "$(said strict tlb4)" 3
PARAMS='iommu.passthrough=1'
checks pt "$some"
passes 'iommu.passthrough=1' pt -c 2 -m 512M --vtd --sdma queues=4
PARAMS=

# --- Debian's newest kernel, whose driver was built from its headers ---

name="Debian's $(basename "$NIDUS_CACHE"/headers/7*)"
if [[ -s $NIDUS_INITRAMFS/guest-sdma-7.cpio ]]; then
	checks debian "--procs 2 $some swapped kill two-devices"
	OURS=$KERNEL INITRD=$NIDUS_INITRAMFS/guest-sdma-7.cpio KERNEL=$NIDUS_KERNEL_7
	passes "$name" debian -c 2 -m 1G --vtd --sdma --sdma "${disks[@]}"
	INITRD=$NIDUS_INITRAMFS/guest-sdma.cpio KERNEL=$OURS
else
	skip_row "$name" 'its headers are of another version than our own kernel'
fi

# --- Where there is no SVA, the kernel's copies work, and processes are told ---

# Linux says "no space" where a unit has no PASIDs at all.
NO_SVA='(Operation not supported|No such device|No space left on device)'

no_sva() {
	local name=$1 row=$2
	shift 2
	linux "$name" "$@"
	ended "$name" 0 "$row: the guest ends by itself"
	is "$row: the kernel copies" "$(verdict "$name" kernel)" ok
	is "$row: processes are refused" "$(verdict "$name" malloc)" 'not ok'
	like "$row: and are told so" "$(cat "$W/$name.out")" \
		"malloc/0: cannot open a queue of /dev/sdma0: $NO_SVA"
}
checks bare 'kernel malloc'
no_sva bare 'no unit' -c 1 -m 256M --sdma queues=2
PARAMS='intel_iommu=sm_off'
checks legacy 'kernel malloc'
no_sva legacy 'legacy mode' -c 1 -m 256M --vtd --sdma queues=2
PARAMS=

# --- The checks can fail: a unit that only pretends to invalidate leaves stale translations ---

# stale TYPE CHECK...: with such invalidations dropped these checks fail.
stale() {
	local type=$1 check
	shift
	checks "drop-$type" "--timeout 60 $*"
	linux "drop-$type" -c 1 -m 256M --vtd "drop=$type" --sdma queues=4
	ended "drop-$type" 0 "drop=$type: the guest ends by itself"
	for check; do
		is "drop=$type: the check '$check' fails" "$(verdict "drop-$type" "$check")" 'not ok'
	done
}
stale pasid-device-tlb cow munmap stale
stale pasid-iotlb munmap

# --- Measurements: every size has a row ---

script perf <<'GUEST'
dmesg -n 1
sdma-perf --ms 2 --json
GUEST
linux perf -c 1 -m 512M --vtd --sdma queues=2
ended perf 0 'sdma-perf ends by itself'
is 'sdma-perf measures ten sizes' \
	"$(grep -cE '"part":"warm","bytes":[0-9]+,.*"median_ns":[1-9]' "$W/perf.out")" 10
for part in request:mean bind:bind bind:unbind invalidate:median streaming:map streaming:unmap; do
	like "sdma-perf measures ${part%:*}, ${part#*:}" \
		"$(grep "\"part\":\"${part%:*}\"" "$W/perf.out")" "\"${part#*:}_ns\":[1-9]"
done
done_testing
