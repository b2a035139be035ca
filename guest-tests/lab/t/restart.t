#!/bin/bash
# --restart: a reset, by the guest or by `nidus reset`, starts the guest anew in the same process.
# Each life counts itself on a disk, and tells what it finds of the life before it.
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$W
truncate -s 64M "$W/disk"
echo 0 >"$W/life"
truncate -s 1M "$W/life"

# Nobody types anything, but it stays open.
mkfifo "$W/keys"
# shellcheck disable=SC2034
exec {keys}<>"$W/keys"

# The ways in which Linux resets a machine: by ACPI, with its drivers shut down; at once, with devices
# at work and the other CPU wherever it was; by us; and a CPU that guests run on itself.
script life <<'G'
life=$(($(head -c 1 /dev/vda) + 1))
echo $life >/dev/vda
sync
echo "life $life"
echo "cpus-$life $(nproc)"
echo "words-$life $(cat /proc/cmdline | md5sum)"
dd if=/dev/urandom of=/dev/vdb bs=1M count=32 2>/dev/null
sdma-check --timeout 120 malloc untouched kernel >/tmp/out
echo "sdma-$life $?"
sleep 1 &
case $life in
1) reboot -f ;;
2) sdma-busy >/dev/null &
	(while :; do dd if=/dev/vdb of=/dev/null bs=1M 2>/dev/null; done) &
	(while :; do :; done) &
	sleep 1
	echo b >/proc/sysrq-trigger ;;
3) sdma-busy >/dev/null &
	sleep 1
	echo "waiting"
	read -r end ;;
4) echo "trouble $(dmesg | grep -cE 'WARNING:|BUG:|Oops|DMAR:.*fault')" ;;
esac
G
# shellcheck disable=SC2034 # of linux and start
INITRD=$NIDUS_INITRAMFS/guest-sdma.cpio
# shellcheck disable=SC2034
IN=$W/keys
linux life -m 256M -c 2 --vtd --sdma -d "$W/life" -d "$W/disk" --name life --restart
pid=${PID[life]}
wait_line life '^life 1'
descriptors=$(find "/proc/$pid/fd" | wc -l)
wait_line life '^waiting'
like 'stats count the restarts' "$("$NIDUS" stats life | grep '^vm:')" ' restarts=2'
like 'nidus list: it is the same process' "$("$NIDUS" list)" "^life +$pid\$"
is 'and has opened and lost nothing' "$(find "/proc/$pid/fd" | wc -l)" "$descriptors"
holds 'nidus reset' "$NIDUS" reset life
ended life 0 'the fourth life powers off'
for life in 1 2 3 4; do
	is "life $life has both CPUs" "$(said life "cpus-$life")" 2
	is "life $life: kernel and device work" "$(said life "sdma-$life")" 0
	is "life $life: its kernel has the same command line" \
		"$(said life "words-$life")" "$(said life words-1)"
done
is 'and no complaint' "$(said life trouble)" 0
is 'each life comes once' "$(tr -d '\r' <"$W/life.out" | grep -c '^life ')" 4

# What cannot be, and what is off.
start still -k "$KERNEL" -m 64M --name still
until_true "$NIDUS" stats still >/dev/null 2>&1
like 'without --restart nidus reset refuses, and says what to do' \
	"$("$NIDUS" reset still 2>&1)" 'run it with --restart'
holds 'and the VM runs on' "$NIDUS" stop still
finish still

# A guest that does nothing but reset itself can be ended.
bare "$W/reset" "$CODE_RESET"
start again -k "$W/reset" -m 16M -c 4 --restart --name again
restarts() { [[ $("$NIDUS" stats again 2>/dev/null) =~ restarts=([0-9]+) ]] && ((BASH_REMATCH[1] >= 20)); }
holds 'a guest that resets itself without end is restarted without end' until_true restarts
holds 'and can be ended' "$NIDUS" stop again
ended again 5 'by nidus stop'
start again -k "$W/reset" -m 16M -c 4 --restart --name again
until_true restarts
kill -TERM "${PID[again]}"
ended again 143 'and by a signal'
done_testing
