# SPDX-License-Identifier: GPL-2.0-or-later
"""What /proc tells of a VMM: its memory beside guest RAM, and its processor time by thread."""

import os
import re
import select
import subprocess
import time

from vmms import MEMORY_MIB

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
MARK = b"\x02"


def memory_kib(pid):
    """RSS and PSS of everything but the mappings of guest RAM, in KiB."""
    mappings, ram_names = [], set()
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)", line)
            if head:
                size = int(head[2], 16) - int(head[1], 16)
                mappings.append({"size": size, "name": head[3].strip(), "Rss": 0, "Pss": 0})
            else:
                field = re.match(r"(Rss|Pss): +(\d+) kB", line)
                if field:
                    mappings[-1][field[1]] = int(field[2])
    # Nothing else is nearly as large and has been touched.
    large = [m for m in mappings if m["size"] >= MEMORY_MIB << 19 and m["Rss"]]
    ram_names = {m["name"] for m in large if m["name"]}
    rest = [m for m in mappings if m not in large and m["name"] not in ram_names]
    if not large:
        raise RuntimeError("guest RAM is not among the mappings")
    return sum(m["Rss"] for m in rest), sum(m["Pss"] for m in rest)


class Times:
    """Processor time of a process in ns: I/O and other threads exactly, vCPUs' share by ticks."""

    def __init__(self, pid, vcpu):
        self.io, self.host = {}, 0
        for tid in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{tid}/stat") as stat:
                    text = stat.read()
                with open(f"/proc/{pid}/task/{tid}/schedstat") as schedstat:
                    running = int(schedstat.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue
            name = text[text.index("(") + 1:text.rindex(")")]
            fields = text[text.rindex(")") + 2:].split()
            if name.startswith(vcpu):
                # utime has guest_time in it.
                self.host += (int(fields[11]) + int(fields[12]) - int(fields[40])) * TICK_NS
            else:
                self.io[tid] = running

    def io_since(self, before):
        return sum(ns - before.io.get(tid, 0) for tid, ns in self.io.items())

    def host_since(self, before):
        """With the vCPU threads' time outside of the guest, as far as ticks can tell."""
        return self.io_since(before) + self.host - before.host


class Guest:
    """A running VMM, and the lines its guest says."""

    def __init__(self, vmm, command, seconds, stdin=subprocess.DEVNULL):
        self.vmm, self.deadline, self.rest = vmm, time.monotonic() + seconds, b""
        self.ended = False
        self.process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        # One that ends by itself is let; then a moment for the kernel, which closes what an
        # io_uring held, a disk or a tap, after the process is gone.
        try:
            self.process.wait(5 if self.ended else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        time.sleep(0.5)
        self.process.stdout.close()
        self.process.stderr.close()

    def read(self):
        """More output; False at its end."""
        left = self.deadline - time.monotonic()
        if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
            raise RuntimeError("the guest did not finish in time")
        data = os.read(self.process.stdout.fileno(), 4096)
        self.rest += data
        self.ended = not data
        return bool(data)

    def wait_mark(self):
        while MARK not in self.rest:
            if not self.read():
                raise RuntimeError("the VMM ended: " + self.complaint())

    def lines(self):
        while True:
            line, newline, rest = self.rest.partition(b"\n")
            if newline:
                self.rest = rest
                yield line.decode(errors="replace").strip()
            elif not self.read():
                return

    def complaint(self):
        return self.process.stderr.read().decode(errors="replace").strip()[-300:] or "silently"

    def times(self):
        return Times(self.process.pid, self.vmm.vcpu)
