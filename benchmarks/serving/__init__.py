"""Measure a server of many tasks on loopback: speed, answers that are nobody else's, and hostile clients.

::

    python -m benchmarks.serving

Starts ``nas-peft serve`` with subnets of different architectures, whose weights are drawn and not trained,
and asks it from this process, which shares the cores with the server:

1. latency percentiles and answers per second at 1, 8 and 32 clients, each of which sends its next image as
   soon as the last is answered, for a task chosen at random;
2. 10,000 answers at 32 clients, each compared with the logits of its own image by its own subnet alone;
3. 1,000 hostile requests (truncated and huge images, other types of files, pickles, paths out of the folder,
   slow senders, malformed forms and HTTP): each must be answered with a status from 400 to 499, the server
   must live and answer afterwards, and its memory must not have grown.

Prints a table and writes JSON (``--out``). The exit status is 1 if a check fails.
"""
