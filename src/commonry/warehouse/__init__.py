"""The warehouse: what sharing achieves, in one DuckDB file that is made anew beside the old one and takes its place.

Owns nothing that cannot be made again. Every run does three things:

    extract     the rows of each service's published views that changed, and what was deleted  →  source.duckdb (dlt)
    transform   one SELECT a table in `sql/`: dimensions, facts, marts, each with its checks    →  a new star.duckdb
    switch      only if every check holds: `current` names the new build, and readers go there

Invariants. One run at a time, by a lock on the folder. A row that was committed later than it was dated is still found:
each run looks back by more than the longest transaction (`extract/cursors.py`). What a run has done is kept in
source.duckdb or not at all, so one that is killed is simply run again. A build never changes once it is current, so any
number of readers may have it open; it goes when the last has let go. No check that fails, and no run that is killed,
takes away yesterday's numbers.

People. Members' ids are replaced by keyed hashes before anything is written, another one as a lender than as a
borrower, because an item's page says who lends it. Whoever was erased becomes nobody. Marts leave out what is about
fewer than five people.
"""
