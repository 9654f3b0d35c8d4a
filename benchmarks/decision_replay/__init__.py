"""Replay of rules of decision on finished trainings: which rule chooses the model that does best unseen?

::

    python -m benchmarks.decision_replay --tunings FOLDER
    python -m benchmarks.decision_replay --runs runs/digits runs/photos
    python -m benchmarks.decision_replay --recipes benchmarks/results/recipe_study/lines.jsonl

``FOLDER`` has two tables of a finished study of several tasks, which are not part of this repository
(arXiv 2409.16434 has published such results for the 19 tasks of VTAB-1k):

- ``tunings.csv``: task, method, settings, val_top1, val_loss; one line for each setting that was trained;
- ``finals.csv``: task, method, params, settings, test_top1_last; the setting of the highest validation
  accuracy of each method, trained on training and validation images.

Rules choose one method for each task by validation figures. Anything that a rule learns, its fraction of a
standard error or the prior of the methods, comes from the other tasks, whose test accuracies are the rule's
training data; the test accuracy on the task left out is what is reported. The same leave-one-task-out is
reported for greedy portfolios of settings.

``--runs`` takes finished runs, which keep the logits of each validation image. The images are split in halves
many times; rules choose a training on one half, and are judged by its accuracy on the other. ``--recipes``
does the same with the lines of the recipe study. Nothing is trained or tested. The report goes to ``--out``,
where parts that are not replayed stay.
"""
