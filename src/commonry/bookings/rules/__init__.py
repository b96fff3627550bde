"""The decisions of a booking, pure: no input or output, no clock, nothing but arguments and an answer.

`periods` says how long something is and what is wrong with it (rules 1 to 4), `prices` what it costs (13, 15),
`policies` what is given back or owed and when things are due (16, 17, 19), `settlement` what a deposit pays for (14,
17), `transitions` what may follow what, `views` who may see and do what (20, 21).

Instants carry an offset; the present comes in as `now`. What is counted by the calendar is counted in the item's own
time zone, so that a day is a day however many hours it has; what is counted in hours is elapsed time, so that nobody
pays for the hour that a change of clocks skipped. Money is whole minor units; every line is rounded once, half up.
"""
