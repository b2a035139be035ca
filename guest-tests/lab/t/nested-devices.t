#!/bin/bash
# Functions of every kind that H0's nidus gives H1, passed on to G1 by the nidus in H1: two virtio
# disks, which G1's own driver uses with MSI-X and with INTA# on lines that emulated disks share;
# edu, which has MSI, no reset, and a ROM; bare guests that count its interrupts and have them
# blocked. What is refused, and why; and a user without rights, who inherits open files.
LIMIT=${LIMIT:-800}
. "$(dirname "$0")/nested-lib.sh"

BARE=$NIDUS_REPO/build/guest-tests/bare
head -c 4M /dev/urandom >"$W/disk0"
truncate -s 4M "$W/disk1"

# A ROM that Linux believes in: its signature, and the data structure of one image of 4 KiB.
{
	printf '\x55\xaa\x08' && head -c 21 /dev/zero && printf '\x1c\x00\x00\x00'
	printf 'PCIR\x34\x12\xe8\x11\x00\x00\x18\x00\x00\x00\x00\xff\x08\x00\x00\x00\x03\x80\x00\x00'
	head -c 4044 /dev/urandom
} >"$W/rom"

guest_script h1 <<'G1'
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"; }
a=/dev/$(word a) b=/dev/$(word b) c=/dev/$(word c)
echo "read $(dd if=$a bs=64k iflag=direct 2>/dev/null | sha256sum)"
dd if=$a bs=64k of=/tmp/data 2>/dev/null
dd if=$a bs=4k count=256 iflag=direct of=/dev/null 2>/dev/null &
[ $c = /dev/ ] || dd if=$c bs=4k count=256 iflag=direct of=/dev/null 2>/dev/null &
dd if=/tmp/data of=$b bs=16k oflag=direct 2>/dev/null
wait
echo "back $(dd if=$b bs=64k iflag=direct 2>/dev/null | sha256sum)"
# Of one kind: how many lines that two disks share, and how many interrupts on all of them.
echo "msix $(awk '/PCI-MSIX.*virtio[0-9]+-req/ { n += $2 } END { print n + 0 }' /proc/interrupts)"
echo "intx $(awk '/IO-APIC.*virtio/ { n += $2 } END { print n + 0 }' /proc/interrupts)"
echo "shared $(grep -cE 'IO-APIC.*virtio[0-9]+, virtio' /proc/interrupts)"
for d in /sys/bus/pci/devices/*; do
	[ -e $d/rom ] || continue
	echo 1 >$d/rom
	echo "rom $(cat $d/vendor) $(head -c 4096 $d/rom | sha256sum)"
done
trouble
pause_here
G1

add_program h1 setpriv
cp "$BARE/edu.elf" "$BARE/vtd.elf" "$W/h1.d/"
host_script h1 <<'H1'
set -- $(functions 0x1af4:0x1042) $(functions 0x1234:0x11e8)
edu=$3
try check-unbound /nidus check -k /bzImage --vfio $edu
for f in $1 $2 $edu; do
	/nidus vfio bind $f
done
try check-bound /nidus check -k /bzImage --vfio $edu

# The path of sysfs names it as well.
bare() { /nidus run -m 64M --exit-port "$@" </dev/null 2>&1; }
bare -k /edu.elf -p rounds=50 --vfio /sys/bus/pci/devices/$edu | sed 's/^/edu: /'
bare -k /vtd.elf -p passed --vtd --vfio $edu | sed 's/^/vtd: /'

# Somebody without rights, who may open neither the device nor /dev/iommu.
chmod 666 /dev/kvm
cdev=/dev/vfio/devices/$(ls /sys/bus/pci/devices/$edu/vfio-dev)
user() {
	(
		exec 7<>$cdev 8<>/dev/iommu
		ulimit -l $1
		shift
		XDG_RUNTIME_DIR=/tmp exec /programs/setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all "$@"
	)
}
try rights user 8192 /nidus run -k /edu.elf -m 64M --vfio $edu
try check-rights user 8192 /nidus check -k /edu.elf -m 64M --vfio $edu
try memlock user 8192 /nidus run -k /edu.elf -m 64M --exit-port --vfio fd=7,iommufd=8
try closed user 8192 /nidus run -k /edu.elf -m 64M --exit-port --vfio fd=9,iommufd=8
user 131072 /nidus run -k /edu.elf -p rounds=10 -m 64M --exit-port --vfio fd=7,iommufd=8 </dev/null 2>&1 |
	sed 's/^/user: /'

G1_PARAMS='a=vda b=vdb'
g1 msix -m 192M --vtd --vfio $1 --vfio $2 --vfio $edu
g1_wait msix
g1_end msix
# Eight disks of its own: the first two are on the lines of the two that are passed.
disks=
for i in 0 1 2 3 4 5 6 7; do
	truncate -s 1M /tmp/disk$i
	disks="$disks -d /tmp/disk$i"
done
G1_PARAMS='pci=nomsi a=vdi b=vdj c=vda'
g1 intx -m 192M --vtd $disks --vfio $1 --vfio $2
g1_wait intx
g1_end intx
trouble trouble
pause_here
H1
host h1 -c 2 -m 768M --vtd -d "$W/disk0" -d "$W/disk1" --edu "rom=$W/rom"
like 'nidus check: not bound, and what to do' "$(said h1 check-unbound)" '^2 .*: .*nidus vfio bind'
like 'nidus check: bound' "$(said h1 check-bound)" '^0 '
rows_of h1 'edu in G1' edu
rows_of h1 'edu behind a unit of G1' vtd
like 'a user without rights gets none' "$(said h1 rights)" '^2 .*--vfio .*: .*: Permission denied'
is 'and nidus check knows' "$(said h1 check-rights)" "$(said h1 rights)"
like 'too little memory may be locked: how much is needed' "$(said h1 memlock)" \
	'^2 .*65536 KiB, and 8192 KiB are allowed; .*ulimit -l 65536'
like 'a file that is not open' "$(said h1 closed)" '^2 .*fd 9 is not open'
rows_of h1 'edu of a user without rights, by open files' user
data=$(sha256sum <"$W/disk0")
for mode in msix intx; do
	is "disks with $mode: what G1 reads is what H0 has" "$(guest_said h1 $mode read)" "$data"
	is "disks with $mode: what G1 writes it reads" "$(guest_said h1 $mode back)" "$data"
	is "disks with $mode: G1's kernel has no complaint" "$(guest_said h1 $mode trouble)" 0
	is "disks with $mode: no access to their registers leaves G1" \
		"$(guest_stat h1 $mode vfio0 bar_exits) $(guest_stat h1 $mode vfio1 bar_exits)" '0 0'
done
holds "with MSI-X: interrupts ($(guest_said h1 msix msix))" test "$(guest_said h1 msix msix)" -gt 300
holds "with INTA#: interrupts ($(guest_said h1 intx intx))" test "$(guest_said h1 intx intx)" -gt 300
holds 'lines are shared with emulated disks' test "$(guest_said h1 intx shared)" -ge 2
is 'and no message was sent' "$(guest_said h1 intx msix)" 0
is 'the ROM, through three levels' "$(guest_said h1 msix rom)" "0x1234 $(sha256sum <"$W/rom")"
is 'what G1 wrote is on the disk of H0' "$(sha256sum <"$W/disk1")" "$data"
is "H1's kernel has no complaint" "$(said h1 trouble)" 0 ||
	note "$(tr -d '\r' <"$W/h1.out" | grep '^complaint')"
done_testing
