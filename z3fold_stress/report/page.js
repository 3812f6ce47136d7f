/* Shows one failed execution, a step at a time. All that it knows is in the data block; whatever
 * of that goes into the page goes there as text. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const steps = data.steps;
  const states = unfold(data.steps);
  const lanes = document.getElementById("lanes");
  const panel = document.getElementById("state");
  const rows = [];
  let here = -1;
  let minor = false;

  /* The state after each step; what did not change is the same object as before. */
  function unfold(list) {
    const all = [];
    let state = {};
    for (const step of list) {
      state = { ...state };
      for (const [section, delta] of Object.entries(step.delta)) {
        const entries = new Map(state[section] || []);
        for (const [name, entry] of delta) {
          if (entry === null) entries.delete(name);
          else entries.set(name, entry);
        }
        state[section] = entries;
      }
      all.push(state);
    }
    return all;
  }

  function node(tag, classes, ...content) {
    const made = document.createElement(tag);
    if (classes) made.className = classes;
    for (const one of content) {
      if (one === null || one === undefined || one === "") continue;
      made.append(one);
    }
    return made;
  }

  const code = (text) => node("code", "", text);

  /* --- the head --- */

  function head() {
    const top = document.getElementById("head");
    const name = node("h1", "", node("span", "bad", data.verdict.toUpperCase()),
      ` in scenario ${data.scenario}, design ${data.design}`);
    top.append(name, node("p", "dim", data.meaning), node("p", "what", data.text));
    for (const warning of data.warnings) top.append(node("p", "warning", `Warning: ${warning}`));
    const sides = node("div", "sides");
    data.sides.forEach((side, at) => {
      const box = node("div", "side");
      const line = node("div");
      if (data.sides.length > 1) line.append(node("span", "badge", String(at + 1)), " ");
      line.append(node("b", "", side.task), side.what === side.task ? "" : `: ${side.what}`);
      if (side.step !== null) {
        const go = node("button", "", `step ${side.step + 1}`);
        go.addEventListener("click", () => select(side.step, true));
        line.append(" ", go);
      }
      box.append(line);
      if (side.chain.length) box.append(node("div", "", "at ", code(side.chain.join(" < "))));
      box.append(node("div", "", `holding ${side.held.join(", ") || "no lock"}`));
      sides.append(box);
    });
    top.append(sides);
    if (data.ordering) top.append(node("p", "", data.ordering));
    const story = node("details");
    const told = data.defects.length ? `: ${data.defects.map((d) => d.summary).join("; ")}` : "";
    story.append(node("summary", "", `The story${told}`));
    if (data.story) {
      story.append(node("h2", "", `Scenario ${data.scenario}`), node("div", "story", data.story));
    }
    for (const defect of data.defects) {
      story.append(node("h2", "", `Defect ${defect.name}`), node("div", "story", defect.story));
      story.append(node("p", "", node("b", "", "Symptom: "), defect.symptom));
      story.append(node("p", "", node("b", "", "Upstream fix: "), defect.fix));
    }
    top.append(story);
    const foot = document.getElementById("foot");
    const line = node("details");
    line.append(node("summary", "", "The line that replays it"), code(data.replay));
    foot.append(node("span", "", data.made), line);
  }

  /* --- the bar --- */

  const bar = {};

  function controls() {
    const nav = document.getElementById("bar");
    const button = (text, title, action) => {
      const made = node("button", "", text);
      made.title = title;
      made.addEventListener("click", action);
      nav.append(made);
      return made;
    };
    bar.first = button("|◀", "first step (Home)", () => select(0));
    bar.prev = button("◀ back", "step back (k, up or left arrow)", () => move(-1));
    bar.next = button("forward ▶", "step forward (j, down or right arrow)", () => move(1));
    bar.last = button("▶|", "the end (End)", () => select(steps.length - 1));
    bar.before = button("◀ switch", "previous switch (p)", () => toSwitch(-1));
    bar.after = button("switch ▶", "next switch (n)", () => toSwitch(1));
    bar.where = node("span", "where");
    bar.where.setAttribute("role", "status");
    bar.range = node("input");
    bar.range.type = "range";
    bar.range.min = "1";
    bar.range.max = String(steps.length);
    bar.range.setAttribute("aria-label", "Step");
    bar.range.addEventListener("input", () => select(Number(bar.range.value) - 1));
    const box = node("input");
    box.type = "checkbox";
    box.addEventListener("change", () => showMinor(box.checked));
    bar.minor = box;
    nav.append(bar.where, bar.range, node("label", "", box, " all reads (f)"));
    const help = node("span", "dim");
    for (const [key, text] of [["j", "/"], ["k", " step  "], ["n", "/"], ["p", " switch  "],
      ["m", " marked"]]) {
      help.append(node("kbd", "", key), text);
    }
    help.append("  ◆ touches what failed");
    nav.append(help);
  }

  /* --- the lanes --- */

  function buildLanes() {
    const table = node("table");
    const top = node("tr", "", node("th", "number", "step"));
    const busy = data.tasks.map((_, lane) => steps.filter((s) => s.task === lane).length);
    for (const [lane, task] of data.tasks.entries()) {
      const cell = node("th", busy[lane] < 4 && Math.max(...busy) > 12 ? "narrow" : "", task);
      cell.scope = "col";
      top.append(cell);
    }
    const body = node("tbody");
    if (data.leftOut) {
      const cell = node("td", "", `${data.leftOut} steps before these are left out`);
      cell.colSpan = data.tasks.length + 1;
      body.append(node("tr", "switch", cell));
    }
    steps.forEach((step, at) => body.append(...rowsOf(step, at)));
    table.append(node("thead", "", top), body);
    lanes.append(table);
    lanes.classList.toggle("nominor", !minor);
  }

  function rowsOf(step, at) {
    const made = [];
    if (step.switch) {
      const { of, why, chosen } = step.switch;
      const cell = node("td", "",
        `⇄ ${of} → ${data.tasks[step.task]}${why ? `: ${why}` : ""}`);
      cell.colSpan = data.tasks.length + 1;
      made.push(node("tr", `switch${chosen ? " chosen" : ""}`, cell));
    }
    const row = node("tr", "step", node("td", "number", `${step.touches ? "◆ " : ""}${at + 1}`));
    if (step.kind === "verdict") {
      const cell = node("td", "", `✖ ${step.title}`);
      cell.colSpan = data.tasks.length;
      row.append(cell);
      row.classList.add("verdict");
    } else {
      data.tasks.forEach((_, lane) => {
        if (lane !== step.task) {
          row.append(node("td"));
          return;
        }
        const mark = step.mark && data.sides.length > 1 ? String(step.mark) : "✖";
        row.append(node("td", `cell ${step.kind}`,
          step.mark ? node("span", "badge", mark) : "", step.mark ? " " : "",
          step.kind === "fault" ? "! " : "", step.title));
      });
    }
    if (step.mark) row.classList.add("marked");
    if (step.kind === "minor") row.classList.add("minor-row");
    row.addEventListener("click", () => select(at));
    rows[at] = row;
    made.push(row);
    return made;
  }

  /* --- the state --- */

  const list = (names) => names.join(", ");

  function valueNode(text, changed) {
    return node("span", changed ? "changed" : "", text);
  }

  function table(title, pairs) {
    if (!pairs.length) return;
    const grid = node("div", "rows");
    for (const [name, text, changed] of pairs) {
      grid.append(node("div", "key", name), node("div", "value", valueNode(text, changed)));
    }
    panel.append(node("h2", "", title), grid);
  }

  function stepBox(step, at) {
    panel.append(node("h2", "", `Step ${at + 1} of ${steps.length}`));
    if (step.kind === "verdict") {
      panel.append(node("p", "bad", step.title));
      return;
    }
    const line = node("p", "", node("b", "", data.tasks[step.task]), `: ${step.title}`);
    panel.append(line);
    if (step.operation && step.kind !== "operation") {
      panel.append(node("p", "dim", "in ", code(step.operation)));
    }
    if (step.chain.length) panel.append(node("p", "", "at ", code(step.chain.join(" < "))));
    for (const detail of step.details) panel.append(node("div", "mono", detail));
    if (step.mark) {
      const side = data.sides[step.mark - 1];
      panel.append(node("p", "bad", `Side ${step.mark} of the failure: ${side.what}`));
    }
  }

  const entriesOf = (state, section) => [...((state[section] || new Map()).entries())];

  function show() {
    const state = states[here];
    const before = here ? states[here - 1] : states[0];
    const old = (section, name) => (before[section] || new Map()).get(name);
    panel.replaceChildren();
    stepBox(steps[here], here);
    table("Tasks", entriesOf(state, "tasks").map(([name, task]) => {
      const waits = task.waits_for ? `waits for ${task.waits_for}` : task.state;
      const holds = task.holds.length ? `; holds ${list(task.holds)}` : "";
      return [name, waits + holds, old("tasks", name) !== task];
    }));
    const locks = entriesOf(state, "locks");
    table("Locks held or waited for", locks.length ? locks.map(([name, lock]) => {
      const owner = lock.readers.length ? `read by ${list(lock.readers)}`
        : lock.owner === "freed memory" ? "lies in freed memory"
          : lock.owner ? `held by ${lock.owner}` : "free";
      const waiting = lock.waiters.length ? `; waited for by ${list(lock.waiters)}` : "";
      return [name, owner + waiting, old("locks", name) !== lock];
    }) : [["", "none", false]]);
    table("Words", entriesOf(state, "words").map(([name, word]) =>
      [name, word, old("words", name) !== word]));
    pages(state, old);
    table("Slots", entriesOf(state, "slots").map(([name, slots]) => {
      const words = Object.entries(slots.words).map(([i, what]) => `[${i}] ${what}`).join("; ");
      const of = slots.pages.length ? `of frame ${list(slots.pages)}` : "of no page";
      return [`slots ${name}`, `${of}: ${words || "empty"}`, old("slots", name) !== slots];
    }));
    table("Objects and their handles", entriesOf(state, "objects").map(([name, object]) => {
      const where = object.handle ? `${object.size} bytes, handle → ${object.handle}`
        : object.swapped ? "in swap" : "not allocated";
      const used = object.used_by.length ? `; in use by ${list(object.used_by)}` : "";
      return [name, where + used, old("objects", name) !== object];
    }));
    table("Lists", entriesOf(state, "lists").map(([name, view]) => {
      const frames = view.entries.map((e) => (typeof e === "number" ? `frame ${e}` : e));
      const torn = view.damage ? `${frames.length ? "; " : ""}TORN: ${view.damage}` : "";
      return [name, (list(frames) || (torn ? "" : "empty")) + torn, old("lists", name) !== view];
    }));
  }

  const KINDS = { "#": ["head", "hdr"], 1: ["first", "FIRST"], 2: ["middle", "MIDDLE"],
    3: ["last", "LAST"], ".": ["free", ""], X: ["overlap", "X"], "@": ["headless", "HEADLESS"] };

  function chunks(page) {
    const strip = node("div", "chunks");
    const told = [];
    for (const [run] of page.chunks.matchAll(/(.)\1*/g)) {
      const [name, label] = KINDS[run[0]] || ["free", "?"];
      const object = page.objects.find((o) => o.buddy === label);
      const who = object && object.object ? ` ${object.object}` : "";
      const text = label ? `${label}${who}` : "";
      const part = node("span", name, text);
      part.style.flex = `${run.length} 0 0`;
      part.title = `${label || "free"}${who}, ${run.length} chunks`;
      told.push(part.title);
      strip.append(part);
    }
    strip.setAttribute("role", "img");
    strip.setAttribute("aria-label", `64 chunks: ${told.join("; ")}`);
    const scale = node("div", "scale");
    for (const at of [0, 16, 32, 48, 64]) scale.append(node("span", "", String(at)));
    scale.setAttribute("aria-hidden", "true");
    return [strip, scale];
  }

  function references(name, count, rest, changed) {
    const same = count === rest;
    const text = same ? `${name} ${count}` : `${name} ${count} (at rest ${rest})`;
    return node("span", changed ? "changed" : "", same ? text : node("b", "", text));
  }

  function pages(state, old) {
    const all = entriesOf(state, "pages");
    if (!all.length) return;
    panel.append(node("h2", "", "Pages"));
    for (const [number, page] of all) {
      const was = old("pages", number) || page;
      const card = node("div", `card${data.about.includes(Number(number)) ? " about" : ""}`);
      const title = node("div", "", node("b", "", `frame ${number}`), " ",
        valueNode(page.kind, was.kind !== page.kind));
      if (data.about.includes(Number(number))) {
        title.append(" ", node("span", "bad", "✖ the failure is about this one"));
      }
      card.append(title);
      if (page.kind !== "free") {
        if (page.chunks) card.append(...chunks(page));
        card.append(facts(page, was));
      }
      panel.append(card);
    }
  }

  function facts(page, was) {
    const box = node("div", "facts");
    const add = (name, text) => {
      const then = JSON.stringify(was[name]);
      box.append(valueNode(text, then !== JSON.stringify(page[name])));
    };
    if (page.kref !== undefined) {
      box.append(references("kref", page.kref, page.kref_rest, was.kref !== page.kref));
    }
    box.append(references("refcount", page.refcount, page.refcount_rest,
      was.refcount !== page.refcount));
    if (page.mapped_count !== undefined) {
      add("mapped_count", page.mapped_count ? `mapped ${page.mapped_count}×` : "not mapped");
      if (page.middle_maps) add("middle_maps", `middle mapped ${page.middle_maps}×`);
    }
    add("flags", page.flags.length ? page.flags.join(" ") : "no flags");
    if (page.slots !== undefined) {
      add("slots", page.slots === null ? "slots pointer astray" : `slots ${page.slots}`);
    }
    if (page.work_pending) add("work_pending", "work queued");
    if (page.isolated_by) add("isolated_by", `isolated by ${page.isolated_by}`);
    if (page.page_lock) add("page_lock", `page lock: ${page.page_lock}`);
    if (page.pg_lock) add("pg_lock", `PG lock: ${page.pg_lock}`);
    add("movable", page.movable ? "movable" : "not movable");
    add("lists", page.lists.length ? `on ${list(page.lists)}` : "on no list");
    return box;
  }

  /* --- going about --- */

  function visible(at) {
    return minor || steps[at].kind !== "minor" || at === here;
  }

  function select(at, look) {
    const to = Math.max(0, Math.min(steps.length - 1, at));
    if (to === here) return;
    if (rows[here]) {
      rows[here].classList.remove("here");
      rows[here].removeAttribute("aria-current");
    }
    here = to;
    const row = rows[here];
    row.classList.add("here");
    row.setAttribute("aria-current", "step");
    const top = lanes.querySelector("thead").offsetHeight;
    const above = row.offsetTop - top - 60;
    if (above < lanes.scrollTop) lanes.scrollTop = above;
    const below = row.offsetTop + row.offsetHeight + 60 - lanes.clientHeight;
    if (below > lanes.scrollTop) lanes.scrollTop = below;
    if (look) inView();
    bar.where.textContent = `step ${here + 1} of ${steps.length}`;
    bar.range.value = String(here + 1);
    bar.first.disabled = bar.prev.disabled = here === 0;
    bar.last.disabled = bar.next.disabled = here === steps.length - 1;
    show();
    try {
      history.replaceState(null, "", `#${here + 1}`);
    } catch { /* some browsers forbid it for a file: nothing depends on it */ }
  }

  /* On a narrow page the steps may be below the fold. */
  function inView() {
    const place = lanes.getBoundingClientRect();
    if (place.top > innerHeight / 2 || place.bottom < innerHeight / 8) {
      document.getElementById("bar").scrollIntoView({ block: "start" });
    }
  }

  function move(by) {
    let at = here + by;
    while (at > 0 && at < steps.length - 1 && !visible(at)) at += by;
    if (at >= 0 && at < steps.length && visible(at)) select(at);
  }

  function find(by, wanted) {
    for (let at = here + by; at >= 0 && at < steps.length; at += by) {
      if (wanted(steps[at])) {
        select(at);
        return;
      }
    }
  }

  function toSwitch(by) {
    find(by, (step) => step.switch);
  }

  function toMark() {
    const marked = steps.map((step, at) => (step.mark ? at : -1)).filter((at) => at >= 0);
    if (marked.length) select(marked.find((at) => at > here) ?? marked[0]);
  }

  function showMinor(on) {
    minor = on;
    bar.minor.checked = on;
    lanes.classList.toggle("nominor", !on);
  }

  const KEYS = {
    ArrowDown: () => move(1), ArrowRight: () => move(1), j: () => move(1),
    ArrowUp: () => move(-1), ArrowLeft: () => move(-1), k: () => move(-1),
    Home: () => select(0), End: () => select(steps.length - 1),
    n: () => toSwitch(1), p: () => toSwitch(-1), m: toMark, f: () => showMinor(!minor),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target === bar.range) return;
    const action = KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
    inView();
  });
  window.addEventListener("hashchange", () => fromAddress());

  function fromAddress() {
    const at = Number(location.hash.slice(1));
    if (Number.isInteger(at) && at > 0) select(at - 1);
  }

  head();
  controls();
  buildLanes();
  showMinor(false);
  fromAddress();
  if (here < 0) select(steps.length - 1);
})();
