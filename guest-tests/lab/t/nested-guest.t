#!/bin/bash
# Three levels, each with a VT-d unit of its own for the next: in G1 processes share their address
# space with an sdma device that H1's nidus emulates. (What passes a device of H1 on builds on this.)
. "$(dirname "$0")/nested-lib.sh"

guest_script sva <<'G1'
sdma-check --timeout 600 malloc untouched cow munmap stale pasids exit
echo "checked $?"
trouble
pause_here
G1
host_script sva <<'H1'
echo "unit $(ls /sys/class/iommu | wc -w)"
g1 g1 -c 1 -m 256M --vtd --sdma queues=4
g1_wait g1
g1_end g1
trouble trouble
pause_here
H1
LIMIT=800 host sva -c 2 -m 1G --vtd --sdma queues=8
is 'H1 has a unit' "$(said sva unit)" 1
is 'G1 ends by itself' "$(said sva g1-status)" 0 || note "$(tr -d '\r' <"$W/sva.out" | grep '^g1-err')"
note "G1 was up after $(guest_said sva g1 up) s of its own time"
rows_of sva G1 g1
is 'seven checks of G1 have a row' \
	"$(tr -d '\r' <"$W/sva.out" | grep -cE '^g1: (not )?ok [0-9]+ - ')" 7
is 'all of them pass' "$(guest_said sva g1 checked)" 0
is "G1's kernel has no complaint" "$(guest_said sva g1 trouble)" 0
is "H1's kernel has no complaint" "$(said sva trouble)" 0
holds "H1's nidus walked G1's tables ($(guest_stat sva g1 vtd0.sdma0 walks_first_stage))" \
	test "$(guest_stat sva g1 vtd0.sdma0 walks_first_stage)" -gt 0
is 'no error in the invalidation queue of either unit' \
	"$(stat vtd0 queue_errors) $(guest_stat sva g1 vtd0 queue_errors)" '0 0'
done_testing
