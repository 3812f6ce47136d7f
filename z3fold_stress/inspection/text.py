"""An inspection as text for people: a section each, long ones folded unless asked for whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from z3fold_stress._vocabulary import PAGE_SIZE
from z3fold_stress.inspection import Inspection

__all__ = ["page_text", "section_text"]

LEGEND = "# header, 1 first, 2 middle, 3 last, . free, X overlap, @ headless"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], right: str = "") -> list[str]:
    """Aligned columns; those whose header is named in ``right`` (a letter each: r) to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if i < len(right) and right[i] == "r" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(parts).rstrip())
    return lines


def folded(lines: list[str], section: str, most: int | None, what: str) -> list[str]:
    """The first ``most`` lines after the header line of a table, and how many are left out."""
    if most is None or len(lines) <= most + 1:
        return lines
    left = len(lines) - 1 - most
    return [*lines[: most + 1], f"  ... and {left:,} more {what} (--section {section})"]


def _runs(entries: Sequence[Any], most: int = 24) -> str:
    """Numbers of pages in the order of their list, long lists shortened."""
    shown = " ".join(str(entry) for entry in entries[:most])
    left = len(entries) - most
    return shown + (f" ... and {left:,} more" if left > 0 else "")


def overview(view: Inspection, most: int | None) -> list[str]:
    o = view.overview()
    lines = [
        f"  design   {o['design']}, lock kind {o['lock']}, seed {o['seed']}",
        f"  frames   {o['frames']:,} of {PAGE_SIZE} bytes, {o['frames_free']:,} free; "
        f"headers take {o['header_chunks']} chunks",
        f"  slots    {o['slots']:,} objects, {o['slots_free']:,} free",
        f"  tasks    {o['tasks']}, CPUs {o['cpus']}; recorder keeps {o['ring']:,} events a task",
    ]
    if o["objects"]:
        lines.append(f"  table    {o['objects']:,} objects, {o['swap']:,} pages of swap")
    if o["stop"] != "no":
        lines.append(f"  stopped  {o['stop']}")
    if o["written_by"]:
        lines.append(f"  written  by z3fold-stress {o['written_by']}, layout {o['layout_version']}")
    for pool in o["pools"]:
        lines.append(
            f"  pool {pool['pool']}   {pool['state']}: pages_nr {pool['pages_nr']:,}, "
            f"slots_nr {pool['slots_nr']:,}, isolated {pool['isolated']}"
        )
        for name in ("compact_wq", "release_wq"):
            queue = pool[name]
            if queue["running"]:
                lines.append(
                    f"           {name}: {view.who(queue['running_task'])} runs work"
                    + (f" of page {queue['running_page']}" if queue["running_page"] else "")
                )
    return lines


def _said(items: list[dict[str, Any]], section: str, most: int | None) -> list[str]:
    """What was found, the same of several pages in one line."""
    grouped: dict[str, list[Any]] = {}
    for item in items:
        grouped.setdefault(item["says"], []).append(item.get("page_number"))
    lines = []
    for says, numbers in grouped.items():
        known = [number for number in numbers if number is not None]
        times = f", {len(numbers)} times" if len(numbers) > 1 else ""
        pages_ = f", page{'s' if len(known) > 1 else ''} {_runs(known)}" if known else ""
        lines.append(f"  {says}{times}{pages_}")
    if most is not None and len(lines) > most:
        kinds = Counter(item["verdict"] for item in items)
        summary = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
        lines = [*lines[:most], f"  ... in all {summary} (--section {section})"]
    return lines


def verdicts(view: Inspection, most: int | None) -> list[str]:
    return _said(view.verdicts(), "verdicts", most) or ["  none"]


def audit(view: Inspection, most: int | None) -> list[str]:
    return _said(view.audit(), "audit", most) or ["  clean: every invariant holds"]


def tasks(view: Inspection, most: int | None) -> list[str]:
    rows = []
    for task in view.tasks():
        inside = " > ".join(op["op"] for op in task["inside"])
        held = ", ".join(h["lock"] + (" (read)" if h["reader"] else "") for h in task["held"])
        rows.append(
            [
                task["task"],
                task["role"],
                task["pid"],
                task["state"],
                task["cpu"],
                f"{task['operations']:,}",
                inside or "-",
                held or "-",
                task["waits_for"] or "-",
                _runs([m["page"] for m in task["maps"]]) or "-",
            ]
        )
    header = ("task", "role", "pid", "state", "CPU", "operations", "inside", "holds", "waits for")
    lines = table((*header, "pages mapped"), rows, "r r rr")
    if most is None:
        for task in view.tasks():
            for name in ("counters", "reasons", "refusals"):
                if task[name]:
                    told = ", ".join(f"{key} {n:,}" for key, n in task[name].items())
                    lines.append(f"  task {task['task']} {name}: {told}")
        return lines
    return folded(lines, "tasks", max(most, 24), "tasks")


def _lock_lines(view: Inspection, locks: list[dict[str, Any]]) -> list[str]:
    rows = []
    for lock in locks:
        owner = view.who(lock["owner"]) if lock["owner"] else "-"
        if lock["readers"]:
            owner = "readers: " + ", ".join(view.who(task) for task in lock["readers"])
        waiting = ", ".join(view.who(task) for task in lock["waiters"])
        rows.append([lock["lock"], owner, waiting or "-", lock["note"]])
    return table(("lock", "held by", "waited for by", ""), rows)


def locks(view: Inspection, most: int | None) -> list[str]:
    told = view.locks()
    if not told["locks"]:
        return ["  no lock is held, nobody waits"]
    lines = folded(_lock_lines(view, told["locks"]), "locks", most, "locks")
    for wait in told["waits"]:
        owners = ", ".join(view.who(owner) for owner in wait["owners"]) or "nobody"
        lines.append(f"  {view.who(wait['task'])} waits for the {wait['lock']}, held by {owners}")
    if told["cycle"]:
        ring = [*told["cycle"], told["cycle"][0]]
        lines.append("  DEADLOCK: " + " -> ".join(view.who(task) for task in ring))
    return lines


def lists(view: Inspection, most: int | None) -> list[str]:
    rows = []
    torn = []
    for entry in view.lists():
        name = entry["name"] if entry["pool"] is None else f"pool {entry['pool']}, {entry['name']}"
        shown = _runs(entry["entries"], 24 if most else len(entry["entries"])) or "empty"
        rows.append([name, len(entry["entries"]), shown])
        if entry["damage"]:
            torn.append(f"  TORN: {name}, after {len(entry['entries'])}: {entry['damage']}")
    if not rows:
        return ["  none"]
    return torn + folded(table(("list", "pages", "in order"), rows, " r"), "lists", most, "lists")


def _flags(page: dict[str, Any]) -> str:
    return " ".join(page["flags"]) or "-"


def _where(page: dict[str, Any]) -> str:
    return "; ".join(page["lists"]) or "no list"


def pages(view: Inspection, most: int | None) -> list[str]:
    every = view.pages()
    if not every:
        return ["  none is in use"]
    first = set(view.suspects())
    if most is not None:
        every.sort(key=lambda page: page["page"] not in first)
    rows = [
        [
            ("!" if page["page"] in first else "") + str(page["page"]),
            page.get("chunks", page["kind"]),
            page["refcount"],
            page.get("kref", "-"),
            page.get("cpu", "-"),
            page.get("mapped_count", "-"),
            _flags(page),
            _where(page),
        ]
        for page in every
    ]
    header = ("page", f"{'chunks':<64}", "refs", "kref", "CPU", "maps", "flags", "on")
    lines = folded(table(header, rows, "r rrrr"), "pages", most, "pages")
    marked = "; !: a verdict or the audit speaks of it" if first else ""
    return [f"  ({LEGEND}{marked})", *lines]


def _words(slots: dict[str, Any]) -> str:
    return "; ".join(f"[{w['index']}] {w['names']}" for w in slots["words"]) or "empty"


def slots(view: Inspection, most: int | None) -> list[str]:
    rows = []
    for entry in view.slots():
        named = _runs(entry["pages"]) if entry["pages"] else "NO PAGE"
        rows.append([entry["slots"], f"0x{entry['offset']:x}", named, _words(entry)])
    if not rows:
        return ["  none is in use"]
    return folded(table(("slots", "offset", "of page", "words"), rows, "r"), "slots", most, "slots")


def _event_lines(view: Inspection, found: list[dict[str, Any]]) -> list[str]:
    rows = [
        [
            f"{-event['before_end_us'] or 0.0:,.1f}",
            view.who(event["task"]),
            event["op"],
            "-" if event["page"] is None else event["page"],
            event["says"] + (f" = {event['ret']}" if event["ret"] else ""),
        ]
        for event in found
    ]
    return table(("us", "who", "operation", "page", ""), rows, "r  r")


def events(view: Inspection, most: int | None) -> list[str]:
    found = view.events(None, most or 256)
    if not found:
        return ["  none: the recorder was off, or nothing was done"]
    return _event_lines(view, found)


TELLERS: dict[str, tuple[str, Callable[[Inspection, int | None], list[str]]]] = {
    "overview": ("Arena", overview),
    "verdicts": ("Verdicts, recorded while the tasks ran", verdicts),
    "audit": ("Audit of the arena as it is", audit),
    "tasks": ("Tasks", tasks),
    "locks": ("Locks", locks),
    "lists": ("Lists", lists),
    "pages": ("Pages", pages),
    "slots": ("Slots", slots),
    "events": ("Last events", events),
}


def section_text(view: Inspection, section: str, most: int | None = None) -> str:
    """A section; ``most``: fold it to about so many lines."""
    title, tell = TELLERS[section]
    return "\n".join([f"{title}:", *tell(view, most)]) + "\n"


def page_text(view: Inspection, number: int) -> str:
    """All about one page."""
    told = view.page(number)
    page = told["page"]
    kind = page["kind"] if page["state"] == "free" else f"{page['state']}, {page['kind']}"
    lines = [f"Page {number}: {kind}, at 0x{page['offset']:x}"]
    if "chunks" in page:
        lines += [f"  {page['chunks']}", f"  ({LEGEND})"]
    owner = f"held by {view.who(page['pg_lock'])}" if page["pg_lock"] else "free"
    lines.append(
        f"  page: refcount {page['refcount']}, generation {page['generation']}, "
        f"flags {_flags(page)}, {'' if page['movable'] else 'not '}movable, PG lock {owner}"
    )
    if page["isolated_by"]:
        lines.append(f"  isolated by {view.who(page['isolated_by'])}, {page['tries']} attempts")
    lines.append(f"  on {_where(page)}")
    if page["mapped_by"]:
        lines.append("  mapped by " + ", ".join(view.who(task) for task in page["mapped_by"]))
    if page["kind"] == "buddied":
        owner = f"held by {view.who(page['page_lock'])}" if page["page_lock"] else "free"
        lines.append(
            f"  header: kref {page['kref']}, CPU {page['cpu']}, mapped_count "
            f"{page['mapped_count']}, first_num {page['first_num']}, slots {page['slots']}, "
            f"work {'pending' if page['work_pending'] else 'idle'}, page lock {owner}"
        )
    for item in page.get("objects", ()):
        known = ""
        if item["object"] is not None:
            known = f", object {item['object']} of {item['size']} bytes"
        lines.append(
            f"  {item['buddy']:<8} chunks {item['start']} to "
            f"{item['start'] + item['chunks'] - 1}, handle 0x{item['handle']:x}{known}"
        )
    if told["slots"] is not None:
        lines.append(f"  slots {told['slots']['slots']}: {_words(told['slots'])}")
    if told["locks"]:
        lines += ["Its locks:", *_lock_lines(view, told["locks"])]
    for title, name in (("Verdicts on it", "verdicts"), ("The audit on it", "audit")):
        if told[name]:
            lines += [f"{title}:", *_said(told[name], name, None)]
    lines.append("Last events around it:")
    lines += _event_lines(view, told["events"]) if told["events"] else ["  none is recorded"]
    return "\n".join(lines) + "\n"
