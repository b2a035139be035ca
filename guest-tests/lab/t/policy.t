#!/bin/bash
# Every system call that the sandbox lists is made by some VM: what is not needed must not be there.
# Guests that use all devices run under strace; what each kind of thread calls once its filter is
# closed is compared with the list. (That calls which are not listed die: sandbox.t, test_sandbox.c.)
. "$(dirname "$0")/lib.sh"

RULES=$NIDUS_REPO/build/sandbox.rules
[[ -s $RULES ]] || {
	bad_row 'the list of rules is there' "$RULES is missing; run: make build/sandbox.rules"
	done_testing
}

export XDG_RUNTIME_DIR=$W/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
truncate -s 16M "$W/image"
ip tuntap add tap0 mode tap multi_queue && at_end ip link del tap0
ip address add 192.0.2.1/24 dev tap0
ip link set tap0 up

# Everything a guest can have: two pairs of queues, a disk, random numbers, both consoles, wired
# interrupts, and a BAR that goes away and comes back.
script all <<'GUEST'
ip link set eth0 up
ip address add 192.0.2.2/24 dev eth0
ping -c 1 -W 60 192.0.2.1 >/dev/null && echo "ping good"
dd if=/dev/zero of=/dev/vda bs=4k count=4 conv=fsync 2>/dev/null
head -c 16 /dev/hwrng >/dev/null && echo "random good"
echo hello >/dev/hvc0
for device in /sys/bus/pci/drivers/virtio-pci/0*; do
	printf '\000\000' | dd of=$device/config bs=1 seek=4 conv=notrunc 2>/dev/null
	printf '\007\000' | dd of=$device/config bs=1 seek=4 conv=notrunc 2>/dev/null
done
echo "all done"
read -r line </dev/ttyS0
echo "read $line"
sleep 1000
GUEST
bare "$W/crash" "$CODE_CRASH"
bare "$W/print" "$CODE_PRINT"

TRACE=(strace -qq -f)
trace() { # NAME
	VIA=("${TRACE[@]}" -o "$W/$1.trace")
}

# A guest that has everything, ended by `nidus stop` after a look at its counters. KVM under nested
# emulation now and then loses a guest that is traced, so it gets three tries.
mkfifo "$W/keys"
exec {keys}<>"$W/keys"
IN=$W/keys
for try in 1 2 3; do
	trace "all$try"
	start "all$try" -k "$KERNEL" -i "$INITRD" -i "$W/all.cpio" -c 2 -m 256M -d "$W/image" \
		-n tap0,queues=2 --console "file=$W/hvc" --name all \
		-p 'console=ttyS0 quiet panic=-1 nidus.cmd="sh /all"'
	wait_line "all$try" 'all done' && break
	finish "all$try"
done
holds 'a guest used every device' wait_line "all$try" 'all done' || show "all$try"
VIA=()
# What is typed before the guest opens its terminal is lost: type until it answers.
answered() {
	echo typed >&$keys
	grep -qa 'read typed' "$W/all$try.out"
}
holds 'it got what was typed' until_true answered
holds 'its counters can be read' "$NIDUS" stats all
holds 'it can be stopped' "$NIDUS" stop all
ended "all$try" 5 'it was stopped'

# A crash, a signal, and a terminal. How these end is for ends.t and console.t.
IN=/dev/null
trace crash
start crash -k "$W/crash" -m 16M
ended crash 4 'a crash'
trace term
start term -k "$W/print" -m 16M
wait_line term U
pkill -TERM -P "${PID[term]}" nidus
finish term
# A vector whose messages are blocked for a while. How that looks to a guest is for tests/bare/virtio.t.
trace vector
start vector -k "$NIDUS_REPO/build/guest-tests/bare/virtio.elf" -m 64M --exit-port -p disks=0
finish vector
holds 'a vector was blocked, and let through again' \
	grep -qaE '^ok .* to the right place it is again' "$W/vector.out"
LIMIT=$LIMIT python3 "$(dirname "$0")/terminal.py" "$W/tty.out" 'wait=U' 'send=\x01x' -- \
	"${TRACE[@]}" -o "$W/tty.trace" "$NIDUS" run -k "$W/print" -m 16M >"$W/tty.report" 2>&1

# One line "thread call request" for each call behind the closing of the thread's filter.
cat "$W"/*.trace | awk '
	function request(line, part) {
		if (split(line, part, ", ") < 2) return "-"
		sub(/[ ,)].*/, "", part[2])
		return part[2]
	}
	/ execve\(/ { delete kind; delete closed }
	/PR_SET_NAME, "vcpu/ { kind[$1] = "vcpu" }
	/PR_SET_NAME, "io"/ { kind[$1] = "io" }
	/seccomp\(SECCOMP_SET_MODE_FILTER|PR_SET_SECCOMP/ { closed[$1] = 1; next }
	closed[$1] && match($0, /^[0-9]+ +(<\.\.\. )?[a-z_0-9]+/) && !/resumed>/ {
		call = $2
		sub(/\(.*/, "", call)
		print (kind[$1] ? kind[$1] : "control"), call,
			(call == "ioctl" || call == "io_uring_register") ? request($0) : "-"
	}' | sort -u >"$W/made"

while read -r thread call request how; do
	row="$thread: $call${request/#-/}"
	[[ $request == - ]] || row="$thread: $call $request"
	if [[ $how == rare ]]; then
		ok_row "$row is listed as one that cannot be brought about"
	else
		holds "$row is used" grep -qx -- "$thread $call $request" "$W/made"
	fi
done <"$RULES"
done_testing
