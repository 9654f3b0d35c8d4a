"""Agreement of two scores in ranking architectures: Kendall's tau, its bootstrap interval, and its ceiling.

Only ranks are compared: inherited accuracies may all be too low and still choose well.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.streams import stream


def kendall_tau(x: ArrayLike, y: ArrayLike) -> float:
    """Tau-b of paired scores ``(n,)``: 1 for the same order, 0 for unrelated orders, -1 for opposite orders.

    Tied pairs count neither for nor against, and the denominator leaves them out (Kendall 1945): accuracies
    on few images are often equal. NaN if either score is constant.

    Raises ``ValueError`` for scores of different shapes and for fewer than two architectures.
    """
    from scipy.stats import kendalltau

    first, second = _paired(x, y)
    return float(kendalltau(first, second).statistic)


def bootstrap_taus(x: ArrayLike, y: ArrayLike, *, seed: int, resamples: int = 1000) -> NDArray[np.float64]:
    """Tau-b of bootstrap resamples of the n pairs, each n draws with replacement: ``(resamples,)``.

    The resamples depend on n and ``seed`` only, so taus of several scores of the same architectures can be
    averaged resample by resample. NaN for a resample in which either score is constant. All resamples are
    computed together: with m_i the number of times that pair i was drawn, tau-b is
    ``Σ m_i m_j s_ij t_ij / sqrt(Σ m_i m_j s_ij² Σ m_i m_j t_ij²)``, where s_ij and t_ij are the signs of the
    differences of the two scores between i and j.
    """
    first, second = _paired(x, y)
    n = len(first)
    rng = stream(seed, "bootstrap", n)
    times = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    s = np.sign(first[:, None] - first)
    t = np.sign(second[:, None] - second)

    def total(of_pairs: NDArray[np.float64]) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = np.sum((times @ of_pairs) * times, axis=1)
        return summed

    untied = np.sqrt(total(s**2) * total(t**2))
    taus = np.full(resamples, np.nan)
    np.divide(total(s * t), untied, out=taus, where=untied > 0)
    return taus


def bootstrap_interval(samples: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Bounds of the middle ``level`` of bootstrap samples, NaN left out; two NaN if all samples are NaN."""
    values = np.asarray(samples, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return (float("nan"), float("nan"))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high))


def seed_ceiling(scores: ArrayLike) -> float:
    """Agreement between seeds of separate training: the mean tau over all pairs of rows of ``(seeds, n)``.

    No score can be expected to agree with one seed better than another seed does. The mean over seeds has
    less noise than a single seed, so a good score may agree with the mean a little better than this ceiling.
    NaN for fewer than two seeds.
    """
    rows = np.asarray(scores, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"scores must have shape (seeds, architectures), not {rows.shape}")
    taus = [kendall_tau(a, b) for a, b in itertools.combinations(rows, 2)]
    return float(np.mean(taus)) if taus else float("nan")


def _paired(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(f"two scores must have shape (n,), n ≥ 2, not {first.shape} and {second.shape}")
    return first, second
