# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes rows of what vtd_native --json prints (standard input): one a line, on standard output."""

import json
import sys

HIT_NS = 5
FLAT = 2  # the fullest IOTLB may take this much longer than the emptiest


def judge(row, rows):
    """The target of a row, in words, and whether it is met."""
    if row["name"] in ("hit, first stage", "hit, second stage", "hit, nested"):
        return f"{HIT_NS} ns", row["value"] < HIT_NS
    if row["name"].startswith("invalidate a page"):
        least = min(r["value"] for r in rows if r["name"].startswith("invalidate a page"))
        return "flat", row["value"] <= FLAT * least
    return None, None


def main():
    rows = [json.loads(line) for line in sys.stdin]
    for row in rows:
        target, met = judge(row, rows)
        print(json.dumps({
            "name": f"VT-d unit, {row['name']}", "unit": row["unit"], "value": row["value"],
            "peer": None, "peer_value": None, "ratio": None, "target": target, "met": met,
            "samples": [row["best"], row["value"]], "peer_samples": [],
            "note": f"median of {row['runs']} runs; samples: the best one and the median",
        }))


if __name__ == "__main__":
    main()
