"""Which way of adapting a backbone holds best on data that it was not adapted to?

    python -m benchmarks.robustness_study --task digits --seeds 1 --epochs 2
    python -m benchmarks.robustness_study --half final          # once, at the end

Each task and seed is two runs of ``nas-peft search``: one by the ordinary objective, with all baselines and
averages, and one by ``--objective robust``. Their models are then measured in domain and under the shift of
the task: corruptions, a left-out domain, or rare classes.

Test images are read in two halves, stratified by class and fixed. ``--half develop``, the default, may be
looked at while anything is still changed; ``--half final`` is for the table, and its lines are written once.
No choice within a run depends on either.

Runs go to ``--store``, where an interrupted one resumes, finished lines to ``--lines``, and the report to
``benchmarks/results/robustness_study.json``. With the defaults a study of all tasks takes hours; the options
of a shorter one stand in its report.
"""
