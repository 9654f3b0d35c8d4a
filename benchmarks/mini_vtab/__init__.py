"""Small VTAB: the searched subnet and every baseline, on seven small tasks, by one protocol.

::

    python -m benchmarks.mini_vtab --data FOLDER --workers 2

**Tasks.** digits; cifar100, caltech101 and dtd10, task folders in ``--data`` that
``python -m benchmarks.public_tasks`` makes from the public data sets; and three structured tasks that the
package renders itself. Each has 800 training and 200 validation images (dtd10 has fewer).

**Methods.** Full fine-tuning, linear probing, LP-FT, L2-SP, BitFit and VPT-shallow. Within the budget,
VPT-deep, LoRA, adapter and SSF, each alone in every layer, at its largest size or at a quarter of it (a
quarter of prompts, ranks and widths; SSF on 6 operations or on 2). LoRA on all four projections, and LoRA on
these and on the position embedding. NOAH as published. The searched subnet. Last ``selected``, which is what
``nas-peft search`` exports: the best on validation data of the searched subnet, VPT, LoRA, adapter and SSF
(``nas-peft search`` also tries the other kinds of the space alone).

**Budget.** NOAH's, carried over to this backbone: 0.64 million parameters leave each of ViT-B/16's 12 layers
69 vectors of its width, and 69 vectors of width 128 in each of 8 layers are 71,000 parameters. This is 4.4%
of the backbone, where NOAH's budget is 0.75% of ViT-B/16; 0.75% of so narrow a backbone leaves no room for
the published sizes, such as LoRA of rank 8.

**Protocol.** As in ``nas-peft search --space large --budget 71000 --supernet-epochs 4,16 --generations 24
--population 24 --lr-grid ... --seeds 3 --baselines all,noah``, with three differences: everything is chosen
with the first seed alone, learning rates come from `methods.MODULE_RATES` and `methods.RATES`, and the size
of a single method is chosen at the middle rate.

1. Each task has one search by evolution (supernets of two lengths, of which validation data choose one), and
   one search by NOAH.
2. Sizes of single methods, then learning rates, are chosen once for each method and task on validation data.
   Linear probing has a grid of its own. The three best subnets of the search are retrained on the training
   set at every rate; the searched subnet is the best of them on validation data.
3. Final models are trained with three seeds on training and validation set, to the last epoch.
4. The test set of a task is read once, after all of this.

Best on validation data means the lowest loss, then the highest accuracy, as in ``nas-peft search``.

A method wins or loses against another on a task if a paired t-test over the seeds says so at 5%. With three
seeds that takes 2.5 standard deviations of the difference, so the report also lists the differences.

Every training lasts ``--epochs`` epochs of AdamW with cosine decay and no augmentation, after a short
training of the head alone. Two things are reduced for two cores: 8 epochs where NOAH has 100 (NOAH's
supernet has five times the epochs of a retraining, as published), and images of 32 pixels. Each search and
training appends a line to ``--store`` as it ends, and the same command resumes. A task takes about twenty
minutes on two cores; tasks are independent, so ``--task`` can run some of them first.
"""
