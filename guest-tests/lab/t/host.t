#!/bin/bash
# What every host kernel must do, Debian's stock ones too: run with `lab run --kernel`. Older kernels
# offer less: what a guest needs to find its clock, system calls of io_uring, versions of Landlock.
. "$(dirname "$0")/lib.sh"

release=$(uname -r)
truncate -s 32M "$W/image"
script work <<'GUEST'
echo "cpus $(nproc)"
echo "clock $(cat /sys/devices/system/clocksource/clocksource0/available_clocksource)"
dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=64k conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
echo "disk $(dd if=/dev/vda bs=64k count=64 2>/dev/null | sha256sum)"
echo "data $(sha256sum </tmp/data)"
echo "random $(head -c 16 /dev/hwrng | wc -c)"
GUEST
linux work -c 2 -m 256M -d "$W/image" --name work
ended work 0 "on Linux $release a guest boots, works and powers off"
is "on $release: its CPUs" "$(said work cpus)" 2
like "on $release: it finds KVM's clock" "$(said work clock)" kvm-clock
is "on $release: its disk" "$(said work disk)" "$(said work data)"
is "on $release: its random numbers" "$(said work random)" 16
is "on $release: nothing to report on stderr" "$(cat "$W/work.err")" ''
done_testing
