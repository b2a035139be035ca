#!/bin/bash
# A host that fails: in H1 the calls by which nidus has the kernel bind, unbind and invalidate for its
# guest are refused, one by one, and the guest, vfio-inject, says what it sees of that. Then hosts
# that have no room for more: by nidus's own quota, and because their unit has too few domain-ids.
. "$(dirname "$0")/nested-lib.sh"

mkdir -p "$W/h1.d"
cp "$NIDUS_INITRAMFS/sdma/inject" "$NIDUS_REPO/build/guest-tests/bare/vfio-inject.elf" "$W/h1.d/"
host_script h1 <<'H1'
set -- $(sdmas)
to_vfio $1
mkfifo /tmp/in
slab() { awk '/^Slab:/ { print $2 }' /proc/meminfo; }

# injected NAME WORDS ARGUMENT...: the guest runs, and what it asks the host to fail fails.
injected() {
	name=$1 words=$2
	shift 2
	: >/tmp/rules
	{
		/inject /tmp/rules /nidus run --name $name -k /vfio-inject.elf -m 64 --exit-port --vtd "$@" \
			-p "$words" <>/tmp/in 2>/tmp/$name.err
		echo "status $?"
	} | tr -d '\r' | while IFS= read -r line; do
		case $line in
		'inject last') /nidus stats $name | sed "s/^/stats-$name: /" ;;
		'inject '*)
			echo "${line#inject }" | tr , '\n' >/tmp/rules.new
			mv /tmp/rules.new /tmp/rules
			;;
		esac
		case $line in inject*) echo >/tmp/in ;; esac
		echo "$name: $line"
	done
	echo "$name-injected $(grep '^injected' /tmp/$name.err | sort | uniq -c | awk '{ print $3 }' | sort -u | tr '\n' ' ')"
	grep -v '^injected' /tmp/$name.err >/tmp/$name.log
	echo "$name-lines $(wc -l </tmp/$name.log)"
	sed "s/^/$name-err: /" /tmp/$name.log
}

injected fails '' --vfio $1,nested=on
slab=$(slab)
injected quota 'fill=1 room=5' --vfio $1,nested=on,pasid-quota=6
injected domains 'fill=1' --vfio $1,nested=on
echo "slab-grown $(($(slab) - slab))"
trouble trouble
echo 1 >/sys/bus/pci/devices/$1/remove
trouble removed
pause_here
H1
LIMIT=800 host h1 -c 1 -m 768M --vtd domain-bits=4 --sdma queues=2
is 'calls that fail: the guest comes through' "$(guest_said h1 fails status)" 1
rows_of h1 fails fails
is 'each of these calls has failed' "$(said h1 fails-injected)" \
	'attach destroy detach fault-read fault-write hwpt-alloc hwpt-invalidate ioas-alloc ioas-copy ioas-unmap '
holds "H1's nidus counts errors ($(guest_stat h1 fails vfio0 errors))" test "$(guest_stat h1 fails vfio0 errors)" -gt 20
holds "and has a line for each, but not too many ($(said h1 fails-lines))" \
	test "$(said h1 fails-lines)" -ge 10 -a "$(said h1 fails-lines)" -lt 40
like 'that says which PASID, and why' "$(tr -d '\r' <"$W/h1.out" | grep '^fails-err')" \
	'host refuses PASID 0x123: Cannot allocate memory'
like 'and that it did not unbind, or invalidate' "$(tr -d '\r' <"$W/h1.out" | grep '^fails-err')" \
	'host does not unbind requests without PASID: .*host does not invalidate: '
rows_of h1 'a quota' quota
rows_of h1 'few domain-ids' domains
note "with few domain-ids: $(tr -d '\r' <"$W/h1.out" | grep -E '^domains(: # room|-err)')"
is "H1's kernel has no complaint" "$(said h1 trouble)" 0 || note "$(tr -d '\r' <"$W/h1.out" | grep '^complaint')"
is 'nor when the device is removed' "$(said h1 removed)" 0
holds "it has kept nothing ($(said h1 slab-grown) KiB of slab)" test "$(said h1 slab-grown)" -lt 8192
is "no error in the queue of H1's kernel" "$(stat vtd0 queue_errors)" 0
done_testing
