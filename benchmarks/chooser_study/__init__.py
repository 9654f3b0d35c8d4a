"""Study of choosers: which way of training a supernet ranks subnets, and how good its inherited weights are.

::

    python -m benchmarks.chooser_study --task digits --task FOLDER --workers 2
    python -m benchmarks.chooser_study --report

One supernet is trained on the training set for each way of choosing architectures (``--chooser``, see
`ways.WAYS`), number of epochs, task and seed. As in ``nas-peft search``, its capacity is the largest
architecture of the space, and the head is first trained alone (20 epochs at 3e-3 on cached features). Then
modules and head are trained with AdamW at a peak learning rate of 5e-3, batches of 64, weight decay 1e-4,
cosine decay after 10% warm-up, no augmentation. All ways start from the same weights and see the images in
the same order.

**Equal cost is equal image passes**: ``--epochs 30`` are 30 passes of the training set through the
backbone for every way, so a sandwich of three passes a step runs 10 epochs (rounded; each line has its
number of passes).

Each supernet then scores every architecture of the table (``--table``, which
``python -m benchmarks.architecture_table`` writes) with inherited weights on the validation set and on the
test set. **The test columns are for judging afterwards, never for choosing anything.**
``--scoring-precision bf16`` scores 1.5 times faster; each line records the precision of its scores.

Each supernet appends one JSON line to ``--out`` as it ends, few epochs first; the same command resumes. The
setup that all lines share goes to a ``.json`` file beside them, and a run with another setup is refused.
``--report`` trains nothing: it compares the scores in ``--out`` with the table (see `report`), prints the
comparison, and writes it to ``--out`` with the suffix ``.report.json``.
"""
