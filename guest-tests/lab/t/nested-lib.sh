# shellcheck shell=bash
# What the tests of the nested lab share. Three levels: H0, where the test runs, is the hardware of
# H1: its nidus gives H1 a VT-d unit that nests, and sdma devices. H1 is a Linux host again, which
# hands the devices to vfio-pci, and to what runs there: iommufd-probe, or nidus with G1.
#
# $STATIC is the nidus of H1, $PROBE iommufd-probe. Rows name the tier: where H0 is emulated, H1's
# processor is too, and its VT-d unit is ours on every tier.
# shellcheck source=guest-tests/lab/t/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # of tests/tap.sh
GROUP="nested-vtd ($NIDUS_TIER)"
STATIC=$NIDUS_REPO/build/nidus-static
PROBE=$NIDUS_INITRAMFS/sdma/iommufd-probe
export XDG_RUNTIME_DIR=$W

# Where H1 waits until the test has looked at what H0 has counted.
mkfifo "$W/keys"
exec {keys}<>"$W/keys"

# guest_script NAME <TEXT: what G1 of the H1 of that name does; before host_script. What it prints
# comes out of H1 as "NAME: LINE" with the name that it has there. It may `pause_here`, for H1 to look
# at what its nidus has counted.
guest_script() {
	mkdir -p "$W/$1-g1.d"
	{
		echo 'dmesg -n 1'
		echo 'pause_here() { echo g1-ready; read -r end; }'
		echo 'trouble() { echo "trouble $(dmesg | grep -cE "WARNING:|BUG:|Oops|blocked for more than|rcu:.*(stall|detected)")"; }'
		echo 'echo "up $(cut -d " " -f 1 /proc/uptime)"'
		cat
	} >"$W/$1-g1.d/work"
	pack "$W/$1-g1.d" "$W/$1-g1.cpio"
}

# host_script NAME <TEXT: as `script`, for an H1. What it prints is for `said` and `rows_of`; it ends
# with `pause_here`.
host_script() {
	local name=$1 dir=$W/$1.d
	mkdir -p "$dir"
	cp "$STATIC" "$dir/nidus"
	cp "$PROBE" "$dir/iommufd-probe"
	if [[ -e $W/$name-g1.cpio ]]; then
		cp "$KERNEL" "$dir/bzImage"
		cp "$NIDUS_INITRAMFS/guest-sdma.cpio" "$dir/guest.cpio"
		cp "$W/$name-g1.cpio" "$dir/work.cpio"
	fi
	{
		cat <<'H1'
# The kernel's messages stay away from the rows.
dmesg -n 1
now() { cut -d ' ' -f 1 /proc/uptime; }
# functions VENDOR:DEVICE: those there are, in order.
functions() {
	for d in /sys/bus/pci/devices/*; do
		[ "$(cat $d/vendor):$(cat $d/device)" = $1 ] && echo ${d##*/}
	done
}
sdmas() { functions 0x1234:0x5d3a; }
# try NAME WORD...: after the words have run, or failed, "NAME CODE" and the last line that they said.
try() {
	local name=$1
	shift
	"$@" </dev/null >/tmp/out 2>&1
	echo "$name $? $(grep -v ' \[info\] ' /tmp/out | tail -n 1)"
}
to_vfio() {
	echo vfio-pci >/sys/bus/pci/devices/$1/driver_override
	echo $1 >/sys/bus/pci/drivers/vfio-pci/bind
}
# What a kernel says when something is wrong with it, or with its IOMMU; not what a test provokes.
complaints() {
	dmesg | grep -E 'WARNING:|BUG:|Oops|blocked for more than|rcu:.*(stall|detected)|DMAR: .*(Invalidation|IQE|ITE|ICE|timeout)'
}
trouble() { echo "$1 $(complaints | wc -l)"; complaints | sed 's/^/complaint /'; }
pause_here() { echo ready; read -r end; }
export XDG_RUNTIME_DIR=/run
# For H0 to keep what its nidus has counted until now, under that name.
snapshots=0
snapshot() {
	snapshots=$((snapshots + 1))
	echo "at $1 $(now)"
	echo "snapshot $snapshots $1"
	read -r end
}
# What the kernel's users of an IOMMU hold: pages that are pinned, domain-ids of the first unit, open
# files; and MiB of memory that is to be had.
pinned() { awk '/^nr_foll_pin_acquired/ { n += $2 } /^nr_foll_pin_released/ { n -= $2 } END { print n }' /proc/vmstat; }
domains() { cat /sys/class/iommu/dmar0/intel-iommu/domains_used; }
files() { cut -f 1 /proc/sys/fs/file-nr; }
available() { awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }

# g1 NAME ARGUMENT...: nidus runs G1 in the background; NAME is the first argument of all below, too.
g1() {
	name=$1
	shift
	rm -f /tmp/$name.in
	mkfifo /tmp/$name.in
	: >/tmp/$name.out
	/nidus run --name $name -k /bzImage -i /guest.cpio -i /work.cpio "$@" \
		-p "console=ttyS0 quiet panic=-1 nidus.cmd=\"sh /work\" $G1_PARAMS" \
		<>/tmp/$name.in >/tmp/$name.out 2>/tmp/$name.err &
	eval "pid_$name=$! pauses_$name=0"
}
g1_alive() { eval "kill -0 \$pid_$1 2>/dev/null"; }
# Until it has printed so many lines (one) like that, or is no more.
g1_line() {
	until [ "$(grep -cE "$2" /tmp/$1.out)" -ge "${3:-1}" ] || ! g1_alive $1; do sleep 0.5; done
}
# Until it pauses, once more than before, or is no more.
g1_pauses() {
	eval "pauses_$1=\$((pauses_$1 + 1)); pauses=\$pauses_$1"
	g1_line $1 '^g1-ready' $pauses
}
g1_go_on() { echo >/tmp/$1.in; }
# g1_stat NAME GROUP KEY: of what its nidus has counted until now.
g1_stat() { /nidus stats $1 2>/dev/null | sed -n "s/^$2: \(.* \)\{0,1\}$3=\([^ ]*\).*/\2/p"; }
# Until it pauses; then what nidus has counted, as "stats-NAME: LINE".
g1_wait() {
	g1_pauses $1
	/nidus stats $1 2>&1 | sed "s/^/stats-$1: /"
}
g1_kill() {
	eval "pid=\$pid_$1"
	kill -9 $pid
	wait $pid 2>/dev/null
	g1_show $1 $?
}
# Lets it go on, and waits for its end.
g1_end() {
	eval "pid=\$pid_$1"
	g1_go_on $1
	wait $pid
	g1_show $1 $?
}
g1_show() {
	echo "$1-status $2"
	tr -d '\r' </tmp/$1.out | sed "s/^/$1: /"
	sed "s/^/$1-err: /" /tmp/$1.err
}
echo "up $(now)"
H1
		cat
	} | script "$name"
}

# host NAME ARGUMENT...: boots H1 with the script of that name, and waits until it pauses. Its console
# is in $W/NAME.out, what H0's nidus has counted in $W/stats. Then it is told to go on and ends.
host() {
	local name=$1 began
	shift
	began=$(now_ms)
	IN=$W/keys linux "$name" --name "$name" "$@"
	wait_line "$name" '^up '
	note "H1 is up after $(($(now_ms) - began)) ms of H0's time"
	take_snapshots "$name"
	if ! wait_line "$name" '^ready'; then
		bad_row "$name: H1 gets to its end"
		show "$name"
	fi
	note "H1 ran for $(($(now_ms) - began)) ms"
	"$NIDUS" stats "$name" >"$W/stats" 2>/dev/null
	echo >&"$keys"
	ended "$name" 0 "$name: H1 ends by itself"
}

# take_snapshots NAME: until H1 is at its end.
take_snapshots() {
	local count=1 label
	while wait_line "$1" "^(ready|snapshot $count )" && ! grep -qa '^ready' "$W/$1.out"; do
		label=$(said "$1" "snapshot $count")
		"$NIDUS" stats "$1" >"$W/stats-$label" 2>/dev/null
		count=$((count + 1))
		echo >&"$keys"
	done
}

now_ms() {
	local up
	read -r up _ </proc/uptime
	printf '%d\n' "$((10#${up/./}))0"
}

# stat GROUP KEY [SNAPSHOT]: of what H0's nidus has counted for H1; 0 if it is not there.
stat() {
	local value
	value=$(sed -n "s/^$1: \(.* \)\{0,1\}$2=\([^ ]*\).*/\2/p" "$W/stats${3:+-$3}" | head -n 1)
	printf '%s\n' "${value:-0}"
}

# grown GROUP KEY SNAPSHOT SNAPSHOT: by how much, from one to the other.
grown() {
	echo $(($(stat "$1" "$2" "$4") - $(stat "$1" "$2" "$3")))
}

# entries DEVICE SNAPSHOT: how many PASIDs of the device the cache of H0's unit has an entry of.
entries() {
	grep -c "^vtd0\.$1\.pasid" "$W/stats-$2"
}

# guest_stat NAME GUEST GROUP KEY: of what H1's nidus has counted for its G1.
guest_stat() {
	tr -d '\r' <"$W/$1.out" | sed -n "s/^stats-$2: $3: \(.* \)\{0,1\}$4=\([^ ]*\).*/\2/p" | tail -n 1
}

# statuses NAME GUEST: the exit codes of its lives, a line each.
statuses() {
	tr -d '\r' <"$W/$1.out" | sed -n "s/^$2-status //p"
}

# guest_said NAME GUEST KEY
guest_said() {
	tr -d '\r' <"$W/$1.out" | sed -n "s/^$2: $3 //p" | tail -n 1
}

# rows_of NAME PREFIX [GUEST]: the rows (TAP) that were printed there, in H1 or in its guest, as rows
# of this test.
rows_of() {
	local line verdict name why=''
	while read -r line; do
		case $line in
		'# '*)
			why+=$line$'\n'
			continue
			;;
		esac
		verdict=${line%% - *} name=${line#* - }
		if [[ $verdict == ok* && $name == *'# SKIP'* ]]; then
			skip_row "$2: ${name%% # SKIP*}" "${why#\# }"
		elif [[ $verdict == ok* ]]; then
			ok_row "$2: $name"
		else
			bad_row "$2: $name" "$why"
		fi
		why=
	done < <(tr -d '\r' <"$W/$1.out" | sed -nE "s/^${3:+$3: }((not )?ok [0-9]+ - .*|# .*)/\1/p")
}

note "H0 is up since $(cut -d ' ' -f 1 /proc/uptime) s"
