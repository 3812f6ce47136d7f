# The -EAGAIN contract, watched at every step of every migration.
#
# A migrate that says -EAGAIN (or -EBUSY) has changed nothing that is the migration's to
# change: the page is isolated and movable, its header has the same slots and pool, each
# live slot still names it, and the new page is untouched. One call of migrate_pages tries a
# page at most ten times, and putback never follows success. That a retry succeeds once the contention is gone is
# asked at quiet points (check/probe.pxi).

#
# Each cause has the answer that is due: -EAGAIN where a retry may help (a lock that is taken, a
# compaction that is queued), -EBUSY where the page is mapped. The callback says its reason, and
# the answer must be the reason's; probes ask without its help.

cdef enum:
    MAX_TRIES = 10


cdef void contract_broken(page_t *page, const char *text, u64 a=0, u64 b=0) noexcept nogil:
    verdict(V_EAGAIN_CONTRACT, "migrate", page_address(page), 0, 0, text, a, b)


cdef void before_attempt(page_t *page, page_t *newpage) noexcept nogil:
    cdef z3fold_header *zhdr = header_at(page_address(page))
    current.before_slots = zhdr.slots
    current.before_pool = zhdr.pool
    current.before_mapping = page.mapping
    current.reason = NR_REASONS
    if not PageIsolated(page):
        contract_broken(page, "a page that is not isolated is to be migrated")
    if page.isolated_by != me:
        contract_broken(page, "task %llu migrates a page that task %llu isolated",
                        me, page.isolated_by)
    if page.tries_of_call >= MAX_TRIES:
        contract_broken(page, "attempt number %llu of one migrate_pages: ten are allowed",
                        page.tries_of_call + 1)
    if newpage.private != 0 or newpage.mapping != 0:
        contract_broken(page, "the target page is not a fresh one: private 0x%llx",
                        newpage.private)


cdef inline i64 due(u32 reason) noexcept nogil:
    """The answer of a migration that could not be, for this reason; 0: it gave none."""
    return -EBUSY if reason == REASON_MAPPED else 0 if reason == NR_REASONS else -EAGAIN


cdef void after_refusal(page_t *page, page_t *newpage, int result) noexcept nogil:
    cdef z3fold_header *zhdr = header_at(page_address(page))
    cdef z3fold_buddy_slots *slots
    cdef u64 word
    cdef int i
    if not PageIsolated(page) or page.mapping != current.before_mapping or read_once32(&page.refcount) < 2:
        contract_broken(page, "result %lld, but the page is not isolated as before "
                        "(references %llu)", result, page.refcount)
    if zhdr.slots != current.before_slots or zhdr.pool != current.before_pool:
        contract_broken(page, "result %lld, but the header has other slots (0x%llx)",
                        result, zhdr.slots)
    if result != due(current.reason):
        contract_broken(page, "result %lld, but %lld is due for the reason that was given",
                        result, due(current.reason))
    if node(page.lru.prev).next != offset_of(&page.lru):
        contract_broken(page, "result %lld, but the page left the list of who isolated it",
                        result)
    # Its references say nothing: a scanner may be looking at it for a moment.
    if newpage.private != 0 or newpage.mapping != 0:
        contract_broken(page, "result %lld, but the target page was changed: private 0x%llx",
                        result, newpage.private)
    if not is_slots(current.before_slots):
        return
    slots = <z3fold_buddy_slots *>at(current.before_slots)
    for i in range(4):
        word = read_once64(&slots.slot[i])
        if slots.state == SLOTS_ALLOCATED and word != 0 \
                and word & ~<u64>PAGE_MASK_BITS != page_address(page):
            contract_broken(page, "result %lld, but a slot now holds 0x%llx", result, word)


cdef void after_success(page_t *page, page_t *newpage) noexcept nogil:
    gate_remember(<u64 *>&page.tries)
    page.isolated_by = 0
    if page.mapping != 0:
        contract_broken(page, "migrated, but the old page is still movable")
    if newpage.mapping != current.before_mapping:
        contract_broken(page, "migrated, but the new page is not movable as the old one was "
                        "(mapping 0x%llx): it will never migrate again", newpage.mapping)
    if read_once32(&newpage.refcount) < 2:
        contract_broken(page, "migrated, but the owner took no reference on the new page")


cdef void before_putback(page_t *page) noexcept nogil:
    if not PageIsolated(page) or page.isolated_by != me:
        contract_broken(page, "putback of a page that is not isolated, or not by us (by %llu)",
                        page.isolated_by)
    gate_remember(<u64 *>&page.tries)
    page.isolated_by = 0


cdef void look_at(int step, page_t *page, page_t *newpage, int result) noexcept nogil:
    if step == OP_MIGRATE_PAGES:
        before_attempt(page, newpage)
    elif step == OP_MIGRATE:
        if result == 0:
            after_success(page, newpage)
        else:
            after_refusal(page, newpage, result)
    elif step == OP_PUTBACK:
        before_putback(page)


cdef void watch_contract(int step, page_t *page, page_t *newpage, int result) noexcept nogil:
    gate_look_away()
    look_at(step, page, newpage, result)
    gate_look_again()
