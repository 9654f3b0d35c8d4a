"""What does each choice of a recipe gain, and what the recipe that validation data choose?

::

    python -m benchmarks.recipe_study --tasks digits --rows lora --seeds 1
    python -m benchmarks.recipe_study --half final              # once, at the end
    python -m benchmarks.recipe_study --finished                # the validation table so far

**Tasks.** digits, cifar100, caltech101, dtd10, shapes-location, shapes-orientation, and the photographs of
PACS (``pacs/photo``). ``--data`` has the folders that ``python -m benchmarks.public_tasks`` makes.

**Rows.** A searched subnet, LoRA on all projections and on positions, Adapter+, Convpass, and full
fine-tuning. The searched subnet is one fixed architecture, which ``nas-peft search --dataset digits`` found
(the table of the README): a search for each choice would cost more than all trainings.

**Choices.** `choices.CHOICES`, each alone against ``vtab``, the published recipe without augmentation, at the
default length of 8 epochs (``--epochs``). Two mixtures follow: the best augmentation with the longer
training, and all choices that the rule prefers to ``vtab``. The rule is that of ``nas-peft search``: accuracy
within half a standard error, then the calibrated loss. The first seed chooses for each task and row; further
seeds of the choices (``--choice-seeds``) only show how much their gains vary. Crops are cut from larger
copies of the images, as in a search.

**Test.** Final models by ``vtab`` and by the chosen recipe, of ``--seeds`` seeds, are trained on training and
validation set. Test
images are read in two halves, stratified by class and fixed. ``--half develop``, the default, may be looked
at while anything is still changed; ``--half final`` is for the table, and is read for one set of models.

Trainings with the scores of their validation images, final models and test readings go to ``--store``, where
an interrupted study resumes; the file ``lines.jsonl`` is enough for it. The report goes to
``benchmarks/results/recipe_study.json``. ``--tasks``, ``--rows`` and ``--seeds`` reduce the study.
"""
