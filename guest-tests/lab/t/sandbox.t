#!/bin/bash
# What is left of a VM's rights: no path, no capability, a filter in every thread; and that all of
# it works for an ordinary user with nothing but descriptors.
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$W/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
truncate -s 16M "$W/image"
bare "$W/print" "$CODE_PRINT"
bare "$W/halt" "$CODE_READY $CODE_HALT"

# --- What the threads of a VM may do ---

ip tuntap add tap0 mode tap && at_end ip link del tap0
# With a user's name, so that dropping capabilities and groups would show.
start vm -k "$W/print" -m 16M -c 3 -d "$W/image" -n tap0 --name vm
wait_line vm U
threads=$(cat /proc/"${PID[vm]}"/task/*/comm | sort | paste -sd' ')
like 'a VM is a control thread, an I/O thread and a thread for each CPU' "$threads" \
	'io .*vcpu0 vcpu1 vcpu2'
field() { # NAME: its values over all threads
	sed -n "s/^$1:[[:space:]]*//p" /proc/"${PID[vm]}"/task/*/status | sort -u | paste -sd' '
}
is 'every thread: no_new_privs' "$(field NoNewPrivs)" 1
is 'every thread: a seccomp filter' "$(field Seccomp)" 2
for set in CapInh CapPrm CapEff CapBnd CapAmb; do
	is "every thread: $set is empty" "$(field $set)" 0000000000000000
done
like 'nothing but descriptors that the VM needs' \
	"$(readlink /proc/"${PID[vm]}"/fd/* | grep -vE '^(/dev/(null|kvm|net/tun)|anon_inode:|/memfd:nidus-ram|socket:|pipe:)' |
		grep -vE "^$W/(vm\.(out|err)|image|run/nidus)" | paste -sd' ')" '^$'
holds 'the VM runs on' alive vm

# --- A system call that is not listed ---

# strace puts another, harmless call in the place of one that the thread makes; the filter sees it.
tid() { # NAME THREAD: the control thread is the process itself
	local task
	[[ $2 != control ]] || echo "${PID[$1]}"
	for task in /proc/"${PID[$1]}"/task/*; do
		[[ $(<"$task/comm") != "$2" ]] || echo "${task##*/}"
	done
}
replace() { # VM THREAD CALL WAKE: WAKE makes the thread enter the call
	local tracer
	strace -qq -o /dev/null -e "trace=$3" -e "inject=$3:retval=0:syscall=getegid:when=1" -p "$(tid "$1" "$2")" \
		2>"$W/strace.err" &
	tracer=$!
	until_true attached_or_gone "$1" $tracer
	eval "$4" >/dev/null 2>&1
	echo $tracer >"$W/tracer"
}
attached_or_gone() {
	gone "$1" || ! kill -0 "$2" 2>/dev/null || grep -q 'TracerPid:[[:space:]]*[1-9]' /proc/"${PID[$1]}"/task/*/status
}
kill -TERM "${PID[vm]}"
finish vm
for thread in vcpu0=ioctl io=io_uring_enter control=poll,ppoll; do
	start vm -k "$W/print" -m 16M --name vm
	wait_line vm U
	replace vm "${thread%=*}" "${thread#*=}" '"$NIDUS" stats vm'
	finish vm
	is "an unlisted call of the ${thread%=*} thread ends the VM with SIGSYS" "$STATUS" 159 ||
		note "$(cat "$W/strace.err")"
	wait "$(<"$W/tracer")" 2>/dev/null
done

start vm -k "$W/print" -m 16M --name vm --seccomp log
wait_line vm U
replace vm io io_uring_enter :
logged() {
	dmesg | grep -q 'type=1326.*comm="io".*syscall=108 '
}
if [[ -e /proc/self/loginuid || $NIDUS_TIER == lab ]]; then
	until_true logged
	holds 'seccomp=log: an unlisted call is in the log of the kernel' logged
else
	skip_row 'seccomp=log: an unlisted call is in the log of the kernel' 'this kernel has no audit'
fi
holds 'seccomp=log: after an unlisted call the VM runs on' "$NIDUS" stats vm
kill "$(<"$W/tracer")"
kill -TERM "${PID[vm]}"
ended vm 143 'seccomp=log: it ends as ever'
start vm -k "$W/print" -m 16M --seccomp off
wait_line vm U
is 'seccomp=off: no filter' "$(field Seccomp)" 0
is 'seccomp=off: no_new_privs all the same' "$(field NoNewPrivs)" 1
kill -TERM "${PID[vm]}"
finish vm

# --- No path can be opened ---

strace -f -o "$W/calls" "$NIDUS" run -k "$W/halt" -m 16M </dev/null >"$W/traced.out" 2>&1 &
PID[traced]=$!
wait_line traced U
kill -TERM "$(pgrep -P "${PID[traced]}")"
finish traced
if grep -q 'landlock_create_ruleset.*ENOSYS\|landlock_create_ruleset.*EOPNOTSUPP' "$W/calls"; then
	skip_row 'Landlock closes all paths' 'this kernel has no Landlock'
else
	holds 'Landlock closes all paths' grep -q 'landlock_restrict_self.* = 0' "$W/calls"
fi
is 'rights are dropped before there is a second thread of ours' \
	"$(sed -nE 's/^[0-9]+ +(prctl\(PR_SET_NO_NEW_PRIVS|capset|clone3?)\(?.*/\1/p' "$W/calls" | uniq | head -n 3 | paste -sd' ')" \
	'prctl(PR_SET_NO_NEW_PRIVS capset clone3'
is 'no path is opened, and nothing executed, after that' \
	"$(sed -n '/ capset(/,$p' "$W/calls" | grep -cE ' (open(at2?)?|socket|connect|execve(at)?)\(')" 0

# --- An ordinary user ---

# As udev has it on a machine that people use; the lab's host has no udev.
if [[ $NIDUS_TIER == lab ]]; then
	groupadd -f kvm
	chgrp kvm /dev/kvm && chmod 660 /dev/kvm
	chmod 666 /dev/net/tun
fi
user=(setpriv --reuid 65534 --regid 65534 --groups "$(stat -c %g /dev/kvm)" --inh-caps=-all --bounding-set=-all)
chmod 755 "$W"
mkdir "$W/home" && chown 65534 "$W/home"
truncate -s 16M "$W/home/image" && chown 65534 "$W/home/image"
is 'the user is none that may do more' "$("${user[@]}" sh -c 'grep CapEff /proc/self/status')" \
	$'CapEff:\t0000000000000000'
ip tuntap add tap1 mode tap user 65534 && at_end ip link del tap1
# Files of root's are not for this user.
cp "$KERNEL" "$W/home/bzImage" && cp "$INITRD" "$W/home/initrd"
chmod 644 "$W"/home/{bzImage,initrd}
KERNEL=$W/home/bzImage INITRD=$W/home/initrd
# The control socket of a user without XDG_RUNTIME_DIR is in /tmp.
VIA=(env -u XDG_RUNTIME_DIR "${user[@]}")
script user <<'GUEST'
echo "hello $(head -c 5 /dev/vda)"
cat /sys/class/net/eth0/address >/dev/null && echo "net good"
read never
GUEST
printf 'disk!' | dd of="$W/home/image" conv=notrunc 2>/dev/null
chmod 711 "$W" && chmod 644 "$W"/*.cpio
mkfifo "$W/open" && exec {hold}<>"$W/open"
IN=$W/open
linux user -m 128M -d "$W/home/image" -n tap1 --name of-user
IN=/dev/null
wait_line user '^net'
is 'an ordinary user in group kvm runs Linux with disk and network' \
	"$(said user hello) $(said user net)" 'disk! good'
holds 'and asks for its counters' "${VIA[@]}" "$NIDUS" stats of-user
holds 'which root does not see in a directory of its own' fails "$NIDUS" stats of-user
holds 'and stops it' "${VIA[@]}" "$NIDUS" stop of-user
ended user 5 'and gets the exit code'
VIA=()

# Everything that root may open and the user may not: the disk and the tap.
chmod 600 "$W/image" && chown root "$W/image"
printf 'root!' | dd of="$W/image" conv=notrunc 2>/dev/null
cat >"$W/inherit.py" <<'PYTHON'
"""Opens a disk and a tap as descriptors 7 and 8 and becomes the rest of the command line."""
import fcntl, os, struct, sys
disk = os.open(sys.argv[1], os.O_RDWR)
tap = os.open("/dev/net/tun", os.O_RDWR)
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, TUNSETIFF = 2, 0x1000, 0x4000, 0x400454ca
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", sys.argv[2].encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
for fd, to in (disk, 17), (tap, 18):
    os.dup2(fd, to)
os.dup2(17, 7)
os.dup2(18, 8)
os.execvp(sys.argv[3], sys.argv[3:])
PYTHON
VIA=(python3 "$W/inherit.py" "$W/image" tap0 env -u XDG_RUNTIME_DIR "${user[@]}")
cp "$W/user.cpio" "$W/inherited.cpio"
script inherited <<'GUEST'
echo "hello $(head -c 5 /dev/vda)"
ip link set eth0 up
echo "address $(cat /sys/class/net/eth0/address)"
echo "carrier $(cat /sys/class/net/eth0/carrier)"
GUEST
chmod 644 "$W"/*.cpio
linux inherited -m 128M -d fd=7 -n fd=8
VIA=()
ended inherited 0 'with disk and tap inherited as descriptors'
is 'the inherited disk is read' "$(said inherited hello)" 'root!'
is 'the inherited tap is a network card' "$(said inherited carrier)" 1
done_testing
