"""What inventory decides without asking anyone: the arithmetic of the calendar, what an item may be, places on a globe.

Pure: no database, no clock.
"""
