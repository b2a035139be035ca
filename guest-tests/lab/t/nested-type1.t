#!/bin/bash
# H1 has a kernel without iommufd, Debian's: its nidus passes devices by groups and type1
# containers. What that costs is told; what it cannot do is refused; without a unit, and behind one
# whose second-stage tables are shadowed, guests work. An argument chooses another kernel: 6.1.
LIMIT=${LIMIT:-800}
. "$(dirname "$0")/nested-lib.sh"

version=${1:-6.12}
word=${version//./_}
kernel=NIDUS_KERNEL_$word modules=NIDUS_MODULES_$word
GROUP="type1, Linux $version ($NIDUS_TIER)"
BARE=$NIDUS_REPO/build/guest-tests/bare
head -c 2M /dev/urandom >"$W/disk0"

guest_script h1 <<'G1'
echo "disk $(dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum)"
echo "messages $(awk '/MSIX.*(virtio0-req|sdma0)/ { n += $2 } END { print n + 0 }' /proc/interrupts)"
sdma-check kernel; echo "kernel $?"
# The device's memory moves with its BAR: off and on again.
echo 1 >/sys/bus/pci/devices/0000:00:02.0/reset; echo "reset $?"
trouble
pause_here
G1

# type1_script NAME <TEXT: host_script for an H1 with the modules of a host, in the order in which they
# load, bare guests, and edu bound.
type1_script() {
	mkdir -p "$W/$1.d/host"
	while read -r name; do
		cp "${!modules}/$name" "$W/$1.d/host/"
	done <"${!modules}/host.order"
	cp "${!modules}/host.order" "$W/$1.d/host/order"
	cp "$BARE/edu.elf" "$BARE/vtd.elf" "$W/$1.d/"
	{
		cat <<'H1'
while read -r module; do
	insmod /host/$module 2>/dev/null
done </host/order
bare() { /nidus run -m 64M --exit-port "$@" </dev/null 2>&1; }
edu=$(functions 0x1234:0x11e8)
try check-unbound /nidus check -k /edu.elf --vfio $edu
try bind /nidus vfio bind $edu
H1
		cat
	} | host_script "$1"
}

type1_script h1 <<'H1'
disk=$(functions 0x1af4:0x1042) sdma=$(functions 0x1234:0x5d3a)
/nidus vfio bind $disk
/nidus vfio bind $sdma
try check-bound /nidus check -k /edu.elf --vfio $edu
try nested /nidus run -k /edu.elf -m 64M --vtd --vfio $edu,nested=on
bare -k /edu.elf -p rounds=50 --vfio $edu | sed 's/^/edu: /'
bare -k /vtd.elf -p passed --vtd --vfio $edu | sed 's/^/vtd: /'
# While one has the group, another gets none.
g1 plain -m 160M --vfio $disk --vfio $sdma
g1_wait plain
try busy /nidus run -k /edu.elf -m 64M --vfio $sdma
g1_end plain
G1_PARAMS=iommu.strict=1
g1 second -m 160M --vtd first-stage=off --vfio $disk --vfio $sdma
g1_wait second
g1_end second
trouble trouble
pause_here
H1
type1_script unsafe <<'H1'
try unsafe /nidus run -k /edu.elf -m 64M --vfio $edu
echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
bare -k /edu.elf -p rounds=5 --vfio $edu | sed 's/^/edu: /'
pause_here
H1

KERNEL=${!kernel} INITRD=$NIDUS_INITRAMFS/guest-$version.cpio PARAMS='intel_iommu=on mitigations=off'
host h1 -c 1 -m 1G --vtd -d "$W/disk0" --sdma queues=4 --edu
like 'nidus check: not bound, and what to do' "$(said h1 check-unbound)" '^2 .*: .*nidus vfio bind'
like 'nidus vfio bind' "$(said h1 bind)" '^0 '
like 'nidus check: bound' "$(said h1 check-bound)" '^0 '
like 'nesting is refused, with the reason' "$(said h1 nested)" \
	'^2 .*--vfio .*: the host.s kernel has no iommufd \(CONFIG_IOMMUFD\)'
like 'the way taken, without a unit' "$(tr -d '\r' <"$W/h1.out" | grep -m 1 '^edu: nidus: \[notice\]')" \
	"type1, no unit: the guest's memory is mapped as a whole"
like 'and behind one, with what it costs' "$(tr -d '\r' <"$W/h1.out" | grep -m 1 '^vtd: nidus: \[warn\]')" \
	'type1, shadowed: .*no first stage, PASIDs or page requests, and a system call for each mapping'
rows_of h1 'edu in G1' edu
rows_of h1 'edu behind a unit of G1' vtd
like 'a group that is in use is refused' "$(said h1 busy)" '^2 .*--vfio .*: another device of its group is in use'
for mode in plain second; do
	is "$mode: the disk, as it is in H0" "$(guest_said h1 $mode disk)" "$(sha256sum <"$W/disk0")"
	holds "$mode: MSI-X came ($(guest_said h1 $mode messages))" \
		test "$(guest_said h1 $mode messages)" -gt 10
	is "$mode: copies by sdma" "$(guest_said h1 $mode kernel)" 0
	is "$mode: a reset" "$(guest_said h1 $mode reset)" 0
	is "$mode: G1's kernel has no complaint" "$(guest_said h1 $mode trouble)" 0
	is "$mode: and the host refused nothing" \
		"$(guest_stat h1 $mode vfio0 errors) $(guest_stat h1 $mode vfio1 errors)" '0 0'
done
holds "plain: BARs are targets of DMA ($(guest_stat h1 plain vfio0 peer_maps), $(guest_stat h1 plain vfio1 peer_maps))" \
	test "$(guest_stat h1 plain vfio0 peer_maps)" -gt 1 -a "$(guest_stat h1 plain vfio1 peer_maps)" -gt 1
is 'plain: and none was refused' \
	"$(guest_stat h1 plain vfio0 peer_refusals) $(guest_stat h1 plain vfio1 peer_refusals)" '0 0'
holds "second: the guest's tables were shadowed ($(guest_stat h1 second vfio0 maps) mappings)" \
	test "$(guest_stat h1 second vfio0 maps)" -gt 20
is "H1's kernel has no complaint" "$(said h1 trouble)" 0 ||
	note "$(tr -d '\r' <"$W/h1.out" | grep '^complaint')"

host unsafe -c 2 -m 512M --vtd ir=off --edu
like 'no interrupt remapping: refused, and how to accept that' "$(said unsafe unsafe)" \
	'^2 .*--vfio .*: .*vfio_iommu_type1.allow_unsafe_interrupts=1'
rows_of unsafe 'edu, accepted' edu
done_testing
