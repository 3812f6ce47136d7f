"""The report of a soak as text: the verdict first, then what led to it, then the numbers."""

from __future__ import annotations

from z3fold_stress.soak.report import SoakReport
from z3fold_stress.soak.residual import Residual

__all__ = ["as_text", "verdict_lines"]


def verdict_lines(report: SoakReport) -> list[str]:
    """What was found, and the last events around it."""
    if report.status == 4:
        if report.ended:
            return [f"INCONCLUSIVE: {report.ended}; nothing was found so far."]
        if report.checks and not report.idle_workers and report.counts["verified"]:
            return ["INCONCLUSIVE: no watchpoint was ever set: give a smaller --watch-rate."]
        idle = ", ".join(report.idle_workers) or "every worker"
        return [f"INCONCLUSIVE: {idle} did no work, so a pass would mean nothing."]
    if report.status == 0:
        return [
            f"CLEAN: nothing was found in {report.seconds:g} s, "
            f"{report.counts['verified']:,} verified maps and {report.quiet_points} quiet points."
        ]
    lines = [f"FOUND: {report.judgements[0]}"]
    lines += [f"  also: {judgement}" for judgement in report.judgements[1:]]
    shown = [str(f) for f in report.findings if f.text != report.judgements[0].text]
    if shown:
        lines.append("The audit of the arena afterwards:")
        lines += [f"  {line}" for line in shown[:8]]
        if len(shown) > 8:
            lines.append(f"  ... and {len(shown) - 8} more")
    if report.checks:
        lines += report.checks.lines()
    if report.events:
        lines += ["The last events around it:", *(f"  {event}" for event in report.events)]
    return lines


def _rate(n: int, seconds: float) -> str:
    return f"{n:>13,}  {n / seconds:>12,.0f}/s" if seconds else f"{n:>13,}"


def _work(report: SoakReport) -> list[str]:
    c = report.counts
    rows = [
        (
            "allocations",
            c["alloc"],
            f"{c['alloc-headless']:,} headless, {c['alloc-failed']:,} failed",
        ),
        ("frees", c["free"], f"{c['handed-over']:,} of objects that another worker allocated"),
        ("verified maps", c["verified"], f"{c['verified-bytes'] / 2**20:,.0f} MiB compared"),
        ("rewrites", c["rewrite"], ""),
        ("compactions", c["compact"], f"{c['compact-moved']:,} moved an object"),
        ("evictions", c["evict"], f"{c['evict-failed']:,} failed, {c['swap-in']:,} came back"),
        ("pools destroyed", c["pools"], "beside the workers' own"),
        ("migrated pages", c["migrated"], f"of {c['migrate-attempt']:,} attempts"),
    ]
    lines = ["Work done:"]
    for name, n, note in rows:
        lines.append(f"  {name:<16}{_rate(n, report.seconds)}  {note}".rstrip())
    return lines


def _migration(report: SoakReport) -> list[str]:
    c = report.counts
    lines = ["Migration:"]
    if c["migrate-attempt"] and not c["migrated"]:
        why = ", ".join(f"{name} {n:,}" for name, n in report.reasons.items())
        lines.append(f"  NO page was ever migrated, in {c['migrate-attempt']:,} attempts ({why}).")
    lines.append(
        f"  -EAGAIN {c['eagain']:,}, -EBUSY {c['ebusy']:,}, -ENOMEM {c['enomem']:,}; "
        f"put back {c['putback']:,}; longest streak of -EAGAIN {c['longest-streak']}"
    )
    if report.reasons:
        lines.append("  why: " + ", ".join(f"{k} {n:,}" for k, n in report.reasons.items()))
    if report.moved_after:
        after = ", ".join(f"{i}: {n:,}" for i, n in enumerate(report.moved_after) if n)
        lines.append(f"  pages moved after so many retries: {after}")
    if report.refusals:
        lines.append(
            "  not isolated: " + ", ".join(f"{k} {n:,}" for k, n in report.refusals.items())
        )
    return lines


def _time(ns: float) -> str:
    if ns < 1000:
        return f"{ns:.0f} ns"
    return f"{ns / 1000:.1f} us" if ns < 10**6 else f"{ns / 10**6:.1f} ms"


def _locks(report: SoakReport) -> list[str]:
    lines = [
        f"{'Locks:':<14}{'acquired':>14}{'contended':>12}{'mean wait':>11}{'longest':>10}"
        f"{'mean hold':>11}{'longest':>10}"
    ]
    for name, n in report.locks.items():
        lines.append(
            f"  {name:<12}{n.acquired:>14,}{n.contended:>12,}{_time(n.mean_wait_ns):>11}"
            f"{_time(n.longest_wait_ns):>10}{_time(n.mean_hold_ns):>11}"
            f"{_time(n.longest_hold_ns):>10}"
        )
    return lines


def _share(part: float) -> str:
    return f"{100 * part:.2g} %"


def _coverage(told: Residual) -> list[str]:
    """What the run has not seen, honestly."""
    lines = [
        f"Interleavings: {told.kinds:,} kinds of orders in {told.windows:,} windows "
        f"({told.observations:,} observations), {told.singletons:,} of them seen once",
        f"  new in each tenth of the run: {' '.join(map(str, told.discovery))}; in its second half "
        f"{told.new_per_minute:g} a minute",
    ]
    if told.chance is None or told.at_most is None:
        return [*lines, f"  residual risk: not to be told; {told.too_little}"]
    return [
        *lines,
        f"  residual risk: the next order is of a kind not seen yet in about "
        f"{_share(told.chance)} of cases,",
        f"  at most {_share(told.at_most)} (Good-Turing, 95 % confidence), if",
        *(f"    - {assumption}" for assumption in told.assumptions),
    ]


def _rest(report: SoakReport) -> list[str]:
    lines = []
    if report.density:
        d = report.density
        lines.append(
            f"Density: {d['objects']:,.0f} objects in {d['pages']:,.0f} pages, "
            f"{d['objects_per_page']:.2f} a page, {d['used']:.0%} of the bytes used"
        )
    if report.checks:
        lines += report.checks.evidence()
    if report.counts["injected"]:
        lines.append(f"Injected failures: {report.counts['injected']:,}")
    if report.deaths:
        lines.append(
            f"Killed processes: {len(report.deaths)}, of which {report.restarts} outside the "
            "allocator, recovered and started again"
        )
        lines += [f"  {d['text']}" for d in report.deaths if d["sent_by"] != "the run"]
    lines.append("Workers: " + ", ".join(f"{k} {n:,}" for k, n in report.workers.items()))
    if report.dump:
        lines.append(f"Dump: {report.dump}   (z3fold-stress inspect {report.dump})")
    if report.dump_failed:
        lines.append(f"The arena could NOT be saved: {report.dump_failed}")
    lines.append(f"Seed {report.seed}. Again: {report.command}")
    return lines


def as_text(report: SoakReport) -> str:
    """The whole report, for a terminal or a log."""
    parts = [verdict_lines(report), _work(report), _migration(report), _locks(report)]
    if report.coverage is not None and not report.judgements:
        parts.append(_coverage(report.coverage))
    parts.append(_rest(report))
    return "\n".join("\n".join(part) for part in parts) + "\n"
