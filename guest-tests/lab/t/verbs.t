#!/bin/bash
# The other verbs and the remaining options: stats, list, trace, check, caps, manifests, CPU features,
# entropy, memory backings, logging.
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$W/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
truncate -s 16M "$W/image"
bare "$W/halt" "$CODE_READY $CODE_HALT"

json() { # EXPRESSION: of the JSON on standard input, called j
	python3 -c 'import json, sys; j = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1" 2>&1
}

# --- A running VM is asked ---

script busy <<'GUEST'
dd if=/dev/zero of=/dev/vda bs=4k count=64 conv=fsync 2>/dev/null
dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null
grep -m 1 '^flags' /proc/cpuinfo
echo "rng $(cat /sys/class/misc/hw_random/rng_current)"
dd if=/dev/hwrng bs=512 count=8 2>/dev/null | sha256sum | sed 's/^/random /'
dd if=/dev/hwrng bs=512 count=8 2>/dev/null | wc -c | sed 's/^/bytes /'
ls /sys/bus/pci/devices | wc -l | sed 's/^/functions /'
for f in /sys/bus/pci/devices/*; do echo "pci $(cat $f/vendor):$(cat $f/device)"; done
date +%s | sed 's/^/time /'
dmesg | grep -c -i -E 'ACPI.*(error|exception)|BUG:|WARNING:|pci.*(failed|no space|conflict)' | sed 's/^/complaints /'
echo ready
read never
GUEST
mkfifo "$W/open" && exec {hold}<>"$W/open"
IN=$W/open
linux busy -m 128M -c 2,cpu=host:-svm:-vmx:-avx2:-rdrand -d "$W/image" --name busy
IN=/dev/null
wait_line busy '^ready'
stats=$("$NIDUS" stats busy)
like 'stats prints counters' "$stats" 'vm: name=busy .*vcpu1: .*serial: '
"$NIDUS" stats busy --json >"$W/stats.json"
is 'stats --json is JSON, with the name' "$(json 'j["vm"]["name"]' <"$W/stats.json")" busy
is 'stats: the process' "$(json 'j["vm"]["pid"]' <"$W/stats.json")" "${PID[busy]}"
is 'stats: memory in bytes' "$(json 'j["vm"]["memory"]' <"$W/stats.json")" $((128 << 20))
is 'stats: both CPUs ran' "$(json 'j["vcpu0"]["runs"] > 0 and j["vcpu1"]["runs"] > 0' <"$W/stats.json")" True
is 'stats: the disk took 64 blocks and a flush' \
	"$(json '[d["bytes_out"] >= 262144 and d["bytes_in"] >= 1048576 and d["flushes"] >= 1 and d["errors"] == 0 for n, d in j.items() if "flushes" in d and d["flushes"]]' <"$W/stats.json")" '[True]'
again=$("$NIDUS" stats busy --json | json 'j["vm"]["uptime_ms"]')
holds 'stats: it is live' test "$again" -gt "$(json 'j["vm"]["uptime_ms"]' <"$W/stats.json")"
is 'list names it, with its process' "$("$NIDUS" list | tr -s ' ')" "busy ${PID[busy]}"
is 'list --json' "$("$NIDUS" list --json | json 'j[0]["name"]')" busy
flags=" $(said busy 'flags[[:space:]]*:') "
like 'cpu= masks features' "$flags" ' fpu '
for flag in svm vmx avx2 rdrand; do
	holds "cpu=host:-$flag: /proc/cpuinfo does not have it" fails grep -qw $flag <<<"$flags"
done
like 'rng: the guest uses it' "$(said busy rng)" '^virtio_rng'
is 'rng: it gives bytes' "$(said busy bytes)" 4096
holds 'rng: and not zeroes' test "$(said busy random)" != "$(head -c 4096 /dev/zero | sha256sum)"
holds 'the guest has the time of the host' test $(($(date +%s) - $(said busy time))) -lt 600 \
	-a $(($(date +%s) - $(said busy time))) -ge -2
is 'Linux has nothing to complain about ACPI and PCI' "$(said busy complaints)" 0
holds 'stop' "$NIDUS" stop busy --timeout "$LIMIT"
ended busy 5 'a stopped VM'
is 'list is empty afterwards' "$("$NIDUS" list)" ''
is 'list --json is too' "$("$NIDUS" list --json)" '[]'

script plain <<'GUEST'
[ -e /sys/class/misc/hw_random/rng_current ] && echo "rng $(cat /sys/class/misc/hw_random/rng_current)"
grep -m 1 '^flags' /proc/cpuinfo
GUEST
linux plain -m 128M --rng=off
ended plain 0 '--rng=off'
holds '--rng=off: the guest has none' fails grep -q virtio_rng <<<"$(said plain rng)"
hardware=$(grep -m1 -owE 'svm|vmx' /proc/cpuinfo)
like 'the guest has the virtualisation of the host' " $(said plain 'flags[[:space:]]*:') " " $hardware "

# --- check, and manifests ---

"$NIDUS" check -k "$KERNEL" -i "$INITRD" -m 128M -c 2 -d "$W/image,ro,queues=2" -p 'console=ttyS0 a=1' >"$W/check"
is 'check: exit code' $? 0
for word in "$KERNEL" "$INITRD" 128M "$W/image" 'console=ttyS0 a=1'; do
	holds "check prints what will be: ${word##*/}" grep -qF -- "$word" "$W/check"
done
is 'check starts nothing' "$(pgrep -x nidus)" ''
"$NIDUS" check -k "$KERNEL" -i "$INITRD" -m 128M -c 2 -d "$W/image,ro,queues=2" \
	-p 'console=ttyS0 quiet panic=-1 nidus.cmd="cat /sys/block/vda/ro | sed s/^/ro:/"' --dtb "$W/vm.dtb"
is 'check --dtb: exit code' $? 0
holds 'check --dtb: dtc reads it' dtc -q -I dtb -O dts -o "$W/vm.dts" "$W/vm.dtb"
start manifest -f "$W/vm.dtb" -c 1
ended manifest 0 'the machine that check --dtb wrote runs'
like 'with its disk' "$(tr -d '\r' <"$W/manifest.out")" 'ro:1'
like 'an option overrides it' "$(tr -d '\r' <"$W/manifest.out")" 'init reached .*cpus=1 '
"$NIDUS" check -f "$W/vm.dtb" >"$W/once"
"$NIDUS" check -f "$W/vm.dtb" --dtb "$W/vm2.dtb"
"$NIDUS" check -f "$W/vm2.dtb" >"$W/twice"
is 'a manifest written back is the same machine' "$(<"$W/twice")" "$(<"$W/once")"

# Every key of --vtd, and what else goes with it.
keys=aw=57,pasid-bits=8,domain-bits=12,scalable=on,first-stage=on,second-stage=on,nested=on,first-stage-57=off
keys+=,first-stage-1g=off,pass-through=off,ats=on,pri=off,ir=on,x2apic=off,supervisor=off,execute=off
keys+=,caching-mode=on,snoop=off,access-dirty=off,extended-accessed=off,abort-dma=off,vcmd=on
keys+=,pasid-quota=7,fault-records=2,drop=iotlb:pasid-cache
words=(-k "$KERNEL" --vtd "$keys,devices=sdma1:rng" --vtd scalable=off --sdma queues=3 --sdma --edu dma-mask=40)
"$NIDUS" check "${words[@]}" >"$W/units"
is 'check --vtd: exit code' $? 0
for word in ${keys//,/ } devices=sdma1:rng queues=3 queues=8 dma-mask=40; do
	holds "check --vtd prints $word" grep -qE "[ ,]$word(,|\$)" "$W/units"
done
"$NIDUS" check "${words[@]}" --dtb "$W/units.dtb"
is 'check --vtd --dtb: exit code' $? 0
"$NIDUS" check -f "$W/units.dtb" >"$W/units.once"
is 'the manifest has the same units and devices' "$(<"$W/units.once")" "$(<"$W/units")"
"$NIDUS" check -f "$W/units.dtb" --dtb "$W/units2.dtb"
holds 'and written back it is the same file' cmp "$W/units.dtb" "$W/units2.dtb"

# The shipped manifests name files beside them.
mkdir "$W/configs"
cp "$KERNEL" "$W/configs/bzImage"
cp "$INITRD" "$W/configs/initrd.cpio"
cp "$INITRD" "$W/configs/initrd"
truncate -s 16M "$W/configs/disk.img"
ip tuntap add tap0 mode tap && at_end ip link del tap0
for source in "$NIDUS_REPO"/configs/*.dts; do
	name=$(basename "$source" .dts)
	dtc -q -I dts -O dtb -o "$W/configs/$name.dtb" "$source"
	# Their own command lines go on: only what our initramfs has to do is added.
	sed -n 's/.*nidus,kernel = "\(.*\)".*/\1/p; s/.*path = "\(.*\)".*/\1/p' "$source" >"$W/names"
	while read -r file; do
		[[ -e $W/configs/$file || $file == /* ]] || case $file in
		*.img) truncate -s 16M "$W/configs/$file" ;;
		*init*) cp "$INITRD" "$W/configs/$file" ;;
		*) cp "$KERNEL" "$W/configs/$file" ;;
		esac
	done <"$W/names"
	start "$name" -f "$W/configs/$name.dtb" -i "$INITRD" -p 'console=ttyS0 quiet panic=-1' -m 256M
	ended "$name" 0 "configs/$name.dts boots"
	like "configs/$name.dts reaches init" "$(<"$W/$name.out")" 'init reached'
done

# --- The machine of configs/vtd.dts, asked while its devices work ---

script sva <<'GUEST'
(while :; do dd if=/dev/vda of=/dev/null bs=4k count=4096 iflag=direct 2>/dev/null; done) &
sdma-perf --ms 60000 >/dev/null &
echo ready
read never
GUEST
IN=$W/open
start sva -f "$W/configs/vtd.dtb" -i "$NIDUS_INITRAMFS/guest-sdma.cpio" -i "$W/sva.cpio" -m 512M \
	-p 'console=ttyS0 quiet panic=-1 nidus.cmd="sh /sva"'
IN=/dev/null
wait_line sva '^ready'
busy_pasid() {
	"$NIDUS" stats sva --json >"$W/sva.json" &&
		[[ $(json 'any(n.startswith("vtd0.sdma0.pasid") and g["walks"] for n, g in j.items())' <"$W/sva.json") == True ]]
}
holds 'stats: the PASID of a process, which the unit walks for' until_true busy_pasid
sva() { # EXPRESSION: of that answer
	json "$1" <"$W/sva.json"
}
is 'stats: the unit' "$(sva 'all(j["vtd0"][n] > 0 for n in ("translations", "walks", "waits", "interrupts"))')" True
is 'stats: no fault' "$(sva 'j["vtd0"]["faults"]')" 0
is 'stats: the disk behind it' "$(sva 'j["vtd0.disk0"]["translations"] > 0')" True
is 'stats: sdma asks for translations' "$(sva 'j["vtd0.sdma0"]["ats_requests"] > 0')" True
is "stats: a process's tables are a first stage" \
	"$(sva 'set(g["type"] for n, g in j.items() if n.startswith("vtd0.sdma0.pasid"))')" "{'first-stage'}"
like 'stats: the disk has an entry without PASID' "$(sva 'j["vtd0.disk0.rid"]["type"]')" '^(first|second)-stage$'
like 'stats in words has the same groups' "$("$NIDUS" stats sva)" 'vtd0: .*vtd0\.disk0: .*vtd0\.sdma0\.pasid[0-9]+: '

# trace NAME DEVICE: in the background, in a shell that would have it ignore Ctrl-C.
trace() {
	env --default-signal=INT "$NIDUS" trace sva "$2" >"$W/$1.trace" 2>&1 &
	PID[$1]=$!
}
lines() { # NAME REGEX COUNT
	[[ $(grep -cE "$2" "$W/$1.trace") -ge $3 ]]
}
translations() {
	"$NIDUS" stats sva --json | json 'j["vtd0.disk0"]["translations"]'
}
passed() { # NUMBER
	[[ $(translations) -gt $1 ]]
}

trace first disk0
holds 'trace shows what the disk asks' until_true lines first '^ *[0-9]+\.[0-9]{6} dma [a-z-]+ .*iova 0x[0-9a-f]+' 20
"$NIDUS" trace sva sdma0 >"$W/second.trace" 2>&1
is 'trace by a second client: exit code' $? 1
like 'trace by a second client: why not' "$(<"$W/second.trace")" 'somebody else traces'
kill -INT "${PID[first]}"
finish first
is 'trace ends at Ctrl-C' "$STATUS" 130
is 'and has printed whole lines, each with its time' "$(grep -cvE '^ *[0-9]+\.[0-9]{6} |^\([0-9]+ lines dropped' "$W/first.trace")" 0
"$NIDUS" trace sva disk9 >"$W/second.trace" 2>&1
is 'trace of no device: exit code' $? 1
like 'trace of no device: what there is' "$(<"$W/second.trace")" 'no device of that name'
trace pasid sdma0
holds 'trace shows what sdma asks, with PASID' until_true lines pasid ' ats [a-z-]+ pasid [1-9]' 5
kill -INT "${PID[pasid]}"
finish pasid
trace stuck disk0
until_true lines stuck ' dma ' 20
kill -STOP "${PID[stuck]}"
holds 'a client that does not read holds up nobody' until_true passed $(($(translations) + 5000))
kill -CONT "${PID[stuck]}"
holds 'and learns how much it has missed' until_true lines stuck '^\([0-9]+ lines dropped' 1
holds 'stop while it is traced' "$NIDUS" stop sva --timeout "$LIMIT"
ended sva 5 'the VM ends then'
finish stuck
is 'and so does trace' "$STATUS" 0

# --- caps ---

"$NIDUS" caps >"$W/caps"
is 'caps: this host runs guests' $? 0
like 'caps: it has hardware virtualisation' "$(<"$W/caps")" 'yes +[^ ]*(SVM|VMX|svm|vmx|kvm|KVM)'
holds 'caps: each thing it cannot has a remedy' \
	fails grep -qE '^no .*; *$' "$W/caps"
is 'caps --json is JSON, and says the same' \
	"$("$NIDUS" caps --json | json 'len([c for c in j if c["name"]])')" "$(grep -cE '^(yes|no) ' "$W/caps")"
"$NIDUS" caps --vtd >"$W/caps"
is 'caps --vtd: exit code' $? 0
for bit in 'ECAP +PASID +1 +.*SVA' 'ECAP +PRS +1 +page requests' 'ECAP +PSS +19 +pasid-bits' 'CAP +SAGAW +6 ' 'CAP +CM +0 +.*caching-mode'; do
	holds "caps --vtd: $bit" grep -qE "^$bit" "$W/caps"
done
is 'caps --vtd: every bit has its reason' "$(grep -cvE '^(vtd0: CAP 0x[0-9a-f]{16}, ECAP 0x[0-9a-f]{16}|E?CAP +[A-Z0-9]+ +[0-9]+ +[^ ].+)$' "$W/caps")" 0
is 'caps --vtd --json is JSON, and says the same' \
	"$("$NIDUS" caps --vtd --json | json 'len([c for c in j if c["unit"] == "vtd0" and c["reason"]])')" "$(grep -cE '^E?CAP ' "$W/caps")"
"$NIDUS" caps --vtd aw=39,first-stage=off --vtd devices=rng >"$W/caps"
is 'caps --vtd of two units' "$(grep -oE '^vtd[0-9]+' "$W/caps" | xargs)" 'vtd0 vtd1'
is 'caps --vtd: what a key has switched off, and what goes with it' \
	"$(grep -E '^(CAP +(SAGAW|MGAW)|ECAP +(FSTS|NEST)) ' "$W/caps" | awk '{ print $2 "=" $3 }' | xargs)" \
	'SAGAW=2 MGAW=38 NEST=0 FSTS=0 SAGAW=6 MGAW=47 NEST=1 FSTS=1'
setpriv --reuid 65534 --regid 65534 --clear-groups "$NIDUS" caps >"$W/caps.user"
is 'caps of a user who may not open /dev/kvm: exit code' $? 1
like 'caps of that user: why, and what to change' "$(grep -i kvm "$W/caps.user")" 'no .*(Permission|denied).*;.*(group|kvm)'

# --- Memory ---

pages=/sys/kernel/mm/hugepages/hugepages-2048kB
echo 80 >$pages/nr_hugepages && at_end "echo 0 >$pages/nr_hugepages"
script memory <<'GUEST'
echo ready
read never
GUEST
IN=$W/open
linux memory -m 128M,hugepages=2M,prefault
wait_line memory '^ready'
is 'hugepages=2M,prefault: all of it is huge pages' "$(($(<$pages/nr_hugepages) - $(<$pages/free_hugepages)))" 64
kill -TERM "${PID[memory]}"
finish memory
is 'hugepages: given back' "$(<$pages/free_hugepages)" "$(<$pages/nr_hugepages)"
# resident NAME: KiB of the VM, guest memory and all, that there are on the host.
resident() {
	awk '/^Rss(Anon|Shmem):/ { kib += $2 } END { print kib }' /proc/"${PID[$1]}"/status
}
start prefault -k "$W/halt" -m 64M,prefault
wait_line prefault U
holds 'prefault: all of it is there at once' test "$(resident prefault)" -ge 65536
kill -TERM "${PID[prefault]}"
finish prefault
start lazy -k "$W/halt" -m 64G,overcommit
wait_line lazy U
holds "overcommit: a guest of 64G that touches nothing takes little ($(resident lazy) KiB)" \
	test "$(resident lazy)" -le 16384
kill -TERM "${PID[lazy]}"
finish lazy
IN=/dev/null

# --- Logging ---

start log -k "$W/halt" -m 16M --log debug
wait_line log U
kill -TERM "${PID[log]}"
finish log
like '--log debug says more, with level and module' "$(<"$W/log.err")" 'nidus: \[(debug|info)\] [a-z]+:'
start log -k "$W/halt" -m 16M
wait_line log U
kill -TERM "${PID[log]}"
finish log
is 'without --log a good run says nothing' "$(<"$W/log.err")" ''
like 'version' "$("$NIDUS" version)" "^nidus $(<"$NIDUS_REPO/VERSION")$"
for verb in run check caps list stats trace stop version help; do
	like "help $verb" "$("$NIDUS" help $verb)" "Usage: nidus $verb"
done
done_testing
