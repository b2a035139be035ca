#!/bin/bash
# A host behind our VT-d unit nests: H1's kernel, its iommufd and its VFIO take the unit for real
# hardware. iommufd-probe (guest-tests/linux/tools) writes first-stage tables as a guest would, and
# has an sdma device work through them; H0's unit counts what it walked.
. "$(dirname "$0")/nested-lib.sh"

host_script probe <<'H1'
set -- $(sdmas)
echo "devices $#"
echo "kvm $([ -c /dev/kvm ] && echo yes)"
to_vfio $1
echo "listed $(/iommufd-probe --list | wc -l)"
/iommufd-probe /dev/vfio/devices/vfio0
echo "probed $?"
echo "took $(now)"
trouble before

# When the device goes, the kernel finds out what was not given back.
echo 1 >/sys/bus/pci/devices/$1/remove
trouble removed
echo 1 >/sys/bus/pci/rescan
to_vfio $1
/iommufd-probe /dev/vfio/devices/vfio0 nested-pasid request-pasid replace-rid \
	refused-rid >/tmp/again
echo "again $?"
sed 's/^/again: /' /tmp/again
trouble after
pause_here
H1
host probe -c 2 -m 512M --vtd --sdma queues=8
is 'H1 sees the device' "$(said probe devices)" 1
is 'H1 has KVM' "$(said probe kvm)" yes
rows_of probe H1
is 'every test of iommufd-probe --list has a row' \
	"$(tr -d '\r' <"$W/probe.out" | grep -cE '^(not )?ok [0-9]+ - ')" "$(said probe listed)"
is 'all of them pass' "$(said probe probed)" 0
is "H1's kernel has no complaint" "$(said probe before)" 0
is 'nor when the device is removed: no page-request reference is left' "$(said probe removed)" 0 ||
	note "$(tr -d '\r' <"$W/probe.out" | grep '^complaint')"
is 'found again, it nests again' "$(said probe again)" 0
is 'and still no complaint' "$(said probe after)" 0

holds "H0 walked nested tables ($(stat vtd0.sdma0 walks_nested))" \
	test "$(stat vtd0.sdma0 walks_nested)" -gt 100
is 'H0 walked no first stage alone for the device' "$(stat vtd0.sdma0 walks_first_stage)" 0
holds "H0 delivered page requests ($(stat vtd0.sdma0 page_requests)) and their responses" \
	test "$(stat vtd0.sdma0 page_responses)" -gt 3
is 'H0 answered none by itself' "$(stat vtd0 page_auto_responses)" 0
holds 'H1 invalidated the device-TLB, by PASID and without' test \
	"$(stat vtd0.sdma0 invalidate_pasid_devtlb)" -gt 0 -a "$(stat vtd0.sdma0 invalidate_devtlb)" -gt 0
is 'no error in the invalidation queue' "$(stat vtd0 queue_errors)" 0
holds "faults were provoked, and recorded ($(stat vtd0.sdma0 faults))" \
	test "$(stat vtd0.sdma0 faults)" -gt 0
is 'no fault was lost' "$(stat vtd0 faults_lost)" 0

# --- Units that cannot nest say so, and the kernel believes it ---

cannot() { # ROW NIDUS-ARGUMENT
	host_script cannot <<'H1'
to_vfio $(sdmas)
/iommufd-probe /dev/vfio/devices/vfio0 hardware second-stage nested-pasid
pause_here
H1
	host cannot -m 256M --vtd "$2" --sdma queues=1
	like "$1: it is refused" "$(tr -d '\r' <"$W/cannot.out")" \
		'HWPT_ALLOC of a nest(ed domain|ing parent): (Operation not supported|Invalid argument)'
}
cannot 'a unit without nesting' nested=off
cannot 'a unit without second stage' second-stage=off
done_testing
