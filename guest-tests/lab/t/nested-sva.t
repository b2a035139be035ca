#!/bin/bash
# Three levels: H0's unit is the hardware of H1, whose nidus passes an sdma device to G1 and has the
# kernel nest G1's first-stage tables. In G1 the workloads of sva.t run, unchanged; what H1's nidus
# and H0's unit count says how their DMA was translated.
. "$(dirname "$0")/nested-lib.sh"

guest_script sva <<'G1'
echo "listed $(sdma-check --list | wc -l)"
sdma-check --procs 2 --timeout 900
echo "checked $?"
trouble
pause_here
G1
host_script sva <<'H1'
to_vfio $(sdmas)
g1 g1 -c 1 -m 384M --vtd --vfio $(sdmas),nested=on
g1_wait g1
g1_end g1
trouble trouble
pause_here
H1
LIMIT=1500 host sva -c 2 -m 1G --vtd --sdma queues=8
is 'G1 ends by itself' "$(said sva g1-status)" 0 || note "$(tr -d '\r' <"$W/sva.out" | grep '^g1-err')"
note "G1 was up after $(guest_said sva g1 up) s"
rows_of sva 'G1' g1
is 'all of sdma-check passes in G1' "$(guest_said sva g1 checked)" 0
is "G1's kernel has no complaint" "$(guest_said sva g1 trouble)" 0
is "H1's kernel has no complaint" "$(said sva trouble)" 0
holds "H0 walked nested tables ($(stat vtd0.sdma0 walks_nested))" \
	test "$(stat vtd0.sdma0 walks_nested)" -gt 100
is "H1's nidus walked no table for the device" "$(guest_stat sva g1 vtd0 walks)" 0
done_testing
