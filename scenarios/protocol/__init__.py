"""The allocator at work, no fault in mind: what must go well, wherever it is interrupted."""
