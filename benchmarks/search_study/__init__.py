"""Study of the search: evolution against random search, NOAH's procedure, uniform subnets and a long search.

::

    python -m benchmarks.search_study --task digits --task FOLDER --workers 2

Each task and seed has these contestants, at the defaults of ``nas-peft search`` (budget 0.75% of the
backbone):

- ``evolution``, with racing; ``random``, with racing and at least as many image passes; and
  ``evolution-whole``, without racing: all three on one supernet;
- ``noah``: the published procedure in its own space, on a supernet of one uniform path a step, with the same
  numbers of epochs and candidates and without racing;
- ``long``: evolution on a supernet of ten times the epochs, with twice the candidates (``--long-seeds``);
- ``uniform``: all three kinds in every layer, one size of each everywhere, the largest mixes within the
  budget.

The three best subnets of each contestant (of NOAH the best one) are trained from scratch on the training
set. The best of them by validation accuracy, then loss, is trained again on training and validation set.
After everything is chosen, the test set of each task is read once: by these final models and by the three
best subnets of evolution, with inherited weights and as trained on the training set.

Each search and training appends a line to ``--store`` as it ends; the same command resumes, and uses what
`mini_vtab` has done in the same store. The report goes to ``--out``.
"""
