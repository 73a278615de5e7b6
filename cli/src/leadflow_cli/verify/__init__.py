"""`leadflow ledger verify`: the log, the ledger, its chain and the provider held together.

kinds.py    what can disagree, and how a disagreement is told
chain.py    one tenant's chain, row by row (pure)
columns.py  the ledger's columns, each by what it is held to (pure)
notes.py    what has been read, in a file of SQLite: memory stays small, whatever there is
findings.py the questions that are asked of the notes
walk_*.py   the readers: PostgreSQL, the topics, the provider
run.py      the order in which they read, which makes what is under way no disagreement
"""
