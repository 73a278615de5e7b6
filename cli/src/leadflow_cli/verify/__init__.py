"""`leadflow ledger verify`: the log, the ledger, its chain and the provider held together.

kinds.py    what can disagree, and how a disagreement is told
chain.py    one tenant's chain, row by row (pure)
notes.py    what has been read, in a file of SQLite: memory stays small, whatever there is
findings.py the questions that are asked of the notes
walk_*.py   the readers: PostgreSQL, the topics, the provider
run.py      the order in which they read, which makes what is under way no disagreement
"""
