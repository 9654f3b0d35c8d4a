"""The state of the whole process that a call into the package leaves as it was."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGINT,)


@contextmanager
def unchanged_state() -> Iterator[None]:
    """Context at whose end the process has the state that it had at the beginning.

    The state is: the random streams of Python, numpy and torch; torch's number of threads, precision of
    matrix products and deterministic mode; the environment; handlers of signals; filters of warnings; level,
    handlers and propagation of every logger. The package draws from none of these streams, but libraries that
    it calls may, and some set the environment and handlers when they start.
    """
    restore = [
        _random_streams(),
        _torch_settings(),
        _environment(),
        _signal_handlers(),
        _loggers(),
    ]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for function in restore:
            function()


def _random_streams() -> Callable[[], None]:
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the legacy state is meant
    of_torch = torch.get_rng_state()
    on_gpus = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    of_gpus = torch.cuda.get_rng_state_all() if on_gpus else None

    def restore() -> None:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        torch.set_rng_state(of_torch)
        if of_gpus is not None:
            torch.cuda.set_rng_state_all(of_gpus)

    return restore


def _torch_settings() -> Callable[[], None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    gradients = torch.is_grad_enabled()

    def restore() -> None:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(deterministic, warn_only=only_warn)
        torch.set_grad_enabled(gradients)

    return restore


def _environment() -> Callable[[], None]:
    before = dict(os.environ)

    def restore() -> None:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return restore


def _signal_handlers() -> Callable[[], None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # nobody sets a handler in another thread
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore


def _loggers() -> Callable[[], None]:
    """The loggers that there are; one that is made later has no state from before."""
    named = [found for found in logging.root.manager.loggerDict.values() if isinstance(found, logging.Logger)]
    before = [
        (logger, logger.level, logger.handlers[:], logger.propagate) for logger in (logging.root, *named)
    ]
    disabled = logging.root.manager.disable

    def restore() -> None:
        logging.disable(disabled)
        for logger, level, handlers, propagate in before:
            if logger.level != level:
                logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate = propagate

    return restore
