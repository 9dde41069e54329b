"""A badge for a README: an SVG that needs no other file and no network."""

from __future__ import annotations

from conformance.engine.verdict import Verdict
from conformance.results.record import Record

CHAR, PAD = 6.6, 8  # the width of a character of the 11-pixel font, and the space at both ends, in pixels
COLOURS = {0: "#2da44e", 1: "#cf222e"}
OTHER = "#9a6700"


def make(record: Record) -> str:
    """`conformance | 1359 of 1359`, green only if the run was whole and every case passed."""
    counts = record.footer["counts"]
    good = sum(number for verdict, number in counts.items() if Verdict(verdict).good)
    label, value = f"{record.header['of']} conformance", f"{good} of {record.footer['cases']}"
    left, right = len(label) * CHAR + 2 * PAD, len(value) * CHAR + 2 * PAD
    colour = COLOURS.get(record.footer["exit"], OTHER)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" height="20" role="img" \
aria-label="{label}: {value}"><title>{label}: {value}</title>
<clipPath id="r"><rect width="{left + right:.0f}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{left:.0f}" height="20" fill="#444"/>\
<rect x="{left:.0f}" width="{right:.0f}" height="20" fill="{colour}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">\
<text x="{left / 2:.1f}" y="14">{label}</text><text x="{left + right / 2:.1f}" y="14">{value}</text></g></svg>
"""
