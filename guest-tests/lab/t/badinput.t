#!/bin/bash
# Every kind of bad input: exit code 2, one line that names the thing, the value and the remedy,
# nothing on standard output, nothing started and nothing created.
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$W/run TMPDIR=$W/tmp
mkdir -m 700 "$XDG_RUNTIME_DIR" "$TMPDIR"
: >"$W/said.out" >"$W/said.err"
mkdir "$W/here" && cd "$W/here" || exit
bare "$W/good" "$CODE_HALT"

files() {
	find "$W" ! -name 'said.*' ! -path "$W" -printf '%p %s %m\n' | sort
	ip -o link show | cut -d: -f2 | sort
}

# refused ROW REGEX WORD...: the regular expression has to match the line, whatever the case.
refused() {
	local row=$1 regex=$2 status before line
	shift 2
	before=$(files)
	timeout -s KILL 120 "$NIDUS" "$@" </dev/null >"$W/said.out" 2>"$W/said.err"
	status=$?
	line=$(<"$W/said.err")
	shopt -s nocasematch
	if [[ $status == 2 && $(wc -l <"$W/said.err") == 1 && ! -s $W/said.out && $line =~ $regex &&
		$(files) == "$before" && ! $(pgrep -x nidus) ]]; then
		ok_row "$row"
	else
		bad_row "$row" "nidus $(cut -c1-200 <<<"$*")"$'\n'"exit code $status; on stdout: $(head -n 3 "$W/said.out")" \
			$'\n'"on stderr: $(head -n 5 "$W/said.err")"$'\n'"want: $regex"$'\n'"new: $(differ "$(files)" "$before")"
	fi
	shopt -u nocasematch
}

run() { # ROW REGEX WORD...: with a kernel that would run
	refused "$1" "$2" run -k "$W/good" "${@:3}"
}

# --- Words ---

refused 'unknown verb' "'breakfast'.*(valid|run)" breakfast
refused 'misspelt verb' "'chekc'.*check" chekc
refused 'no kernel' 'kernel.*-k' run
run 'unknown option' '--colour' --colour=red
run 'misspelt option' '--memroy.*--memory' --memroy 1G
run 'unknown letter' '-z' -z
run 'option without value' '--memory.*SIZE' --memory
run 'value where none belongs' '--help' --help=yes
run 'second kernel' 'extra' "$W/good" extra
run 'unknown key of a disk' 'colour.*(path|ro).*serial' -d disk.img,colour=red
run 'misspelt key of a disk' 'quues.*queues' -d disk.img,quues=2
run 'unknown key of a network' 'speed.*(tap|mac)' -n tap0,speed=9
run 'unknown key of memory' 'fast.*hugepages' -m 16M,fast=on
run 'a key given twice' 'queues' -d disk.img,queues=1,queues=2
refused 'stats without a name' 'NAME' stats
refused 'stop with a bad number' "timeout.*'soon'" stop --timeout soon vm

# --- Numbers ---

for bad in 0 65 -1 two 1.5 99999999999999999999; do
	run "$bad CPUs" "cpus.*'$bad'.*1 to 64" -c "$bad"
done
run 'a CPU feature that does not exist' "'?-?warp9.*(svm|avx)" -c 1,cpu=host:-warp9
for bad in 0 15M 1Q 12.5M -16M 17T 18446744073709551616 big 16M16; do
	refused "memory of $bad" "memory.*'$bad'.*16M to 16T" run -k "$W/good" -m "$bad"
done
refused 'memory that is not whole pages' "'16777217B'.*4K" run -k "$W/good" -m 16777217B
refused 'more memory than the host has' 'memory.*1048576M.*overcommit' run -k "$W/good" -m 1T
refused 'memory that is not whole huge pages' 'memory.*hugepages.*18M' run -k "$W/good" -m 17M,hugepages=2M
refused 'more huge pages than there are' 'memory.*nr_hugepages' run -k "$W/good" -m 64G,hugepages=2M
refused 'huge pages of a size that does not exist' "hugepages.*'3M'.*2M" run -k "$W/good" -m 64M,hugepages=3M
for bad in 0 17 many; do
	run "$bad queues of a disk" "queues.*'$bad'.*1 to 16" -d disk.img,queues=$bad
	run "$bad queues of a network" "queues.*'$bad'.*1 to 16" -n tap0,queues=$bad
done
run 'a serial number that is too long' 'serial.*20' -d disk.img,serial=123456789012345678901
run 'a switch that is neither on nor off' "'perhaps'.*on" -d disk.img,ro=perhaps
run 'a mac that is none' "mac.*'52:54:00'" -n tap0,mac=52:54:00
run 'a mac for many' "mac.*'ff:ff:ff:ff:ff:ff'" -n tap0,mac=ff:ff:ff:ff:ff:ff
run 'a name that is a path' "name.*'a/b'" --name a/b
run 'a name that is too long' 'name.*64' --name "$(printf 'n%.0s' {1..65})"
run 'an unknown seccomp mode' "'maybe'.*kill" --seccomp maybe
run 'an unknown level' "'loud'.*debug" --log loud
run 'an unknown module' "'disco=info'.*modules: vmm" --log disco=info
run 'an exit port out of range' "exit-port.*'65536'" --exit-port=65536
run 'a command line that is too long' 'cmdline.*2047' -p "$(printf '%3000s' x)"
for n in {1..17}; do disks+=(-d "$W/disk$n.img"); done
run 'seventeen disks' 'disk.*16' "${disks[@]}"
run 'one terminal for two' 'stdio' --console stdio
run 'one file for two' "$W/log" --serial "file=$W/log" --console "file=$W/log"

# --- Files ---

truncate -s 1M "$W/disk.img" && truncate -s 1000 "$W/odd.img" && : >"$W/empty"
mkdir "$W/dir" && mkfifo "$W/fifo"
run 'a disk that is missing' "'$W/nowhere'.*No such file.*path" -d "$W/nowhere"
run 'a disk that is empty' "'$W/empty'.*truncate" -d "$W/empty"
run 'a disk of half a sector' "'$W/odd.img'.*512" -d "$W/odd.img"
run 'a disk that is a directory' "'$W/dir'.*directory" -d "$W/dir"
run 'a disk that is a pipe' "'$W/fifo'" -d "$W/fifo"
run 'a disk given twice' "'$W/disk.img'.*ro" -d "$W/disk.img" -d "$W/disk.img"
run 'a disk of nothing' 'disk.*path' -d ro
run 'a disk by path and by descriptor' 'fd' -d "$W/disk.img,fd=9"
run 'a disk on a descriptor that is closed' 'fd 77.*open' -d fd=77
run 'an initrd that is missing' "'$W/nowhere'.*No such" -i "$W/nowhere"
run 'an initrd that is empty' "'$W/empty'" -i "$W/empty"
run 'an initrd that is a directory' "'$W/dir'.*directory" -i "$W/dir"
truncate -s 64M "$W/large"
refused 'an initrd larger than memory' "'$W/large'.*(-m|memory)" run -k "$W/good" -m 64M -i "$W/large"
refused 'an initrd that does not fit beside the kernel' 'large.*(fit|memory|-m)' \
	run -k "$KERNEL" -m 66M -i "$W/large"
refused 'a kernel that does not fit' 'fit|memory|-m' run -k "$KERNEL" -m 16M
run 'a serial file in no directory' "'$W/nowhere/log'" --serial "file=$W/nowhere/log"
run 'a console that is a directory' "'$W/dir'.*directory" --console "file=$W/dir"

# --- Kernels ---

kernel() { # ROW REGEX FILE
	refused "$1" "$3.*($2)" run -m 256M -k "$3"
}
echo 'Not a kernel at all, just a line of text.' >"$W/text"
kernel 'a kernel that is missing' 'No such file.*path' "$W/nowhere"
kernel 'a kernel that is empty' empty "$W/empty"
kernel 'a kernel that is a directory' directory "$W/dir"
kernel 'a kernel that is text' 'bzImage.*(vmlinux|PVH|ELF)' "$W/text"
cp /bin/true "$W/true"
kernel 'a kernel that is a program' 'PVH|multiboot|kernel' "$W/true"
head -c 100K /dev/urandom >"$W/random"
kernel 'a kernel that is noise' bzImage "$W/random"
for size in 600 4096 100000; do
	head -c $size "$KERNEL" >"$W/truncated-$size"
	kernel "a bzImage cut to $size bytes" 'short|truncated|cut|end|size|bzImage|whole' "$W/truncated-$size"
done
head -c 100000 "$NIDUS_VMLINUX" >"$W/truncated-elf"
kernel 'a vmlinux cut short' 'does not fit the file' "$W/truncated-elf"
cp "$W/good" "$W/plain-elf" && dd if=/dev/zero of="$W/plain-elf" bs=1 seek=84 count=4 conv=notrunc 2>/dev/null
kernel 'a 32-bit ELF without a multiboot header' 'multiboot|PVH' "$W/plain-elf"
cp "$KERNEL" "$W/gzipped" && gzip -f "$W/gzipped"
kernel 'a compressed bzImage' 'bzImage|compressed|gzip' "$W/gzipped.gz"
chmod 000 "$W/text"
setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null &&
	chmod 755 "$W" && {
	VIA_USER=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	before=$(files)
	XDG_RUNTIME_DIR=/nowhere "${VIA_USER[@]}" "$NIDUS" run -k "$W/text" </dev/null >"$W/said.out" 2>"$W/said.err"
	is 'a kernel that may not be read: exit code' "$?" 2
	like 'a kernel that may not be read: the message' "$(cat "$W/said.err")" "'$W/text'.*Permission denied.*(mode|user)"
	is 'a kernel that may not be read: one line' "$(wc -l <"$W/said.err")" 1
	is 'a kernel that may not be read: nothing created' "$(files)" "$before"
}

# --- Networks ---

run 'a tap that does not exist' "tap 'tap99'.*ip tuntap add" -n tap99
run 'a network device that is no tap' "'lo'.*no tap" -n lo
run 'a network of nothing' 'tap.*fd' -n mac=52:54:00:12:34:56
run 'a network on a descriptor that is closed' 'fd 78.*open' -n fd=78
ip tuntap add single0 mode tap && at_end ip link del single0
run 'two queues on a tap that has one' "'single0'.*multi_queue" -n single0,queues=2
run 'one tap for two cards' "'single0'" -n single0 -n single0
ip tuntap add tun0 mode tun && at_end ip link del tun0
run 'a tun' "'tun0'.*tun" -n tun0
"$NIDUS" run -k "$W/good" -m 16M -n fd=8 8</dev/null >"$W/said.out" 2>"$W/said.err" </dev/null
is 'a descriptor that is no tap' "$? $(grep -c 'fd 8 is no tap' "$W/said.err") $(wc -l <"$W/said.err")" '2 1 1'

# --- Remapping units, sdma, edu ---

run 'unknown key of a unit' "'colour'.*valid.*devices.*drop" --vtd colour=red
run 'a unit that is just on' "'on'.*valid.*devices" --vtd=on
run 'a key of a unit given twice' 'aw.*twice' --vtd aw=48,aw=57
run 'an empty key of a unit' 'empty.*valid' --vtd=,
for bad in 40 0 wide ''; do
	run "second-stage addresses of '$bad' bits" "aw.*'$bad'.*39, 48 or 57" --vtd "aw=$bad"
done
# bad_number KEY LEAST MOST
bad_number() {
	local bad
	for bad in $(($2 - 1)) $(($3 + 1)) many 1.5 ''; do
		run "$1=$bad of a unit" "$1.*'$bad'.*$2 to $3" --vtd "$1=$bad"
	done
}
bad_number pasid-bits 0 20
bad_number domain-bits 4 16
bad_number pasid-quota 1 1048576
bad_number fault-records 1 16
toggles=(scalable first-stage second-stage nested first-stage-57 first-stage-1g pass-through ats pri ir
	x2apic supervisor execute caching-mode snoop access-dirty extended-accessed abort-dma vcmd)
for key in "${toggles[@]}"; do
	run "$key=maybe of a unit" "$key.*'maybe'.*on, off or auto" --vtd "$key=maybe"
done
# lacks KEY KEY-OFF [WORDS]: what a feature needs is off.
lacks() {
	run "$1 without $2" "$1=on needs $2, which is off" --vtd "$1=on,${3:-$2=off}"
}
lacks first-stage scalable
lacks second-stage scalable
lacks nested first-stage
lacks nested second-stage
lacks first-stage-57 first-stage
lacks first-stage-1g first-stage
lacks pri scalable
lacks pri ats
lacks x2apic ir
lacks supervisor first-stage
lacks execute first-stage
lacks access-dirty second-stage
lacks extended-accessed first-stage
lacks vcmd scalable
run 'vcmd without PASIDs' 'vcmd.*pasid-bits is 0' --vtd vcmd=on,pasid-bits=0
run 'scalable mode without a stage' 'first-stage or second-stage' --vtd first-stage=off,second-stage=off
for bad in '' x iotlb:x iotlb: :iotlb; do
	run "drop=$bad of a unit" "drop.*'$bad'.*pasid-device-tlb" --vtd "drop=$bad"
done
for bad in '' : rng: :rng; do
	run "devices=$bad of a unit" "devices.*'$bad'.*disk0:sdma1" --vtd "devices=$bad"
done
run 'a unit of a device that there is not' "no 'sdma1'.*there are: sdma0" --vtd devices=sdma1 --sdma
run 'one device behind two units' "'rng'.*--vtd 0" --vtd devices=rng --vtd devices=rng
run 'two units for the rest' '--vtd 0.*devices=NAME' --vtd --vtd
for n in {1..17}; do units+=(--vtd devices=rng); done
run 'seventeen units' 'vtd.*16' "${units[@]}"
for bad in 0 65 -1 many ''; do
	run "sdma with '$bad' queues" "queues.*'$bad'.*1 to 64" --sdma "queues=$bad"
done
run 'unknown key of sdma' "'rings'.*valid.*queues" --sdma rings=4
run 'a key of sdma given twice' 'queues.*twice' --sdma queues=1,queues=2
run 'nine sdma devices' 'sdma.*8' --sdma --sdma --sdma --sdma --sdma --sdma --sdma --sdma --sdma
for bad in 11 65 wide ''; do
	run "edu with a mask of '$bad' bits" "dma-mask.*'$bad'.*12 to 64" --edu "dma-mask=$bad"
done
run 'unknown key of edu' "'mask'.*valid.*dma-mask" --edu mask=40
run 'five edu devices' 'edu.*4' --edu --edu --edu --edu --edu
refused 'caps of a bad unit' "aw.*'40'.*39, 48 or 57" caps --vtd aw=40
refused 'caps of a unit that contradicts itself' 'nested=on needs first-stage' caps --vtd nested=on,first-stage=off
refused 'trace without a name' 'NAME DEVICE' trace
refused 'trace without a device' 'NAME DEVICE' trace vm

# --- Manifests ---

blob() { # NAME <source
	dtc -q -I dts -O dtb -o "$W/$1" - 2>/dev/null
}
manifest() { # ROW REGEX FILE
	refused "$1" "$3.*($2)" run -f "$3"
	refused "$1, with check" "$3.*($2)" check -f "$3"
}
source_of() { # PROPERTIES NODES
	printf '/dts-v1/; / { compatible = "nidus,vm"; %s chosen { nidus,kernel = "%s"; }; %s };' "$1" "$W/good" "$2"
}
source_of '' '' >"$W/vm.dts"
blob vm.dtb <"$W/vm.dts"
manifest 'a manifest that is missing' 'No such' "$W/nowhere.dtb"
manifest 'a manifest that is empty' empty "$W/empty"
manifest 'a manifest that is a directory' 'directory' "$W/dir"
manifest 'a manifest that is no device tree' 'dtc' "$W/random"
manifest 'a manifest that is source' 'dtc' "$W/vm.dts"
for size in 8 40 100; do
	head -c $size "$W/vm.dtb" >"$W/cut-$size.dtb"
	manifest "a manifest cut to $size bytes" 'broken' "$W/cut-$size.dtb"
done
number=0
bad_manifest() { # ROW REGEX PROPERTIES NODES
	number=$((number + 1))
	source_of "$3" "$4" | blob "bad$number.dtb"
	manifest "$1" "$2" "$W/bad$number.dtb"
}
bad_manifest 'a manifest with an unknown node' "'gpu'.*valid.*disk" '' 'gpu { };'
bad_manifest 'a manifest with an unknown property' 'colour.*valid.*nidus,name' 'nidus,colour = "red";' ''
bad_manifest 'a manifest with an unknown property of a disk' 'speed.*valid.*queues' \
	'' 'disk-0 { compatible = "nidus,disk"; path = "x"; speed = <9>; };'
bad_manifest 'a manifest with an unknown property of a unit' 'speed.*valid.*pasid-num-bits' \
	'' 'vtd-0 { compatible = "nidus,vtd"; speed = <9>; };'
bad_manifest 'a manifest with a bad value of a unit' "aw.*'40'.*39, 48 or 57" \
	'' 'vtd-0 { compatible = "nidus,vtd"; aw = <40>; };'
bad_manifest 'a manifest with 65 queues of sdma' '65.*1 to 64' \
	'' 'sdma-0 { compatible = "nidus,sdma"; queues = <65>; };'
bad_manifest 'a manifest with 65 CPUs' "65.*1 to 64" '' 'cpus { nidus,count = <65>; };'
bad_manifest 'a manifest with a string for a number' 'number' '' 'cpus { nidus,count = "two"; };'
bad_manifest 'a manifest with a number for a string' 'string' 'nidus,name = <1>;' ''
bad_manifest 'a manifest with memory in two parts' 'range' \
	'#address-cells = <2>; #size-cells = <2>;' 'memory@0 { reg = <0 0 0 0x1000000 1 0 0 0x1000000>; };'
source_of '' 'vtd-0 { compatible = "nidus,vtd"; nested = "on"; first-stage = "off"; };' | blob unit.dtb
refused 'a manifest with a unit that contradicts itself' 'vtd 0: nested=on needs first-stage' run -f "$W/unit.dtb"
printf '/dts-v1/; / { compatible = "acme,board"; };' | blob board.dtb
manifest 'a manifest of something else' 'nidus,vm' "$W/board.dtb"

# --- What is running is not disturbed ---

start first -k "$W/good" -m 16M --name first -d "$W/disk.img"
until_true test -S "$XDG_RUNTIME_DIR/nidus/first.sock"
"$NIDUS" run -k "$W/good" -m 16M --name first </dev/null >"$W/said.out" 2>"$W/said.err"
is 'a name that is taken' "$? $(wc -l <"$W/said.err")" '2 1'
like 'a name that is taken: the message' "$(cat "$W/said.err")" "first.*(runs|name)"
"$NIDUS" stats nobody >"$W/said.out" 2>"$W/said.err"
is 'stats of a VM that does not run' "$? $(grep -c "'nobody'.*first" "$W/said.err")" '1 1'
"$NIDUS" trace nobody disk0 >"$W/said.out" 2>"$W/said.err"
is 'trace of a VM that does not run' "$? $(grep -c "'nobody'.*first" "$W/said.err")" '1 1'
"$NIDUS" trace first disk0 >"$W/said.out" 2>"$W/said.err"
is 'trace of a VM without a unit' "$? $(wc -l <"$W/said.err")" '1 1'
"$NIDUS" stop nobody >"$W/said.out" 2>"$W/said.err"
is 'stop of a VM that does not run' "$? $(grep -c "'nobody'.*first" "$W/said.err")" '1 1'
holds 'the VM of that name runs on' "$NIDUS" stats first
holds 'and is stopped' "$NIDUS" stop first
ended first 5 'and says so'
done_testing
