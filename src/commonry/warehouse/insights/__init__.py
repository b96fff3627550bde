"""What the marts say, for people: each insight is a plot, the table behind it, and a few words.

`figures` makes numbers of a mart's rows, `plots` draws them, `report` puts them on a page that can be sent to somebody.
Nothing here asks anyone but the current build.
"""
