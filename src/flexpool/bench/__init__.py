"""The benchmark: flexpool beside all that can compute the same, on this machine.

:mod:`cases` says on which sizes, :mod:`peers` beside what; :mod:`check` looks whether a peer is
right before :mod:`measure` takes its time; :mod:`results` keeps the figures, :mod:`table` and
:mod:`picture` show them.
"""
