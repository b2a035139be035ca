#!/bin/bash
# nidus in H1 passes an sdma device to G1: what it does with the function itself, beside DMA.
# Refusals; the end by SIGKILL; a reset that fails; interrupts without exits; function level reset; the
# host takes the device back while G1 runs.
. "$(dirname "$0")/nested-lib.sh"

guest_script h1 <<'G1'
device=/sys/bus/pci/devices/0000:00:01.0
vendor() { head -c 2 $device/config | od -An -tx1; }
echo "function $(cat $device/vendor):$(cat $device/device)"
sdma-check malloc kernel; echo "checked $?"
echo "interrupts $(awk '/IR-PCI-MSIX.*sdma0-/ { n += $2 } END { print n + 0 }' /proc/interrupts)"
rmmod sdma
echo 1 >$device/reset; echo "reset $?"
insmod /modules/sdma.ko
sdma-check malloc; echo "again $?"
rmmod sdma
echo "trouble $(dmesg | grep -cE 'WARNING:|BUG:|Oops|DMAR:.*fault')"
echo waiting
for i in $(seq 600); do
	[ "$(vendor)" = ' ff ff' ] && break
	sleep 0.2
done
echo "vendor$(vendor)"
G1
host_script h1 <<'H1'
set -- $(sdmas)
run() { g1 g1 -m 192M --vtd --vfio $1,nested=on; }
try unbound /nidus run -k /bzImage -m 64M --vfio $1
try absent /nidus run -k /bzImage -m 64M --vfio 0a:00.0
try bind /nidus vfio bind $1
echo "unit $(/nidus caps | grep ' dmar0 ')"
# Its socket comes last.
try unnamed env XDG_RUNTIME_DIR=/proc /nidus run --name g1 -k /bzImage -m 64M --vtd --vfio $1,nested=on

run $1
until grep -q 'nested in' /tmp/g1.err || ! g1_alive g1; do sleep 0.2; done
sleep 1
g1_kill g1

# The host forgets how the device is reset.
g1 stuck -m 192M --vtd --vfio $1,nested=on --restart
until grep -q 'nested in' /tmp/stuck.err || ! g1_alive stuck; do sleep 0.2; done
echo >/sys/bus/pci/devices/$1/reset_method
until /nidus reset stuck >/dev/null 2>&1 || ! g1_alive stuck; do sleep 0.2; done
wait $pid_stuck
g1_show stuck $?
echo default >/sys/bus/pci/devices/$1/reset_method

run $1
g1_line g1 '^waiting'
echo "stats $(/nidus stats g1 | grep '^vfio0:')"
try unbind /nidus vfio unbind $1
echo "driver $(basename $(readlink /sys/bus/pci/devices/$1/driver))"
g1_end g1
trouble trouble
pause_here
H1
host h1 -c 2 -m 768M --vtd --sdma queues=4

like 'a device of a driver, or of none, is refused, with what to do' "$(said h1 unbound)" \
	'^2 .*--vfio 0000:00:02.0: .*nidus vfio bind 0000:00:02.0'
like 'so is one that is not there' "$(said h1 absent)" '^2 .*--vfio 0a:00.0: no such device'
like 'nidus vfio bind' "$(said h1 bind)" '^0 '
like 'a VM that is all but started has its line, and its status' "$(said h1 unnamed)" '^2 .*/proc/nidus'
like 'nidus caps: the unit nests' "$(said h1 unit)" '^yes .*guests can be nested'
is 'nidus is killed while G1 boots' "$(statuses h1 g1 | head -n 1)" 137
is 'a device that is not reset ends the VM that is to restart' "$(said h1 stuck-status)" 1
holds 'and that is said' grep -qa '^stuck-err: .*vfio0: cannot be reset: ' "$W/h1.out"
is 'and G1 runs once more: the device' "$(guest_said h1 g1 function)" 0x1234:0x5d3a
is 'works, for processes and for the kernel' "$(guest_said h1 g1 checked)" 0
holds "its interrupts arrive ($(guest_said h1 g1 interrupts))" test "$(guest_said h1 g1 interrupts)" -gt 100
is 'G1 resets the function' "$(guest_said h1 g1 reset)" 0
is 'which works again' "$(guest_said h1 g1 again)" 0
is "G1's kernel has no complaint" "$(guest_said h1 g1 trouble)" 0
like 'the way taken is told' "$(said h1 stats)" 'path=iommufd, nested in dmar0'
like 'no access to its registers has left G1' "$(said h1 stats)" ' bar_exits=0 '
like 'its memory is a target of DMA of others, by dma-bufs' "$(said h1 stats)" ' peer_maps=[1-9]'
like 'none of which the kernel has refused' "$(said h1 stats)" ' peer_refusals=0( |$)'
like 'the host takes the device back while G1 runs' "$(said h1 unbind)" '^0 '
like 'G1 sees that it is gone' "$(guest_said h1 g1 vendor)" 'ff ff'
is 'and ends by itself, later' "$(said h1 g1-status)" 0
is "H1's kernel has no complaint" "$(said h1 trouble)" 0 ||
	note "$(tr -d '\r' <"$W/h1.out" | grep '^complaint')"
holds "H0 walked nested tables ($(stat vtd0.sdma0 walks_nested))" \
	test "$(stat vtd0.sdma0 walks_nested)" -gt 100
done_testing
