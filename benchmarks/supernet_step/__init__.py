"""Cost of a training step of the supernet, beside timm's own model, PEFT's LoRA and VPT's prompts.

::

    python -m benchmarks.supernet_step --layers 6 --batch 8          # two CPU cores
    python -m benchmarks.supernet_step --device cuda --precision bf16

A training step is forward, cross-entropy, backward and AdamW (fused) on the parameters that the contestant
trains; an evaluation step is a forward pass in inference mode. All contestants but full fine-tuning freeze
the pretrained weights. The **floor** is timm's own model with frozen weights, a head, and the gradient taken
down to the embedded tokens, as any module in the first layer makes necessary: what a contestant takes beyond
the floor is the cost of its modules. Weights are random and images are noise, neither of which changes the
time.

First the contestants are compared numerically: the empty supernet and the floor give timm's logits, prompts
as keys and values give those of concatenated prompts, LoRA gives PEFT's, and one architecture per image
gives those of each image alone.

Then memory is measured, with each contestant alone on the device, at the peak of one step after two others:
`torch.cuda.max_memory_allocated` on CUDA, and the same count of all tensors' storages on a CPU (see
`live_memory`). Then time is measured: in every repeat all contestants make one step each, in random order,
so that a slower minute of the machine slows all of them. The report has the median over repeats, and the
median of the ratios within repeats.

``benchmarks/results/supernet_step.json`` (``--out``) has one entry for each device, backbone, number of
layers, precision and batch; a run replaces its own entry. ``--contestant`` measures some contestants only,
and writes only if ``--out`` is given. ``--profile NAME`` prints the operators that take most of a
contestant's time, and measures nothing.
"""
