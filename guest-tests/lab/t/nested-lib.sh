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

# host_script NAME <TEXT: as `script`, for an H1. What it prints is for `said` and `rows_of`; it ends
# with `pause_here`.
host_script() {
	local name=$1 dir=$W/$1.d
	mkdir -p "$dir"
	cp "$STATIC" "$dir/nidus"
	cp "$PROBE" "$dir/iommufd-probe"
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

# rows_of NAME PREFIX: the rows (TAP) that were printed there, as rows of this test.
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
	done < <(tr -d '\r' <"$W/$1.out" | grep -E '^((not )?ok [0-9]+ - |# )')
}

note "H0 is up since $(cut -d ' ' -f 1 /proc/uptime) s"
