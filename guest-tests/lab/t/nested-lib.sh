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
# comes out of H1 as "g1: LINE". It may `pause_here`, for H1 to look at what its nidus has counted.
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
# The functions of sdma devices, in order.
sdmas() {
	for d in /sys/bus/pci/devices/*; do
		[ "$(cat $d/vendor):$(cat $d/device)" = 0x1234:0x5d3a ] && echo ${d##*/}
	done
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
# g1 NAME ARGUMENT...: nidus runs G1 in the background; the first argument of g1_wait and g1_end too.
g1() {
	name=$1
	shift
	mkfifo /tmp/$name.in
	: >/tmp/$name.out
	/nidus run --name $name -k /bzImage -i /guest.cpio -i /work.cpio "$@" \
		-p "console=ttyS0 quiet panic=-1 nidus.cmd=\"sh /work\" $G1_PARAMS" \
		<>/tmp/$name.in >/tmp/$name.out 2>/tmp/$name.err &
	eval "pid_$name=$!"
}
# Until it pauses, or is no more; then what nidus has counted, as "stats-NAME: LINE".
g1_wait() {
	eval "pid=\$pid_$1"
	until grep -q '^g1-ready' /tmp/$1.out || ! kill -0 $pid 2>/dev/null; do sleep 1; done
	/nidus stats $1 2>&1 | sed "s/^/stats-$1: /"
}
# Lets it go on, and waits for its end.
g1_end() {
	eval "pid=\$pid_$1"
	echo >/tmp/$1.in
	wait $pid
	echo "$1-status $?"
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
	if ! wait_line "$name" '^ready'; then
		bad_row "$name: H1 gets to its end"
		show "$name"
	fi
	note "H1 ran for $(($(now_ms) - began)) ms"
	"$NIDUS" stats "$name" >"$W/stats" 2>/dev/null
	echo >&"$keys"
	ended "$name" 0 "$name: H1 ends by itself"
}

now_ms() {
	local up
	read -r up _ </proc/uptime
	printf '%d\n' "$((10#${up/./}))0"
}

# stat GROUP KEY: of what H0's nidus has counted for H1; 0 if it is not there.
stat() {
	local value
	value=$(sed -n "s/^$1: \(.* \)\{0,1\}$2=\([^ ]*\).*/\2/p" "$W/stats" | head -n 1)
	printf '%s\n' "${value:-0}"
}

# guest_stat NAME GUEST GROUP KEY: of what H1's nidus has counted for its G1.
guest_stat() {
	tr -d '\r' <"$W/$1.out" | sed -n "s/^stats-$2: $3: \(.* \)\{0,1\}$4=\([^ ]*\).*/\2/p" | tail -n 1
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
