# SPDX-License-Identifier: GPL-2.0-or-later
"""The sdma device in a guest, driven by sdma-perf (guest-tests/linux/tools/perf.c).

Times: copies between pages of one process by shared virtual addressing, with translations that the
device has (warm), that it has to ask for (cold), and into pages that do not exist yet (faulting);
page requests; binding. And the kernel's own copies behind other kinds of translation.

And what one operation costs the VMM: from `nidus stats` before and after a number of operations and
twice that number, so that what comes once falls out. That is exact whatever the clock is.
"""

import json
import os
import re
import subprocess

from sample import Guest

NAME = "bench-sva"
# The guest runs sdma-perf with the words of each line of its console.
CONSOLE = "console=ttyS0 quiet loglevel=0 panic=-1"
LOOP = 'nidus.cmd="stty -echo; echo ready; while read w; do sdma-perf $w; echo done $?; done"'

# What the guest's kernel gets, and how it lets the device reach memory then.
FIRST = ("first stage", ["--vtd"])
SECOND = ("second stage", ["--vtd", "first-stage=off"])
LEGACY = ("legacy mode", ["--vtd", "scalable=off"])
NONE = ("no IOMMU", [])

# Bytes of copies whose instructions are counted; of the last, no faults: that would take minutes.
COUNTED = (64, 4096, 65536, 1 << 20)

# Operations that are counted: of sdma-perf, and for people; and those that need no SVA.
SVA_PARTS = (("warm", "4 KiB copy, warm"), ("cold", "4 KiB copy, cold"),
             ("faulting", "4 KiB copy, faulting"), ("request", "page request"),
             ("bind", "unbind and bind"))
KERNEL_PARTS = (("coherent", "4 KiB copy of the kernel, coherent"),
                ("streaming", "4 KiB copy of the kernel, mapped each time"))


def command(bench, units, words):
    return [bench.vmms[0].program, "run", "--name", NAME, "-k", "vmlinux", "-i", "guest-sdma.cpio",
            "-m", "512M", "--no-rng", "-p", words, "--sdma", "queues=2"] + units


class Session:
    """A guest that does what it is told, one sdma-perf at a time."""

    def __init__(self, bench, units):
        self.program = bench.vmms[0].program
        self.guest = Guest(bench.vmms[0], command(bench, units, f"{CONSOLE} {LOOP}"), 150,
                           stdin=subprocess.PIPE)
        self.lines = self.guest.lines()

    def __enter__(self):
        self.until("ready")
        return self

    def __exit__(self, *error):
        self.guest.__exit__(*error)

    def until(self, regex):
        """The lines before the first that matches."""
        before = []
        for line in self.lines:
            if re.fullmatch(regex, line):
                return before, line
            before.append(line)
        raise RuntimeError(f"the guest ended: {before[-3:]} {self.guest.complaint()}")

    def perf(self, words):
        self.guest.process.stdin.write(words.encode() + b"\n")
        self.guest.process.stdin.flush()
        said, end = self.until(r"done \d+")
        if end != "done 0":
            raise RuntimeError(f"sdma-perf {words}: {said[-3:]} {end}")
        return said

    def counters(self):
        run = subprocess.run([self.program, "stats", NAME, "--json"], stdout=subprocess.PIPE,
                             timeout=20, check=True)
        groups = json.loads(run.stdout)
        unit = groups.get("vtd0", {})
        return {
            # The console's are not the device's.
            "exits": sum(g["mmio"] for n, g in groups.items() if n.startswith("vcpu")),
            "walks": unit.get("walks", 0),
            "invalidations": sum(n for name, n in unit.items() if name.startswith("invalidate_")
                                 and name != "invalidate_ns"),
            "waits": unit.get("waits", 0),
            "page requests": unit.get("page_requests", 0),
        }

    def costs(self, part, count):
        """What one operation of @part costs."""
        taken = [self.counters()]
        for n in (count, 2 * count):
            self.perf(f"--only {part} --count {n} --interrupts")
            taken.append(self.counters())
        return {what: (taken[2][what] - 2 * taken[1][what] + taken[0][what]) / count
                for what in taken[0]}


def number_of(said, key):
    """What sdma-perf --json has said of @key."""
    return float(re.search(rf'"{key}": ([0-9.]+)', " ".join(said))[1])


def cost_row(bench, name, us):
    unit, value = ("instructions", us * 1000 / 2) if bench.counting else ("us", us)
    bench.row(name, unit, [value])


def request_rows(bench, said):
    cost_row(bench, "sdma page request, sent to answered", number_of(said, "page_request_us"))
    cost_row(bench, "sdma first touch of a page", number_of(said, "first_touch_us"))


def bind_row(bench, said):
    cost_row(bench, "sdma unbind and bind of a PASID", 1e6 / number_of(said, "bind_per_s"))


def kernel_row(bench, said, part, name, where):
    cost_row(bench, f"sdma {name}, {where}", number_of(said, f"kernel_{part}_us"))


# --- By the clock ---

def copies(bench, session, words):
    said = session.perf(words)
    for row in json.loads("\n".join(said))["copies"]:
        name = f"sdma copy by SVA, {size_name(row['bytes'])}"
        for what in ("warm", "cold", "faulting"):
            cost_row(bench, f"{name}, {what}", row[f"{what}_ns"] / 1000)
        bench.row(f"{name}, ring never empty", "MB/s", [row["queued_mb_s"]])
    request_rows(bench, said)
    bind_row(bench, said)


def operations(bench, session, parts, where):
    """What operations cost the VMM; that there is none is said of what need not be."""
    count = 10 if bench.quick else 25
    for part, name in parts:
        for what, number in session.costs(part, count).items():
            if what in ("exits", "walks") or number:
                bench.row(f"sdma {name}, {where}: {what}", "each", [number])


def measure(bench, where, units):
    os.makedirs("run", mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")
    words = f"--json --ms {5 if bench.quick else 30}"
    with Session(bench, units) as session:
        if where == FIRST[0]:
            copies(bench, session, words)
            operations(bench, session, SVA_PARTS, where)
        for part, name in KERNEL_PARTS:
            kernel_row(bench, session.perf(f"{words} --only {part}"), part, name, where)
        operations(bench, session, KERNEL_PARTS[1:], where)


# --- By instructions: one CPU does everything, so who waits has to sleep ---

def once(bench, units, script):
    """{what the script calls it: what sdma-perf said} of a guest that runs it and ends."""
    said, name = {}, None
    words = f'{CONSOLE} nidus.cmd="p() {{ echo begin $*; sdma-perf --json --interrupts --count 9 --only $*; }}; {script}"'
    with Guest(bench.vmms[0], command(bench, units, words), 120) as guest:
        for line in guest.lines():
            if line.startswith("begin "):
                name = line[6:]
            said.setdefault(name, []).append(line)
    return said


def count(bench, where, units):
    script = "p coherent; p streaming"
    if where == FIRST[0]:
        sizes = " ".join(str(size) for size in COUNTED)
        script += f"; p request; p bind; for s in {sizes}; do p warm --size $s; p cold --size $s; done"
        script += f"; for s in {' '.join(str(size) for size in COUNTED[:-1])}; do p faulting --size $s; done"
    for words, said in once(bench, units, script).items():
        part, *rest = (words or "none").split()
        if part == "request":
            request_rows(bench, said)
        elif part == "bind":
            bind_row(bench, said)
        elif part in dict(KERNEL_PARTS):
            kernel_row(bench, said, part, dict(KERNEL_PARTS)[part], where)
        elif rest:
            cost_row(bench, f"sdma copy by SVA, {size_name(int(rest[1]))}, {part}",
                     number_of(said, part))


def size_name(size):
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} B"


def steps(bench):
    for where, units in (FIRST, SECOND, LEGACY, NONE):
        yield (f"sdma, {where}", count if bench.counting else measure, bench, where, units)
