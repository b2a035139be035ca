#!/bin/bash
# Three levels: H0's unit is the hardware of H1, whose nidus passes two sdma devices to G1 and has
# the kernel nest G1's first-stage tables. In G1 the workloads of sva.t run, unchanged; what H1's
# nidus and H0's unit count says how their DMA was translated.
. "$(dirname "$0")/nested-lib.sh"

truncate -s 256M "$W/swap" && mkswap "$W/swap" >/dev/null 2>&1
truncate -s 128M "$W/ext4" && mkfs.ext4 -q "$W/ext4"

guest_script sva <<'G1'
echo 16 >/proc/sys/vm/nr_hugepages
swapon /dev/vda
mkdir /mnt && mount -t ext4 /dev/vdb /mnt
echo "listed $(sdma-check --list | wc -l)"
sdma-check --disk /mnt --timeout 900
echo "checked $?"
sdma-check --procs 2 --timeout 900 malloc untouched kill >/dev/null
echo "by-two $?"
trouble
pause_here
G1
host_script sva <<'H1'
set -- $(sdmas)
to_vfio $1
to_vfio $2
g1 g1 -c 1 -m 640M --vtd --vfio $1,nested=on --vfio $2,nested=on -d /dev/vda -d /dev/vdb
g1_wait g1
g1_end g1
trouble trouble
pause_here
H1
LIMIT=800 host sva -c 1 -m 1536M --vtd --sdma queues=8 --sdma queues=4 -d "$W/swap" -d "$W/ext4"
is 'G1 ends by itself' "$(said sva g1-status)" 0 || note "$(tr -d '\r' <"$W/sva.out" | grep '^g1-err')"
note "G1 was up after $(guest_said sva g1 up) s of its own time"
note "the longest: $(tr -d '\r' <"$W/sva.out" | sed -n 's/^g1: took //p' | sort -rnk 2 |
	head -n 12 | paste -sd,)"
rows_of sva G1 g1
is 'every check of sdma-check --list has a row' \
	"$(tr -d '\r' <"$W/sva.out" | grep -cE '^g1: (not )?ok [0-9]+ - ')" "$(guest_said sva g1 listed)"
is 'all of them pass in G1' "$(guest_said sva g1 checked)" 0
is 'some by two processes at once, too' "$(guest_said sva g1 by-two)" 0
is "G1's kernel has no complaint" "$(guest_said sva g1 trouble)" 0
is "H1's kernel has no complaint" "$(said sva trouble)" 0
for device in sdma0 sdma1; do
	holds "H0 walked nested tables for $device ($(stat "vtd0.$device" walks_nested))" \
		test "$(stat "vtd0.$device" walks_nested)" -gt 100
	is 'and no first stage alone' "$(stat "vtd0.$device" walks_first_stage)" 0
done
# What is left are the devices that H1's nidus emulates itself.
walks=0
for device in rng disk0 disk1; do
	walks=$((walks + $(guest_stat sva g1 "vtd0.$device" walks || echo 0)))
done
is "H1's nidus walked no table for the devices that it passes on" \
	"$(guest_stat sva g1 vtd0 walks)" "$walks"
for device in vfio0 vfio1; do
	is "$device: no access to its BARs left G1" "$(guest_stat sva g1 $device bar_exits)" 0
	is "$device: nothing failed in the host" "$(guest_stat sva g1 $device errors)" 0
	holds "$device: page requests of the host reached G1 ($(guest_stat sva g1 $device page_requests))" \
		test "$(guest_stat sva g1 $device page_requests)" -gt 0
	note "$device: $(guest_stat sva g1 $device binds) binds, $(guest_stat sva g1 $device ioctls) ioctls"
done
done_testing
