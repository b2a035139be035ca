#!/bin/bash
# virtio-net over taps: real traffic between guests and a network namespace of the test's own. The
# addresses are of 192.0.2.0/24 and 198.51.100.0/24, which are for examples, and never leave it.
. "$(dirname "$0")/lib.sh"

NS=nidus-net
ip netns add $NS && at_end "ip netns del $NS"
ns() { ip netns exec $NS "$@"; }
ns ip link set lo up

# tap NAME ADDRESS [WORD]...
tap() {
	local name=$1 address=$2
	shift 2
	ns ip tuntap add "$name" mode tap "$@"
	ns ip address add "$address/29" dev "$name"
	ns ip link set "$name" up
}

tap tap0 192.0.2.1
tap tap1 192.0.2.9
tap tap2 192.0.2.17 multi_queue
state() {
	for name in tap0 tap1 tap2; do
		ns ip -o address show "$name"
		ns ip -o link show "$name" | sed 's/ qlen.*//'
		# What was wanted and never possible is the kernel's affair.
		ns ethtool -k "$name" | sed 's/ \[requested on\]//'
	done
}
before=$(state)

# The guest is .2, .10 and .18; it sends a file to port 5001 and fetches one from port 5002 of each.
add_program traffic ethtool
script traffic <<'GUEST'
feature() {
	/programs/ethtool -k $1 | sed -n "s/^[[:space:]]*$2: //p"
}
i=0
for host in 192.0.2.1 192.0.2.9 192.0.2.17; do
	guest=192.0.2.$((${host##*.} + 1))
	ip address add $guest/29 dev eth$i
	ip link set eth$i up
	echo "mac$i $(cat /sys/class/net/eth$i/address)"
	echo "tso$i $(feature eth$i tx-tcp-segmentation)"
	echo "csum$i $(feature eth$i tx-checksum-ip-generic)"
	ping -c 3 -W 60 $host | sed -n "s/.* \([0-9]*\) packets received.*/ping$i \1/p"
	ping -c 1 -W 60 -s 1400 $host >/dev/null && echo "large$i good"
	dd if=/dev/urandom of=/tmp/up bs=64k count=128 2>/dev/null
	echo "up$i $(sha256sum </tmp/up)"
	nc $host 5001 </tmp/up
	echo "down$i $(nc $host 5002 </dev/null | sha256sum)"
	i=$((i + 1))
done
echo "queues $(ls -d /sys/class/net/eth2/queues/tx-* | wc -l)"
/programs/ethtool -L eth2 combined 1 && ping -c 1 -W 60 192.0.2.17 >/dev/null && echo "fewer good"
/programs/ethtool -L eth2 combined 2 && ping -c 1 -W 60 192.0.2.17 >/dev/null && echo "more good"
echo done
GUEST

head -c 8M /dev/urandom >"$W/down"
serve() { # NUMBER ADDRESS
	ns socat -u "TCP-LISTEN:5001,bind=$2" "CREATE:$W/up$1" &
	servers+=($!)
	ns socat -u "OPEN:$W/down" "TCP-LISTEN:5002,bind=$2" &
	servers+=($!)
}
served() {
	! kill -0 "$1" 2>/dev/null
}
servers=()
at_end 'kill "${servers[@]}"'
serve 0 192.0.2.1
serve 1 192.0.2.9
serve 2 192.0.2.17
VIA=(ip netns exec $NS)
linux traffic -c 2 -m 256M -n tap0,mac=52:54:00:12:34:56 -n tap=tap1,offload=off -n tap=tap2,queues=2
VIA=()
ended traffic 0 'three network cards: the guest ends by itself'
label=('offloads on' 'offload=off' 'two queues')
for i in 0 1 2; do
	is "${label[i]}: ping" "$(said traffic ping$i)" 3
	is "${label[i]}: large ping" "$(said traffic large$i)" good
	until_true served "${servers[2 * i]}"
	is "${label[i]}: 8 MiB of TCP from the guest arrive as they were" \
		"$(sha256sum <"$W/up$i")" "$(said traffic up$i)"
	is "${label[i]}: 8 MiB of TCP to the guest arrive as they were" \
		"$(said traffic down$i)" "$(sha256sum <"$W/down")"
done
is 'mac= is the address of the card' "$(said traffic mac0)" 52:54:00:12:34:56
like 'without mac= it has a local address of its own' "$(said traffic mac1)" '^.[26ae](:..){5}$'
holds 'two cards have two addresses' test "$(said traffic mac1)" != "$(said traffic mac2)"
is 'offloads on: the guest leaves segmentation to us' "$(said traffic tso0)" on
is 'offloads on: and checksums' "$(said traffic csum0)" on
like 'offload=off: the guest does both itself' "$(said traffic tso1) $(said traffic csum1)" '^off.* off'
is 'queues=2: a guest with two CPUs has two' "$(said traffic queues)" 2
is 'queues=2: the guest may use fewer' "$(said traffic fewer)" good
is 'queues=2: and more again' "$(said traffic more)" good
is 'the taps are as before' "$(state)" "$before"

# --- Two guests on one bridge, and a tap that is taken ---

ns ip link add br0 type bridge
for name in tap3 tap4; do
	ns ip tuntap add $name mode tap
	ns ip link set $name master br0 up
done
ns ip link set br0 up
script left <<'GUEST'
ip address add 198.51.100.1/24 dev eth0
ip link set eth0 up
echo up
nc -l -p 7 >/tmp/got
echo "got $(sha256sum </tmp/got)"
GUEST
script right <<'GUEST'
ip address add 198.51.100.2/24 dev eth0
ip link set eth0 up
ping -c 1 -W 60 198.51.100.1 >/dev/null && echo "ping good"
dd if=/dev/urandom of=/tmp/sent bs=64k count=64 2>/dev/null
echo "sent $(sha256sum </tmp/sent)"
until nc 198.51.100.1 7 </tmp/sent; do :; done
GUEST
VIA=(ip netns exec $NS)
linux left -m 128M -n tap3
wait_line left '^up'
linux right -m 128M -n tap4
VIA=()
ns "$NIDUS" run -k "$KERNEL" -m 64M -n tap3 </dev/null >"$W/busy.out" 2>"$W/busy.err"
is 'a tap that another VM has: a bad value' "$?" 2
like 'a tap that another VM has: the message names it' "$(cat "$W/busy.err")" "tap3.*(use|busy)"
ended right 0 'two guests: the sender ends'
ended left 0 'two guests: the receiver ends'
is 'two guests: ping' "$(said right ping)" good
is 'two guests: 4 MiB of TCP arrive as they were' "$(said left got)" "$(said right sent)"
done_testing
