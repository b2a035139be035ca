# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures on the host H, in the directory of the programs: bench.py PHASE OUTPUT [quick].

Phases: `time` (seconds of a clock), `count` (the clock counts instructions: the lab with --icount);
`vtd-time` and `vtd-count`, the same for guests behind an IOMMU (vtd_guest.py); `sva`, the sdma
device (sva_guest.py).
Each appends its rows to OUTPUT as it gets them, a JSON object a line; a measurement that fails
becomes a row that says so. `report OUTPUT...` prints the table and writes bench.json.
"""

import json
import os
import statistics
import subprocess
import sys
import time

from sample import Guest, memory_kib
from vmms import Microvm, Nidus, Q35
import sva_guest
import vtd_guest

QUIET = "quiet loglevel=0"
DISK_MIB = 128
NAMESPACE = "nidus-bench"
NS_PER_INSTRUCTION = 2  # the lab's --icount shift=1


class Bench:
    def __init__(self, phase, output, quick):
        self.counting = phase.endswith("count")
        self.vtd, self.sva = phase.startswith("vtd-"), phase == "sva"
        self.metal = os.environ.get("NIDUS_TIER") == "metal"
        self.output, self.quick = output, quick
        self.vmms = [Nidus("./nidus"), Microvm(), Q35()]
        self.deadline = time.monotonic() + float(os.environ.get("BENCH_SECONDS", "1e6"))

    def suffix(self):
        return ", counted" if self.counting else ""

    def row(self, name, unit, samples, peer="", peer_samples=(), target="", met=None, note=""):
        """One row. @met decides on (value, peer_value) whether the target is met."""
        value, peer_value = middle(samples), middle(peer_samples)
        self.write({
            "name": name + self.suffix(), "unit": unit, "value": value, "peer": peer or None,
            "peer_value": peer_value, "ratio": ratio(value, peer_value), "target": target or None,
            "met": met(value, peer_value) if met and value is not None else None,
            "samples": list(samples), "peer_samples": list(peer_samples), "note": note,
        })

    def write(self, row):
        with open(self.output, "a") as output:
            output.write(json.dumps(row) + "\n")

    def attempt(self, name, measurement, *arguments):
        """A measurement that fails must not lose the others."""
        say(name)
        try:
            return measurement(*arguments)
        except (OSError, RuntimeError, ValueError, KeyError, IndexError,
                subprocess.SubprocessError) as error:
            say(f"{name}: {error}")
            self.write({"name": name + self.suffix(), "error": str(error), "met": None})
            return None

    # --- Booting ---

    def once(self, command, seconds=60):
        """One run under ./measure; times in ms."""
        run = subprocess.run(["timeout", str(seconds), "./measure"] + command, timeout=seconds + 10,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if run.returncode:
            raise RuntimeError(f"{command[0]}: status {run.returncode}")
        result = json.loads(run.stdout)
        if not result["mark_ns"]:
            raise RuntimeError(f"{command[0]} ended with status {result['status']} before its "
                               f"guest spoke: {run.stderr.decode(errors='replace')[-200:]}")
        return result["mark_ns"] / 1e6, result["end_ns"] / 1e6

    def starts(self, commands, count):
        """Interleaved runs of each command, after one that fills caches: {name: [(mark, end)]}."""
        results = {name: [] for name in commands}
        for i in range(count + 1):
            for name, command in commands.items():
                if i > 1 and time.monotonic() > self.deadline:
                    continue
                try:
                    result = self.once(command)
                    if i:
                        results[name].append(result)
                except (RuntimeError, subprocess.SubprocessError, ValueError) as error:
                    say(f"{name}: {error}")
        return results

    def boot(self, kernel, what):
        words = f"{QUIET} bench=boot"
        count = 1 if self.quick else 3 if self.counting else 5
        results = self.starts({v.name: v.command(kernel, words, initrd="bench.cpio")
                               for v in self.vmms}, count)
        unit = "M instr" if self.counting else "ms"
        scale = 1 / NS_PER_INSTRUCTION if self.counting else 1
        for which, label in ((0, "/init"), (1, "exit")):
            for peer in ("QEMU microvm", "QEMU q35"):
                third = which == 0 and peer == "QEMU microvm"
                self.row(f"exec to {label}, {what}", unit,
                         [r[which] * scale for r in results["nidus"]], peer,
                         [r[which] * scale for r in results[peer]],
                         "a third of the peer's" if third else "",
                         third_of_peer if third else None)

    def first(self):
        count = 3 if self.quick else 9
        commands = {v.name: v.command("first.elf", "", exit_port=True) for v in self.vmms[:2]}
        results = self.starts(commands, count)
        unit = "M instr" if self.counting else "ms"
        scale = 1 / NS_PER_INSTRUCTION if self.counting else 1
        for which, label in ((0, "first guest instruction"), (1, "exit, bare guest")):
            limited = which == 0 and self.metal
            self.row(f"exec to {label}", unit, [r[which] * scale for r in results["nidus"]],
                     "QEMU microvm", [r[which] * scale for r in results["QEMU microvm"]],
                     "10 ms on hardware" if which == 0 else "",
                     (lambda v, p: v <= 10) if limited else None)

    # --- Memory ---

    def memory(self):
        rss, pss = {}, {}
        for vmm in self.vmms:
            command = vmm.command("bzImage", f"{QUIET} bench=idle", initrd="bench.cpio")
            with Guest(vmm, command, 60) as guest:
                guest.wait_mark()
                time.sleep(0.5)
                rss[vmm.name], pss[vmm.name] = memory_kib(guest.process.pid)
        for peer in ("QEMU microvm", "QEMU q35"):
            self.row("memory beside guest RAM, idle (RSS)", "KiB", [rss["nidus"]], peer, [rss[peer]],
                     "4096 KiB", lambda v, p: v <= 4096)
        self.row("memory beside guest RAM, idle (PSS)", "KiB", [pss["nidus"]], "QEMU microvm",
                 [pss["QEMU microvm"]])

    # --- Workloads that the guest frames by lines ---

    def load(self, vmm, command, seconds):
        """{workload: [(rate per s, bytes per s, ops per io second, per host second)]}, KiB at end"""
        results, before, used = {}, None, None
        with Guest(vmm, command, seconds) as guest:
            guest.wait_mark()
            for line in guest.lines():
                words = line.split()
                if words[:1] == ["failed"]:
                    raise RuntimeError(f"{vmm.name}: the guest {line}")
                if words[:1] == ["begin"]:
                    before = guest.times()
                if words[:1] == ["end"]:
                    after = guest.times()
                    used = memory_kib(guest.process.pid)[0]
                    field = dict(word.split("=") for word in words[2:])
                    if int(field["errors"]):
                        raise RuntimeError(f"{vmm.name}: {words[1]}: {field['errors']} errors")
                    ns, ops = int(field["ns"]), int(field["ops"])
                    results.setdefault(words[1], []).append((
                        ops * 1e9 / ns, int(field["bytes"]) * 1e9 / ns,
                        ops * 1e9 / max(after.io_since(before), 1),
                        ops * 1e9 / max(after.host_since(before), 1)))
            if not results:
                raise RuntimeError(f"{vmm.name}: no result: {guest.complaint()}")
        return results, used

    def disk(self):
        results, used = self.disk_load(self.vmms, QUIET)
        for peer in ("QEMU microvm", "QEMU q35"):
            self.disk_rows(results.get("nidus", {}), peer, results.get(peer, {}))
            if used:
                self.row("memory beside guest RAM, after disk load (RSS)", "KiB",
                         listed(used.get("nidus")), peer, listed(used.get(peer)),
                         "4096 KiB", lambda v, p: v <= 4096)

    def disk_load(self, vmms, words, **options):
        """The disk load in each of @vmms: {name: {workload: [...]}}, {name: KiB at the end}."""
        with open("disk.img", "wb") as disk:
            for _ in range(DISK_MIB):
                disk.write(b"\x5a" * (1 << 20))
        ms, runs = (500, 1) if self.quick else (1000, 3)
        words = f"{words} bench=blk depth=32 ms={ms} runs={runs}"
        results, used = {}, {}
        for vmm in vmms:
            say(f"  {vmm.name}")
            try:
                results[vmm.name], used[vmm.name] = self.load(
                    vmm, vmm.command("vmlinux", words, initrd="bench.cpio", disk="disk.img",
                                     **options), 120)
            except (RuntimeError, OSError) as error:
                self.write({"name": f"virtio-blk, {vmm.name}" + self.suffix(), "error": str(error),
                            "met": None})
        os.unlink("disk.img")
        return results, used

    def disk_rows(self, ours, peer, theirs, where=""):
        for name, runs in ours.items():
            other = theirs.get(name, [])
            large = name.endswith("1m")
            which, unit, scale = (1, "MB/s", 1e-6) if large else (0, "ops/s", 1)
            self.row(f"virtio-blk {name}{where}", unit, [r[which] * scale for r in runs], peer,
                     [r[which] * scale for r in other])
            self.row(f"virtio-blk {name}{where}, per CPU s of I/O", "ops", [r[2] for r in runs], peer,
                     [r[2] for r in other], "the peer's",
                     at_least_peer)
            self.row(f"virtio-blk {name}{where}, per CPU s outside the guest", "ops",
                     [r[3] for r in runs], peer, [r[3] for r in other],
                     note="vCPU threads' share by clock ticks")

    def net(self):
        ms, runs = (500, 1) if self.quick else (1000, 2)
        words = f"{QUIET} bench=net ms={ms} runs={runs}"
        results = {}
        ip("netns", "add", NAMESPACE)
        try:
            ip("-n", NAMESPACE, "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr")
            ip("-n", NAMESPACE, "address", "add", "192.0.2.1/24", "dev", "tap0")
            ip("-n", NAMESPACE, "link", "set", "tap0", "up")
            inside = ["ip", "netns", "exec", NAMESPACE]
            with subprocess.Popen(inside + ["./netpeer"]) as peer:
                for vmm, vhost, name in self.net_variants():
                    command = vmm.command("vmlinux", words, initrd="bench.cpio", tap="tap0",
                                          vhost=vhost)
                    try:
                        results[name] = self.load(vmm, inside + command, 60)[0]
                    except (RuntimeError, OSError) as error:
                        self.write({"name": f"virtio-net, {name}" + self.suffix(),
                                    "error": str(error), "met": None})
                peer.terminate()
        finally:
            ip("netns", "delete", NAMESPACE)
        for name in list(results)[1:]:
            self.net_rows(results.get("nidus", {}), name, results[name])

    def net_variants(self):
        nidus, microvm, q35 = self.vmms
        variants = [(nidus, False, nidus.name), (microvm, False, microvm.name),
                    (q35, False, q35.name)]
        if os.path.exists("/dev/vhost-net"):
            variants.append((q35, True, "QEMU q35 vhost"))
        return variants

    def net_rows(self, ours, peer, theirs):
        for name, runs in ours.items():
            which, unit, scale = (0, "round trips/s", 1) if name == "rr" else (1, "MB/s", 1e-6)
            other = theirs.get(name, [])
            self.row(f"virtio-net {name}", unit, [r[which] * scale for r in runs], peer,
                     [r[which] * scale for r in other])

    # --- Without a guest ---

    def sizes(self):
        root = os.environ.get("BENCH_TREE", "")
        size = os.path.getsize("nidus-static")
        for program in ("qemu-system-x86_64-microvm", "qemu-system-x86_64"):
            self.row("size of nidus-static, stripped", "bytes", [size],
                     f"{program} (dynamic)", [os.path.getsize(f"{root}/usr/bin/{program}")],
                     "1 MiB", lambda v, p: v < 1 << 20)

    def micro(self):
        run = subprocess.run(["./micro"], stdout=subprocess.PIPE, timeout=60, check=True, text=True)
        scale = 1 / NS_PER_INSTRUCTION if self.counting else 1
        for line in run.stdout.splitlines():
            ns, name = line.split(" ", 1)
            self.row(name, "instructions" if self.counting else "ns", [float(ns) * scale])

    def run(self):
        if self.vtd:
            self.take(vtd_guest.steps(self))
            return
        if self.sva:
            self.take(sva_guest.steps(self))
            return
        steps = [
            ("exec to /init, vmlinux", self.boot, "vmlinux", "vmlinux by PVH"),
            ("exec to /init, bzImage", self.boot, "bzImage", "bzImage"),
            ("exec to first guest instruction", self.first),
        ]
        if self.counting or self.metal:
            steps.append(("paths in C", self.micro))
        if not self.counting:
            # Not with a clock that counts: under disk load in a guest it stands still (QEMU 10).
            steps += [("size of nidus-static", self.sizes),
                      ("memory beside guest RAM", self.memory), ("virtio-blk", self.disk),
                      ("virtio-net", self.net)]
        self.take(steps)

    def take(self, steps):
        for name, *measurement in steps:
            if time.monotonic() > self.deadline:
                self.write({"name": name + self.suffix(), "error": "no time left", "met": None})
            else:
                self.attempt(name, *measurement)


# --- Helpers ---

def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=20)


def listed(value):
    return [] if value is None else [value]


def middle(samples):
    return statistics.median(samples) if samples else None


def third_of_peer(value, peer_value):
    return None if peer_value is None else value <= peer_value / 3


def at_least_peer(value, peer_value):
    return None if peer_value is None else value >= peer_value


def ratio(value, peer_value):
    return value / peer_value if value is not None and peer_value else None


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def spread(samples):
    """Half the range of the samples, relative to their median."""
    if len(samples) < 2 or not middle(samples):
        return ""
    return f"±{50 * (max(samples) - min(samples)) / middle(samples):.0f}%"


# --- The table ---

def verdict(row):
    return {True: "met", False: "MISSED", None: ""}[row["met"]]


def report(outputs, path):
    rows = []
    for output in outputs:
        if os.path.exists(output):
            with open(output) as lines:
                rows += [json.loads(line) for line in lines]
    with open(path, "w") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    form = "{:<66} {:>13} {:>5} {:>14}  {:<34} {:>13} {:>5} {:>7}  {} {}"
    print(form.format("measurement", "nidus", "", "", "peer", "", "", "ratio", "target", "").rstrip())
    for row in rows:
        if "error" in row:
            print(f"{row['name']:<66} ERROR: {row['error']}")
            continue
        print(form.format(
            row["name"], number(row["value"]), spread(row["samples"]), row["unit"],
            row["peer"] or "", number(row["peer_value"]) if row["peer"] else "",
            spread(row["peer_samples"]), number(row["ratio"]) if row["ratio"] else "",
            row["target"] or "", verdict(row)).rstrip())
    print("\nEach value is the median of its samples, ± half their range. "
          "'counted' rows: instructions that the host executed, its\nguest's and its kernel's included "
          "(waits count too); 'per CPU s of I/O': all threads of the VMM but the vCPUs.")


def main(arguments):
    if arguments[0] == "report":
        report(arguments[2:], arguments[1])
    else:
        Bench(arguments[0], arguments[1], arguments[2:] == ["quick"]).run()


if __name__ == "__main__":
    main(sys.argv[1:])
