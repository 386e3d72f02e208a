"""Links to 60 digits and more: log F and log(1 - F) with four derivatives each."""

from __future__ import annotations

import mpmath as mp

__all__ = ["exact"]


def _logit(t):
    p, q = 1 / (1 + mp.exp(-t)), 1 / (1 + mp.exp(t))
    w = p * q
    shared = [-w, -w * (q - p), -w * (1 - 6 * w)]
    one = [-mp.log1p(mp.exp(-t)), q, *shared]
    return one, [-mp.log1p(mp.exp(t)), -p, *shared]


def _cloglog(t):
    e = mp.exp(t)
    if e > 1e6:  # exp(-e) is zero to any number of digits in use
        return [mp.mpf(0)] * 5, [-e] * 5
    r = e / mp.expm1(e)
    v = 1 - e - r
    r1 = r * v
    v1 = -e - r1
    r2 = r1 * v + r * v1
    r3 = r2 * v + 2 * r1 * v1 + r * (-e - r2)
    log_p = mp.log(-mp.expm1(-e)) if e < 1 else mp.log1p(-mp.exp(-e))
    return [log_p, r, r1, r2, r3], [-e] * 5


def _mirrored(one_side):
    def both(t):
        mirrored = one_side(-t)
        return one_side(t), [v if d % 2 == 0 else -v for d, v in enumerate(mirrored)]

    return both


def _probit(t):
    tail = mp.erfc(abs(t) / mp.sqrt(2)) / 2
    p = tail if t < 0 else 1 - tail
    r = mp.npdf(t) / p
    a = t + r
    r1 = -r * a
    a1 = 1 + r1
    r2 = -(r1 * a + r * a1)
    r3 = -(r2 * a + 2 * r1 * a1 + r * r2)
    return [mp.log(tail) if t < 0 else mp.log1p(-tail), r, r1, r2, r3]


def _cauchit(t):
    tail = mp.atan(1 / abs(t)) / mp.pi if t else mp.mpf(1) / 2
    p = tail if t < 0 else 1 - tail
    c = 1 / (1 + t * t)
    r = c / (mp.pi * p)
    g, g1, g2 = -2 * t * c, 4 * (t * c) ** 2 - 2 * c, 12 * t * c**2 - 16 * (t * c) ** 3
    r1 = r * (g - r)
    r2 = r1 * (g - r) + r * (g1 - r1)
    r3 = r2 * (g - r) + 2 * r1 * (g1 - r1) + r * (g2 - r2)
    return [mp.log(tail) if t < 0 else mp.log1p(-tail), r, r1, r2, r3]


_EXACT = {
    "logit": _logit,
    "cloglog": _cloglog,
    "probit": _mirrored(_probit),
    "cauchit": _mirrored(_cauchit),
}


def exact(name: str, eta: float) -> tuple[list, list]:
    """log p and its derivatives at the double `eta`, and those of log(1 - p)."""
    # small eta on a double-exponential or a far normal tail cancel in proportion to |eta|
    with mp.workdps(100 + int(3 * abs(eta) / 2.3) if name == "cloglog" and eta < 0 else 100):
        return _EXACT[name](mp.mpf(eta))
