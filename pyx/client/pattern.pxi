# What an object's payload holds: its number, owner and length, a tag, and words that follow
# from the tag. Any byte of it that changes is seen, with its offset, and whose it was.

cdef enum:
    MIN_PAYLOAD = 16
    LINE = 8                            # words

cdef u64 PATTERN_STEP = <u64>0x9E3779B97F4A7C15


cdef inline u64 pattern_head(u32 id, u32 owner, u32 size) noexcept nogil:
    return <u64>id | <u64>(owner & 0xff) << 32 | <u64>size << 40


cdef inline u64 pattern_tag(u32 id, u32 version, u32 size) noexcept nogil:
    return splitmix64(<u64>id << 32 ^ <u64>version << 13 ^ size)


cdef void fill_pattern(u64 address, u32 id, u32 owner, u32 size, u32 version) noexcept nogil:
    cdef u64 *word = <u64 *>at(address)
    cdef u64 tag = pattern_tag(id, version, size)
    cdef u64 value = tag
    cdef u32 i
    cdef u32 words = size >> 3
    writes_range(word, 16)
    store_own_word(word, pattern_head(id, owner, size))
    store_own_word(word + 1, tag)
    for i in range(2, words):
        if i % LINE == 2:               # told by the line: another task may come between two
            writes_range(word + i, 8 * (LINE if words - i > LINE else words - i))
        value += PATTERN_STEP
        store_own_word(word + i, value)
    value += PATTERN_STEP
    memcpy(word + words, &value, size & 7)


cdef i64 verify_pattern(const char *payload, u32 id, u32 size, u32 version) noexcept nogil:
    """Byte offset of the first word that is not as filled, or -1."""
    cdef const u64 *word = <const u64 *>payload
    cdef u64 tag = pattern_tag(id, version, size)
    cdef u64 value = tag
    cdef u64 wrong, tail
    cdef u32 i
    cdef u32 words = size >> 3
    cdef u64 owner_bits = <u64>0xff << 32
    reads_range(word, 16)
    wrong = (own_word(word) ^ pattern_head(id, 0, size)) & ~owner_bits
    wrong |= own_word(word + 1) ^ tag
    for i in range(2, words):
        if i % LINE == 2:
            reads_range(word + i, 8 * (LINE if words - i > LINE else words - i))
        value += PATTERN_STEP
        wrong |= own_word(word + i) ^ value
    tail = 0
    value += PATTERN_STEP
    memcpy(&tail, word + words, size & 7)
    wrong |= tail ^ (value & ((<u64>1 << ((size & 7) * 8)) - 1))
    if not unlikely(wrong != 0):
        return -1
    if (word[0] ^ pattern_head(id, 0, size)) & ~owner_bits:
        return 0
    value = tag
    for i in range(1, words):
        if word[i] != value:
            return i * 8
        value += PATTERN_STEP
    return words * 8
