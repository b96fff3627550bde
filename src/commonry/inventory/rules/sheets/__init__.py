"""Tables of items: reading other people's CSV files, and writing our own.

`reading` turns bytes into rows, `headings` guesses what each column means, `cells` and `amounts` read one cell,
`categories` finds our word for theirs, `drafts` puts it all together and collects every mistake, `writing` is the way
back. All pure.
"""
