#!/bin/bash
# Linux behind VT-d units: every kernel and every mode moves data through disk and network, no fault
# is seen on either side, and the one fault that is provoked is seen on both. An argument, a pattern,
# chooses among the guests.
. "$(dirname "$0")/lib.sh"

only=${1:-*}
NS=nidus-vtd
HOST=192.0.2.1 GUEST=192.0.2.2
ip netns add $NS && at_end "ip netns del $NS"
ns() { ip netns exec $NS "$@"; }
ns ip link set lo up
ns ip tuntap add tap0 mode tap
ns ip address add $HOST/29 dev tap0
ns ip link set tap0 up
export XDG_RUNTIME_DIR=$W
truncate -s 32M "$W/image"
head -c 2M /dev/urandom >"$W/down"
mkfifo "$W/in"
exec {in}<>"$W/in"

# edu, which no driver has, writes to an address that nobody has mapped: behind a unit that
# translates (fault=1), and never without, for then it is an address of memory.
script work <<GUEST_SCRIPT
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^\$1=//p"; }
type_of() { cat "\$(dirname "\$(readlink -f \$1)")/iommu_group/type"; }
echo "units \$(ls /sys/class/iommu | wc -w)"
echo "disktype \$(type_of /sys/block/vda/device)"
echo "nettype \$(type_of /sys/class/net/eth0/device)"
echo "remapping \$(dmesg | grep -c 'Enabled IRQ remapping')"
echo "x2apic \$(dmesg | grep -c 'Enabled IRQ remapping in x2apic mode')"
echo "prq \$(grep -c -e '-prq' /proc/interrupts)"
echo "chips \$(grep -c -e 'IR-PCI-MSI' -e 'IR-PCI-MSIX' /proc/interrupts)"

dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=64k conv=fsync 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=1M seek=8 oflag=direct 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
echo "data \$(sha256sum </tmp/data)"
echo "disk \$(dd if=/dev/vda bs=64k count=64 2>/dev/null | sha256sum)"
echo "direct \$(dd if=/dev/vda bs=1M skip=8 count=4 iflag=direct 2>/dev/null | sha256sum)"

ip address add $GUEST/29 dev eth0
ip link set eth0 up
ping -c 1 -W 60 $HOST >/dev/null
head -c 2097152 /tmp/data >/tmp/up
nc $HOST 5001 </tmp/up
echo "up \$(sha256sum </tmp/up)"
echo "down \$(nc $HOST 5002 </dev/null | sha256sum)"
echo "random \$(head -c 16 /dev/hwrng | wc -c)"
dmesg | grep -E 'DMAR: .*(fault|DMA Read|DMA Write|IQE|ITE|ICE|rror|ailed)|\] (WARNING|BUG): |Call Trace' | sed 's/^/complaint /'

if [ "\$(word fault)" = 1 ]; then
	for edu in /sys/bus/pci/devices/*; do
		[ "\$(cat \$edu/vendor)" = 0x1234 ] && [ "\$(cat \$edu/device)" = 0x11e8 ] && break
	done
	echo 1 >\$edu/enable
	printf '\006' | dd of=\$edu/config bs=1 seek=4 count=1 conv=notrunc 2>/dev/null
	bar=\$(head -n 1 \$edu/resource | cut -d ' ' -f 1)
	devmem \$((bar + 0x80)) 64 0x40000
	devmem \$((bar + 0x88)) 64 0xdead000
	devmem \$((bar + 0x90)) 64 64
	devmem \$((bar + 0x98)) 64 3
	i=0
	while [ \$i -lt 50 ] && ! dmesg | grep -q 'fault addr 0xdead000'; do
		i=\$((i + 1))
		usleep 100000
	done
	echo "faults \$(dmesg | grep -c 'DMA Write.*fault addr 0xdead000')"
fi
echo ready
read end
GUEST_SCRIPT

servers=()
at_end 'kill "${servers[@]}"'
serve() {
	rm -f "$W/up"
	ns socat -u "TCP-LISTEN:5001,bind=$HOST,reuseaddr" "CREATE:$W/up" &
	servers=($!)
	ns socat -u "OPEN:$W/down" "TCP-LISTEN:5002,bind=$HOST,reuseaddr" &
	servers+=($!)
}

# stats_of GROUP KEY: of the last `nidus stats`; 0 if it is not there.
stats_of() {
	local value
	value=$(sed -n "s/^$1: \(.* \)\{0,1\}$2=\([^ ]*\).*/\2/p" "$W/stats" | head -n 1)
	printf '%s\n' "${value:-0}"
}

# behind ROW KERNEL PARAMS TYPE MODE [NIDUS-ARGUMENT]...: boots it, and judges. TYPE is Linux's word
# for the domain (DMA, DMA-FQ, identity), MODE is ours for how a device is translated (first-stage,
# second-stage, pass-through).
behind() {
	local row=$1 kernel=$2 params=$3 type=$4 mode=$5 fault=1 units=1 word
	shift 5
	[[ $row == $only ]] || return 1
	case $kernel in
	ours) KERNEL=$NIDUS_KERNEL INITRD=$NIDUS_INITRAMFS/guest.cpio ;;
	*) word=NIDUS_KERNEL_${kernel/./_} KERNEL=${!word} INITRD=$NIDUS_INITRAMFS/guest-$kernel.cpio ;;
	esac
	[[ $type != identity ]] || fault=0
	units=$(printf '%s\n' "$@" | grep -c -e '^--vtd')
	serve
	VIA=(ip netns exec $NS) IN=$W/in PARAMS="intel_iommu=on $params fault=$fault"
	linux work -c 2 -m 256M -d "$W/image" -n tap0 --edu --name work "$@"
	VIA=() IN=/dev/null
	if ! wait_line work '^ready'; then
		bad_row "$row: the guest comes through"
		show work
		kill -KILL "${PID[work]}" 2>/dev/null
		finish work
		kill "${servers[@]}" 2>/dev/null
		return 1
	fi
	"$NIDUS" stats work >"$W/stats"
	echo >&"$in"
	ended work 0 "$row: the guest comes through"
	is "$row: Linux sees the units" "$(said work units)" "$units"
	is "$row: domains of disk and card" "$(said work disktype) $(said work nettype)" "$type $type"
	is "$row: how the disk is translated" "$(stats_of 'vtd[0-9]*\.disk0\.rid' type)" "$mode"
	is "$row: the disk, buffered and direct" "$(said work disk) $(said work direct)" \
		"$(said work data) $(said work data)"
	wait "${servers[@]}"
	is "$row: the network, both ways" "$(said work up) $(said work down)" \
		"$(sha256sum <"$W/up") $(sha256sum <"$W/down")"
	is "$row: all of it" "$(stat -c %s "$W/up" 2>/dev/null)" 2097152
	is "$row: random numbers" "$(said work random)" 16
	is "$row: nothing to complain of in dmesg" "$(tr -d '\r' <"$W/work.out" | grep '^complaint')" ''
	if ((fault)); then
		is "$row: the fault provoked is in dmesg" "$(said work faults)" 1
		holds "$row: and it went through the unit: translations counted" \
			test "$(stats_of 'vtd[0-9]*\.disk0' translations)" -gt 0
	fi
	is "$row: faults in the stats, all units" \
		"$(sed -n 's/^vtd[0-9]*: .* faults=\([0-9]*\).*/\1/p' "$W/stats" | awk "{ n += \$1 } END { print n + 0 }")" "$fault"
	is "$row: queue errors in the stats" \
		"$(sed -n 's/^vtd[0-9]*: .* queue_errors=\([0-9]*\).*/\1/p' "$W/stats" | awk "{ n += \$1 } END { print n + 0 }")" 0
	is "$row: nothing to report on stderr but that fault" \
		"$(grep -v 'edu0: a transfer failed' "$W/work.err")" ''
	return 0
}

if behind 'ours, lazy' ours 'iommu.strict=0' DMA-FQ first-stage --vtd; then
	is 'ours: interrupt remapping is on' "$(said work remapping)" 1
	is 'ours: page requests are on' "$(said work prq)" 1
	holds 'ours: MSIs are remapped' test "$(said work chips)" -ge 3
	holds 'ours: its entries were invalidated' test "$(stats_of vtd0 invalidate_interrupt)" -gt 0
	lazy=$(stats_of vtd0 waits)
fi
if behind 'ours, strict' ours 'iommu.strict=1' DMA first-stage --vtd; then
	holds "ours: strict waits more often ($(stats_of vtd0 waits)) than lazy (${lazy:=0})" \
		test "$(stats_of vtd0 waits)" -gt "$lazy"
fi
behind 'ours, iommu=pt' ours 'iommu=pt' identity pass-through --vtd
behind 'ours, legacy mode' ours 'intel_iommu=sm_off iommu.strict=1' DMA second-stage --vtd
behind 'ours, no first stage' ours 'iommu.strict=1' DMA second-stage --vtd=first-stage=off
behind 'ours, no second stage' ours 'iommu.strict=1' DMA first-stage --vtd=second-stage=off
behind 'ours, caching mode' ours 'iommu.strict=1' DMA first-stage --vtd=caching-mode=on
behind 'ours, 39 bits, no PASIDs' ours 'iommu.strict=1 intel_iommu=sm_off' DMA second-stage \
	--vtd=aw=39,pasid-bits=0
if behind 'ours, three units' ours 'iommu.strict=1' DMA first-stage --vtd=devices=disk0 \
	--vtd=devices=net0:edu0 --vtd; then
	is 'ours, three units: each has page requests' "$(said work prq)" 3
fi
if behind 'ours, no interrupt remapping' ours 'iommu.strict=1' DMA first-stage --vtd=ir=off; then
	is 'ours, no interrupt remapping: and Linux knows' "$(said work remapping)" 0
fi
for kernel in 7 6.12 6.1; do
	if behind "Debian's $kernel, lazy" $kernel 'iommu.strict=0' DMA-FQ first-stage --vtd; then
		is "Debian's $kernel: interrupt remapping is on" "$(said work remapping)" 1
	fi
	behind "Debian's $kernel, strict" $kernel 'iommu.strict=1' DMA first-stage --vtd
	behind "Debian's $kernel, iommu=pt" $kernel 'iommu=pt' identity pass-through --vtd
	behind "Debian's $kernel, legacy mode" $kernel 'intel_iommu=sm_off iommu.strict=1' DMA \
		second-stage --vtd
done
done_testing
