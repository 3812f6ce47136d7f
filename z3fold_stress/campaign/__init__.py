"""Campaigns: many scenarios, on all CPUs, within a budget of time.

``hunt`` explores scenarios that there are, ``museum`` shows each known fault, ``fuzz`` makes
scenarios up.  Each explores in worker processes; a worker that dies ends the campaign with an
error, never with a pass.
"""
