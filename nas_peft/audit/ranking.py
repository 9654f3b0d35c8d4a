"""Whether two ways of scoring architectures rank them alike: Kendall's tau, how sure it is, and its ceiling.

Ranks only: inherited accuracies may be too low throughout and still choose well.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.streams import stream


def kendall_tau(x: ArrayLike, y: ArrayLike) -> float:
    """Tau-b of paired scores ``(n,)``: 1 for the same order, 0 for none, -1 for the opposite one.

    Ties count for neither side, and are taken out of the denominator (Kendall 1945), as accuracies on few
    images tie often. NaN where one of the two is constant.
    """
    from scipy.stats import kendalltau

    first, second = _paired(x, y)
    return float(kendalltau(first, second).statistic)


def bootstrap_taus(x: ArrayLike, y: ArrayLike, *, seed: int, resamples: int = 1000) -> NDArray[np.float64]:
    """Tau-b of ``resamples`` draws of n of the n pairs, with replacement: ``(resamples,)``.

    The draws depend on n and ``seed`` only, so taus of several scores of the same architectures can be
    averaged draw by draw. NaN for a draw in which one of the two is constant. All draws are computed
    together: with m_i the number of times that pair i was drawn, tau-b is
    ``Σ m_i m_j s_ij t_ij / sqrt(Σ m_i m_j s_ij² Σ m_i m_j t_ij²)`` for the signs s and t of the differences.
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
    """The middle ``level`` of bootstrap samples, NaN left out; NaN twice where there are no others."""
    values = np.asarray(samples, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return (float("nan"), float("nan"))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high))


def seed_ceiling(scores: ArrayLike) -> float:
    """Agreement of one seed's scores with another's: the mean tau of all pairs of rows of ``(seeds, n)``.

    No way of scoring can be expected to agree with one seed of separate training better than another seed of
    separate training does. The mean over seeds has less noise than one, so a good score may agree with it a
    little better than this. NaN for fewer than two seeds.
    """
    rows = np.asarray(scores, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"scores are (seeds, architectures), not of shape {rows.shape}")
    taus = [kendall_tau(a, b) for a, b in itertools.combinations(rows, 2)]
    return float(np.mean(taus)) if taus else float("nan")


def _paired(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(f"two scores of each of n ≥ 2 architectures, not {first.shape} and {second.shape}")
    return first, second
