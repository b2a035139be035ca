#!/bin/bash
# virtio-blk: what is written is read back, from queues in parallel, after the VMM was killed, and
# when the host says no; discard frees space; nobody else can write.
. "$(dirname "$0")/lib.sh"

sum() {
	sha256sum "$1" | cut -d' ' -f1
}

allocated() { # KiB on the host
	du -k "$1" | cut -f1
}

# A real file system of the host, for O_DIRECT and for holes.
host_fs() {
	truncate -s 400M "$W/host.img"
	mkfs.ext4 -q "$W/host.img"
	mkdir "$W/host"
	mount -o loop "$W/host.img" "$W/host"
	at_end "umount '$W/host'"
}

make_images() {
	truncate -s 96M "$W/vda" && mkfs.ext4 -q "$W/vda"
	head -c 32M /dev/urandom >"$W/host/vdb"
	head -c 4M /dev/urandom >"$W/vdc"
	mkdir "$W/tiny" && mount -t tmpfs -o size=4M tiny "$W/tiny" && at_end "umount '$W/tiny'"
	truncate -s 64M "$W/tiny/vdd"
	truncate -s 16M "$W/vde"
	loop=$(losetup -f --show "$W/vde") && at_end "losetup -d $loop"
	truncate -s 16M "$W/host/vdf"
}

host_fs
make_images
kept=$(tail -c 16M "$W/host/vdb" | sha256sum)
vdc=$(sum "$W/vdc")
before=$(allocated "$W/host/vdb")

add_program disks blkdiscard
script disks <<'GUEST'
queue=/sys/block/vda/mq
set -- $queue/*
echo "queues $#"
echo "serial $(cat /sys/block/vda/serial)"
echo "size $(cat /sys/block/vda/size)"
echo "cache $(cat /sys/block/vda/queue/write_cache)"

mkdir /mnt && mount -t ext4 /dev/vda /mnt
write_file() {
	dd if=/dev/urandom of=/mnt/$1 bs=64k count=96 2>/dev/null
	sha256sum /mnt/$1 >/tmp/$1.sum
}
jobs=""
for j in 1 2 3 4; do write_file $j & jobs="$jobs $!"; done
wait $jobs
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 /dev/vda /mnt
cat /tmp/*.sum >/mnt/sums
sha256sum -c /mnt/sums >/dev/null && echo "integrity good"
umount /mnt

/programs/blkdiscard -o 0 -l $((8 << 20)) /dev/vdb && echo "discard good"
/programs/blkdiscard -z -o $((8 << 20)) -l $((8 << 20)) /dev/vdb && echo "zeroes good"
echo "nonzero $(dd if=/dev/vdb bs=1M count=16 iflag=direct 2>/dev/null | tr -d '\0' | wc -c)"

echo "ro $(cat /sys/block/vdc/ro)"
dd if=/dev/zero of=/dev/vdc bs=4k count=1 conv=fsync 2>/dev/null || echo "rowrite refused"

dd if=/dev/zero of=/dev/vdd bs=1M count=32 oflag=direct 2>/tmp/full || echo "full refused"
echo "fullerror $(grep -c -E 'No space|I/O error|Input/output' /tmp/full)"

dd if=/dev/urandom of=/tmp/e bs=1M count=8 2>/dev/null
dd if=/tmp/e of=/dev/vde bs=1M conv=fsync 2>/dev/null
echo "loop $(sha256sum </tmp/e)"
dd if=/tmp/e of=/dev/vdf bs=1M oflag=direct 2>/dev/null
echo "direct $(dd if=/dev/vdf bs=1M count=8 iflag=direct 2>/dev/null | sha256sum)"
dd if=/dev/vda of=/dev/null bs=1M count=4 iflag=direct 2>/dev/null && echo "lives yes"
GUEST
linux disks -c 4 -m 256M -d "$W/vda,queues=4,serial=NIDUS-0123456789" -d "$W/host/vdb" \
	-d "$W/vdc,ro" -d "$W/tiny/vdd" -d "$loop" -d "$W/host/vdf,direct"
finish disks
is 'six disks: the guest ends by itself' "$STATUS" 0 || show disks
is 'queues=4: a guest with four CPUs has four queues' "$(said disks queues)" 4
is 'serial= is what get-id answers' "$(said disks serial)" NIDUS-0123456789
is 'the disk has the size of its image' "$(said disks size)" $((96 << 11))
is 'the disk has a write-back cache, so the guest flushes' "$(said disks cache)" 'write back'
is 'four writers at once: every byte is read back after a remount and without caches' \
	"$(said disks integrity)" good
holds 'the file system on the image is clean' e2fsck -fn "$W/vda"
mkdir "$W/look" && mount -o loop,ro "$W/vda" "$W/look"
holds 'the image holds what the guest wrote' \
	sh -c "sed 's|/mnt/|$W/look/|' '$W/look/sums' | sha256sum --strict -c"
umount "$W/look"
is 'discard is taken' "$(said disks discard)" good
is 'write-zeroes is taken' "$(said disks zeroes)" good
is 'both leave zeroes' "$(said disks nonzero)" 0
sync "$W/host/vdb"
holds "discard gives space back to the host ($before KiB before, $(allocated "$W/host/vdb") after)" \
	test "$(allocated "$W/host/vdb")" -le $((before - 8000))
is 'what was not discarded is as it was' "$(tail -c 16M "$W/host/vdb" | sha256sum)" "$kept"
is 'ro: the guest sees a read-only disk' "$(said disks ro)" 1
is 'ro: a write is refused' "$(said disks rowrite)" refused
is 'ro: the image is as it was' "$(sum "$W/vdc")" "$vdc"
is 'a full host disk fails the write' "$(said disks full)" refused
is 'a full host disk is an I/O error in the guest' "$(said disks fullerror)" 1
is 'after that the VM lives and does I/O' "$(said disks lives)" yes
want=$(head -c 8M "$W/vde" | sha256sum)
is 'a block device of the host is a disk' "$(said disks loop)" "$want"
is 'direct: the image holds what the guest wrote' "$(said disks direct)" \
	"$(head -c 8M "$W/host/vdf" | sha256sum)"
is 'direct: and it is the right data' "$(said disks direct)" "$want"

# --- Killed while the guest writes and flushes; then the lock, with a writer that lives. ---

truncate -s 64M "$W/image"
script killed <<'GUEST'
i=0
while :; do
	yes "block $i" | head -c 65536 >/tmp/block
	dd if=/tmp/block of=/dev/vda bs=64k seek=$((i % 1024)) conv=fsync,notrunc 2>/dev/null || exit
	echo "flushed $i"
	i=$((i + 1))
done
GUEST

# Every block that the guest was told is on the disk is there.
all_there() {
	local i n=0
	for i in $(tr -d '\r' <"$W/killed.out" | sed -n 's/^flushed \([0-9]*\)$/\1/p'); do
		cmp -s <(yes "block $i" | head -c 65536) \
			<(dd if="$W/image" bs=64k skip="$i" count=1 2>/dev/null) || return 1
		n=$((n + 1))
	done
	echo "$n blocks"
	((n >= 30 && n < 1024))
}

export XDG_RUNTIME_DIR=$W
linux killed -m 128M -d "$W/image" --name writer
wait_line killed '^flushed 10'
"$NIDUS" run -k "$KERNEL" -m 64M -d "$W/image" --name second </dev/null >"$W/second.out" 2>"$W/second.err"
is 'two writers of one image: the second is refused as a bad value' "$?" 2
like 'two writers: the message names image and reason' "$(cat "$W/second.err")" \
	"$W/image.*(lock|use|VM)"
is 'two writers: one line of it' "$(wc -l <"$W/second.err")" 1
"$NIDUS" run -k "$KERNEL" -m 64M -d "$W/image,ro" </dev/null >"$W/second.out" 2>"$W/second.err"
is 'a reader beside a writer is refused too' "$?" 2
wait_line killed '^flushed 30'
holds 'the first writer goes on meanwhile' alive killed
flushes=$("$NIDUS" stats writer | sed -n 's/.* flushes=\([0-9]*\).*/\1/p' | head -n 1)
holds "stats counts the flushes of the guest (${flushes:-none})" test "${flushes:-0}" -ge 30
kill -KILL "${PID[killed]}"
finish killed
is 'kill -9 ends the VM' "$STATUS" 137
holds 'what flush acknowledged before kill -9 is on the image' all_there

script again <<'GUEST'
echo "first $(head -c 7 /dev/vda)"
GUEST
linux again -m 128M -d "$W/image" --name writer
ended again 0 'after kill -9 the image is free, and so is the name'
is 'the next guest reads what the killed one wrote' "$(said again first)" 'block 0'

script shared <<'GUEST'
echo "shared"
read never
GUEST
mkfifo "$W/open"
IN=$W/open
exec {hold}<>"$W/open"
linux shared -m 128M -d "$W/image,ro"
IN=/dev/null
wait_line shared '^shared'
linux again -m 128M -d "$W/image,ro"
ended again 0 'two readers share an image'
kill -TERM "${PID[shared]}"
finish shared
done_testing
