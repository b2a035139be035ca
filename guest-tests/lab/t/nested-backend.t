#!/bin/bash
# The host backend of nidus on a real kernel: tests/lab/vfio_host.c in H1, whose VT-d unit and sdma
# device are those of H0's nidus. H0's unit counts what it walked.
. "$(dirname "$0")/nested-lib.sh"

mkdir -p "$W/backend.d"
cp "$NIDUS_REPO/build/tests/lab/vfio_host" "$W/backend.d/"
host_script backend <<'H1'
set -- $(sdmas)
/nidus vfio bind $1 2>/dev/null || to_vfio $1
/vfio_host $1
echo "ended $?"
echo "took $(now)"
trouble before
# When the device goes, the kernel finds out what was not given back.
echo 1 >/sys/bus/pci/devices/$1/remove
trouble removed
pause_here
H1
host backend -c 2 -m 512M --vtd --sdma queues=1
rows_of backend H1
is 'all of them pass' "$(said backend ended)" 0
is "H1's kernel has no complaint" "$(said backend before)" 0
is 'nor when the device is removed' "$(said backend removed)" 0 ||
	note "$(tr -d '\r' <"$W/backend.out" | grep '^complaint')"
holds "H0 walked nested tables ($(stat vtd0.sdma0 walks_nested))" \
	test "$(stat vtd0.sdma0 walks_nested)" -gt 20
is 'no error in the invalidation queue' "$(stat vtd0 queue_errors)" 0
done_testing
