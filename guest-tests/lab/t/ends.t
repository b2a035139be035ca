#!/bin/bash
# Every way in which a VM ends: its exit code, and nothing left behind.
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$W/run TMPDIR=$W/tmp
mkdir -m 700 "$XDG_RUNTIME_DIR" "$TMPDIR"
truncate -s 16M "$W/image"
ip netns add nidus-ends && at_end ip netns del nidus-ends
in_ns=(ip netns exec nidus-ends)
"${in_ns[@]}" ip tuntap add tap0 mode tap
"${in_ns[@]}" ip link set tap0 up
bare "$W/halt" "$CODE_READY $CODE_HALT"
bare "$W/spin" "$CODE_PRINT"
bare "$W/reset" "$CODE_RESET"
bare "$W/crash" "$CODE_CRASH"
for code in 0 1 42 127; do bare "$W/exit$code" "$(code_exit $code)"; done

# What a VM could leave: processes, sockets and other files, locks, the state of its tap.
traces() {
	pgrep -x nidus
	find "$XDG_RUNTIME_DIR" "$TMPDIR" /dev/shm -mindepth 1 ! -name nidus
	grep -c . <(lslocks -n -o PATH 2>/dev/null | grep -F "$W/image")
	ls -l "$W/image" | cut -d' ' -f1-5
	"${in_ns[@]}" ip -o link show tap0 | sed 's/qlen.*//'
	# What was wanted and never possible is the kernel's affair.
	"${in_ns[@]}" ethtool -k tap0 | sed 's/ \[requested on\]//'
	grep -c nidus /proc/net/unix
}
clean=$(traces)

# vm NAME KERNEL [ARGUMENT]...: with everything that could leave something.
vm() {
	local name=$1 kernel=$2
	shift 2
	VIA=("${in_ns[@]}")
	start "$name" -k "$kernel" -m 16M -d "$W/image" -n tap=tap0 --name "$name" "$@"
	VIA=()
}

# over NAME CODE ROW
over() {
	ended "$@"
	is "$3: nothing is left of it" "$(traces)" "$clean"
}

vm reset "$W/reset"
over reset 3 'a reset by the keyboard controller'
vm crash "$W/crash"
over crash 4 'a triple fault'
like 'a triple fault is reported' "$(cat "$W/crash.err")" 'triple fault'
for code in 0 1 42 127; do
	vm port "$W/exit$code" --exit-port
	over port $((code << 1 | 1)) "exit port, $code written"
done
bare "$W/port" '66 ba 00 05 b0 07 ee f4 eb fd'
vm port "$W/port" --exit-port=0x500
over port 15 'an exit port elsewhere'
for pair in TERM=143 INT=130 HUP=129 QUIT=131; do
	vm signal "$W/halt"
	wait_line signal U
	kill "-${pair%=*}" "${PID[signal]}"
	over signal "${pair#*=}" "SIG${pair%=*} while the guest sleeps"
done
vm signal "$W/spin" -c 4
wait_line signal U
kill -TERM "${PID[signal]}"
over signal 143 'SIGTERM while the guest prints without end'
vm stopped "$W/halt" -c 2
wait_line stopped U
holds 'nidus stop returns when the VM is gone' "$NIDUS" stop stopped
over stopped 5 'nidus stop'
bare "$W/deaf" "b0 01 e6 f4 $CODE_READY $CODE_HALT"
vm port "$W/deaf"
wait_line port U
kill -TERM "${PID[port]}"
over port 143 'without --exit-port nothing is at 0xf4'

# --- Linux ends as Linux does ---

params() { # NAME WORDS
	PARAMS="nidus.end=$2"
	VIA=("${in_ns[@]}")
	linux "$1" -m 128M -d "$W/image" -n tap=tap0 --name "$1"
	PARAMS='' VIA=()
}
params off poweroff
over off 0 'Linux powers off'
params reboot reboot
over reboot 3 'Linux reboots'
params panic crash
over panic 3 'Linux panics with panic=-1, which is a reset'
params triple 'reboot reboot=t'
over triple 4 'Linux reboots by a triple fault'
params hang hang
wait_line hang 'nidus-guest: exit'
kill -TERM "${PID[hang]}"
over hang 143 'SIGTERM ends a Linux guest'
params killed hang
wait_line killed 'nidus-guest: exit'
kill -KILL "${PID[killed]}"
finish killed
is 'kill -9: the exit code is the signal' "$STATUS" 137
vm killed "$W/reset"
over killed 3 'after kill -9, another VM of the same name, disk and tap'
done_testing
