# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines of what is compared: nidus, QEMU's microvm and QEMU's q35.

QEMU gets what makes it fast here: KVM, no default devices, an iothread with io_uring for the disk,
the small microvm binary and qboot where it has them, no ACPI for a microvm that need not power off.
"""

import os

MEMORY_MIB = 256


def qemu_words(name):
    """The words that start a QEMU of the lab's tree: in the lab it is the host's own."""
    root = os.environ.get("BENCH_TREE")
    if not root:
        return [name]
    libraries = f"{root}/usr/lib/x86_64-linux-gnu"
    os.environ["QEMU_MODULE_DIR"] = f"{libraries}/qemu"
    return [f"{root}/usr/lib64/ld-linux-x86-64.so.2", "--inhibit-cache", "--library-path",
            f"{libraries}:{libraries}/ceph:{root}/usr/lib", f"{root}/usr/bin/{name}",
            "-L", f"{root}/usr/share/qemu", "-L", f"{root}/usr/share/seabios"]


class Nidus:
    name = "nidus"
    vcpu = "vcpu"  # how its vCPU threads' names begin

    def __init__(self, program):
        self.program = program

    def command(self, kernel, words, initrd=None, disk=None, tap=None, exit_port=False, vhost=False,
                iommu=False):
        command = [self.program, "run", "-k", kernel, "-m", str(MEMORY_MIB), "--no-rng"]
        command += ["--vtd", "--edu"] if iommu else []
        command += ["-i", initrd] if initrd else []
        command += ["-p", words] if words else []
        command += ["-d", disk] if disk else []
        command += ["-n", f"tap={tap}"] if tap else []
        command += ["--exit-port"] if exit_port else []
        return command


class Qemu:
    vcpu = "CPU "
    program = "qemu-system-x86_64"
    bus = "pci"

    def machine(self, devices, iommu):
        raise NotImplementedError

    def words(self, words, devices):
        return words

    def command(self, kernel, words, initrd=None, disk=None, tap=None, exit_port=False, vhost=False,
                iommu=False):
        devices = bool(disk or tap)
        behind = ",iommu_platform=on,disable-legacy=on" if iommu else ""
        command = qemu_words(self.program)
        command += ["-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", str(MEMORY_MIB),
                    "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                    "-name", "bench,debug-threads=on", "-serial", "stdio", "-kernel", kernel]
        command += self.machine(devices, iommu)
        command += ["-append", self.words(words, devices)] if words else []
        command += ["-initrd", initrd] if initrd else []
        if disk:
            command += ["-object", "iothread,id=io",
                        "-drive", f"if=none,id=d,format=raw,file={disk},aio=io_uring,cache=writeback",
                        "-device", f"virtio-blk-{self.bus},drive=d,iothread=io,num-queues=1{behind}"]
        if tap:
            command += ["-netdev", f"tap,id=n,ifname={tap},script=no,downscript=no,"
                        f"vhost={'on' if vhost else 'off'}",
                        "-device", f"virtio-net-{self.bus},netdev=n{behind}"]
        return command


class Microvm(Qemu):
    """The RTC stays: without it this kernel waits seconds for one."""
    name = "QEMU microvm"
    bus = "device"
    program = "qemu-system-x86_64-microvm"

    def machine(self, devices, iommu):
        if iommu:
            raise NotImplementedError("a microvm has no IOMMU")
        return ["-M", "microvm,acpi=off,pit=off,pic=off,rtc=on,isa-serial=on,auto-kernel-cmdline=on",
                "-global", "virtio-mmio.force-legacy=false"]

    def words(self, words, devices):
        # Without ACPI its way to end is a reset.
        return f"{words} end=reset reboot=t"


class Q35(Qemu):
    name = "QEMU q35"

    def machine(self, devices, iommu):
        words = ["-M", "q35,vmport=off,hpet=off,smbus=off,sata=off" +
                 (",kernel-irqchip=split" if iommu else "")]
        if iommu:
            # Its fastest: first-stage tables, which need no caching mode, and remapped interrupts.
            words += ["-device", "intel-iommu,intremap=on,x-scalable-mode=on,x-flts=on",
                      "-device", "edu"]
        return words
