#!/bin/bash
# What nidus in H1 says of hosts that lack something: H0's nidus gives H1 units without it.
LIMIT=${LIMIT:-800}
. "$(dirname "$0")/nested-lib.sh"

# lacking NAME KEYS <TEXT: an H1 whose unit has these keys, which does that.
lacking() {
	mkdir -p "$W/$1.d"
	cp "$NIDUS_REPO/build/guest-tests/bare/tick.elf" "$W/$1.d/"
	{
		cat <<'H1'
set -- $(sdmas)
/nidus vfio bind $1 2>&1
run_with() {
	local name=$1
	shift
	/nidus run -k /tick.elf --exit-port --log info "$@" </dev/null >/tmp/out 2>&1
	echo "$name $? $(grep vfio /tmp/out | head -n 1)"
}
H1
		cat
		echo pause_here
	} | host_script "$1"
	host "$1" -m 512M --sdma queues=4 --vtd "$2"
}

lacking nested nested=off <<'H1'
run_with on -m 32M --vtd --vfio $1,nested=on
run_with auto -m 32M --vtd --vfio $1
run_with off -m 32M --vtd --vfio $1,nested=off
H1
like 'nesting is refused: which bit of which unit' "$(said nested on)" \
	'^2 .*--vfio .*: cannot be nested: dmar0 has no NEST \(ECAP bit 26\)$'
like 'nested=auto says that it takes another way, and why' "$(said nested auto)" \
	'^1 .*\[warn\].*iommufd, shadowed \(second stage only\): dmar0 has no NEST \(ECAP bit 26\)'
like 'nested=off says so' "$(said nested off)" '^1 .*iommufd, shadowed \(second stage only\): nested=off'

lacking pasids pasid-bits=0 <<'H1'
run_with pasids -m 32M --vtd --vfio $1,nested=on
H1
like 'no PASIDs: which bit of which unit' "$(said pasids pasids)" \
	'^1 .*nested in dmar0; no PASIDs: dmar0 has no PASID \(bit 40\)'

lacking remapping ir=off <<'H1'
run_with unsafe -m 32M --vtd --vfio $1
echo 1 >/sys/module/iommufd/parameters/allow_unsafe_interrupts
run_with accepted -m 32M --vtd --vfio $1
H1
like 'no interrupt remapping: refused, and how to accept that' "$(said remapping unsafe)" \
	'^2 .*--vfio .*: .*iommufd.allow_unsafe_interrupts=1'
like 'accepted, it runs' "$(said remapping accepted)" '^1 .*nested in dmar0'

# Units that narrow are for legacy mode.
PARAMS='intel_iommu=on,sm_off'
lacking width aw=39,pasid-bits=0 <<'H1'
run_with width -m 600G,overcommit --vtd --vfio $1
run_with fits -m 32M --vtd --vfio $1
H1
like 'memory beyond the addresses of the unit' "$(said width width)" \
	'^2 .*--vfio .*: the guest.s memory ends at 0x[0-9a-f]*, beyond the 39 address bits of dmar0'
like 'memory within' "$(said width fits)" '^1 '
done_testing
