"""Crossed factors without their Schur complement: conjugate gradients and random probes.

S is scaled by the Cholesky factors E E' = D of its own diagonal blocks, T = E^-1 S E'^-1 = I - N, N
zero on them. Systems in T are solved by conjugate gradients, which meet S through sparse products alone;
that is preconditioned conjugate gradients on H, as with the symmetric Gauss-Seidel preconditioner.

Most of what T differs from I by lies in a few directions: a constant added to all effects of one factor
is nearly undone by taking it from those of another. V (q1, r) holds these directions, orthonormal, made
better by a few power steps. In what is left of the space, probes z = (I - V V') e / sqrt(t), with t
vectors e of independent signs, have E sum z'f(T)z = tr f(T). The coefficients of conjugate gradients
started at z are those of Lanczos, whose Gauss quadrature gives z' log(T) z (Ubaru, Chen & Saad 2017,
SIAM J. Matrix Anal. Appl. 38; for mixed models Kündig & Sigrist 2025, J. Comput. Graph. Stat.). Over
the columns z of V and of the probes, with y = T^-1 z,

    log|T| ~ sum of z' log(T) z + z'N z,        T^-1 ~ I + sum of (y - z) z' - bdiag(N z z')

where what is known of N = I - T, its diagonal blocks of zeros, takes most of the noise away. The same
probes serve at all parameters, so that the likelihood stays a smooth function of them. With none, t = 0,
the directions alone make a good approximation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import blocks as bl
from .elimination import Elimination

__all__ = ["ROUGH_TOL", "IterativeFactorization", "Probes"]

#: Probes, and the seed of their signs.
N_PROBES, SEED = 50, 20250131
#: Power steps on the leading directions.
POWER_STEPS = 2
#: Right-hand sides worked on together, so that what they touch stays in cache.
CHUNK = 8
#: Residuals, against the right-hand side, at which conjugate gradients stop: by default, and where a rough
#: solution does.
SOLVE_TOL, ROUGH_TOL = 1e-10, 1e-3
MAX_STEPS = 1000
#: Growth of a squared residual, and length of a step, that no matrix which is positive definite to working
#: precision leads to: where rounding has made it indefinite, the column stays as it is.
LARGEST_RATIO = 1e20


class Probes:
    """Fixed random signs, shape (q1, number); the number may be zero."""

    def __init__(self, q1: int, number: int = N_PROBES) -> None:
        generator = np.random.default_rng(SEED)
        self.signs = generator.integers(0, 2, size=(q1, number)).astype(float) * 2.0 - 1.0


class IterativeFactorization(Elimination):
    """H by conjugate gradients; log|H| and the parts of its inverse by directions and probes.

    With `probes` None, log|H| and the parts of the inverse take T for the identity.

    Attributes
    ----------
    logdet_error : float
        Standard error of `logdet`.
    """

    def __init__(
        self, structure, W: np.ndarray, matrices: list[np.ndarray], probes, tol: float = SOLVE_TOL
    ) -> None:
        super().__init__(structure, W, matrices)
        s = structure
        self.probes = probes
        self.tol = tol
        self.logdet_error = 0.0
        self.E, self.own = {}, {}
        scaled = []
        for f in range(1, s.n_factors):
            B, table = self.B_pairs[f - 1], s.pairs[0, f]
            taken = _sums_of_squares(B, table.second, s.shapes[f][1])
            E, definite = bl.cholesky(self._own_blocks(f) - taken)
            self.definite = self.definite and definite
            self.E[f] = E
            self.logdet += float(bl.logdet(E).sum())
            # B E'^-1 on the pairs: E x' = B'
            at = np.take(E, table.second, axis=2)
            scaled.append(bl.solve_lower(at, B.swapaxes(0, 1)).swapaxes(0, 1))
            self.own[f] = _sums_of_squares(scaled[-1], table.second, s.shapes[f][1])
        self.scaled_pairs = scaled
        self.B = s.pattern.matrix(np.concatenate([B.ravel() for B in scaled]))
        cross = []
        for f, g in s.pairs:
            if f:
                table = s.pairs[f, g]
                at = np.take(self.E[f], table.first, axis=2)
                block = bl.solve_lower(at, self._cross_blocks(f, g))
                at = np.take(self.E[g], table.second, axis=2)
                cross.append(bl.solve_lower(at, block.swapaxes(0, 1)).swapaxes(0, 1))
        self._cross = s.cross_matrix(cross)
        self._diagonal: dict[int, np.ndarray] = {}
        self._columns: np.ndarray | None = None
        self._moved: np.ndarray | None = None
        if probes is not None and self.definite:
            self._probe()

    def apply(self, x: np.ndarray) -> np.ndarray:
        """T x for x of shape (q1, r)."""
        out = x - self.B.transposed_dot(self.B.dot(x))
        for f, K in self.own.items():
            k = K.shape[0]
            source, target = self._part(x, f), self._part(out, f)
            for i in range(k):
                for j in range(k):
                    target[i] += K[i, j][:, None] * source[j]
        if self._cross is not None:
            out += self._cross @ x
        return out

    def _scale(self, x: np.ndarray, transposed: bool) -> np.ndarray:
        """E^-1 x, or E'^-1 x, for x of shape (q1, r)."""
        out = np.empty(x.shape)
        for f, E in self.E.items():
            solved = bl.solve_lower(E, self._part(x, f).swapaxes(1, 2), transposed)
            self._part(out, f)[...] = solved.swapaxes(1, 2)
        return out

    def _solve_border(self, half, border):
        right = self._scale(border, False) - self.B.transposed_dot(half)
        y = np.empty_like(right)
        for a in range(0, right.shape[1], CHUNK):
            columns = np.ascontiguousarray(right[:, a : a + CHUNK])
            y[:, a : a + CHUNK], _, _, _ = conjugate_gradients(self.apply, columns, self.tol)
        return self._scale(y, True), half - self.B.dot(y)

    def _probe(self) -> None:
        """log|T|, and (T^-1 - I) z of every direction and probe."""
        signs, V = self.probes.signs, self._leading()
        number = signs.shape[1]
        probes = signs - V @ (V.T @ signs)
        probes /= np.sqrt(max(number, 1))
        self._columns = columns = np.hstack([V, probes])
        self._moved, pulled = np.empty_like(columns), np.empty_like(columns)
        logs = np.einsum("ij,ij->j", columns, columns)
        for a in range(0, columns.shape[1], CHUNK):
            z = np.ascontiguousarray(columns[:, a : a + CHUNK])
            y, image, alphas, betas = conjugate_gradients(self.apply, z, self.tol)
            self._moved[:, a : a + CHUNK] = y - z
            pulled[:, a : a + CHUNK] = z - image
            # z'N z = z'z - z'T z, and z'T z = z'z / alpha_0
            logs[a : a + CHUNK] *= _log_quadrature(alphas, betas) + 1.0 - 1.0 / alphas[0]
        for f in self.E:
            own = np.einsum("ijt,hjt->ihj", self._part(pulled, f), self._part(columns, f))
            self._diagonal[f] = np.eye(own.shape[0])[:, :, None] - 0.5 * (own + own.swapaxes(0, 1))
        self.logdet += float(logs.sum())
        if number:
            self.logdet_error = float(logs[V.shape[1] :].std(ddof=1)) * np.sqrt(number)

    def _leading(self) -> np.ndarray:
        """Directions of a constant added to one effect of one factor, after power steps; (q1, r)."""
        s = self.structure
        V = np.zeros((s.q1, sum(k for k, _ in s.shapes[1:])))
        at = 0
        for f, E in self.E.items():
            for row in E:
                self._part(V, f)[:, :, at] = row
                at += 1
        for _ in range(POWER_STEPS):
            V = np.linalg.qr(V)[0]
            V = V - self.apply(V)
        return np.linalg.qr(V)[0]

    def _products_on_pairs(self) -> list[np.ndarray]:
        s = self.structure
        out = []
        spread = None if self._moved is None else self.B.dot(self._moved)
        for f, B in enumerate(self.scaled_pairs, start=1):
            product = B
            table = s.pairs[0, f]
            if spread is not None:
                rows = spread.reshape(*s.shapes[0], -1)
                columns = self._part(self._columns, f)
                own = np.take(self._diagonal[f], table.second, axis=2)
                product = np.einsum("ijp,jhp->ihp", B, own) + _pair_sums(
                    rows, columns, table.first, table.second
                )
            # ... E^-1 from the right: E' x' = product'
            at = np.take(self.E[f], table.second, axis=2)
            solved = bl.solve_lower(at, product.swapaxes(0, 1), transposed=True)
            out.append(solved.swapaxes(0, 1))
        return out

    def _inverse_between(self, f: int, g: int, first, second, start) -> np.ndarray:
        """E'^-1 (start + sum of (y - z) z') E^-1 at levels `first` of f and `second` of g."""
        block = start
        if self._moved is not None:
            columns, moved = self._columns, self._moved
            one = _pair_sums(self._part(moved, f), self._part(columns, g), first, second)
            other = _pair_sums(self._part(columns, f), self._part(moved, g), first, second)
            block = block + 0.5 * (one + other)
        half = bl.solve_lower(np.take(self.E[f], first, axis=2), block, transposed=True)
        at = np.take(self.E[g], second, axis=2)
        return bl.solve_lower(at, half.swapaxes(0, 1), transposed=True).swapaxes(0, 1)

    def _part(self, x: np.ndarray, f: int) -> np.ndarray:
        """The rows of (q1, r) that belong to a factor, (k, J, r)."""
        k, J = self.structure.shapes[f]
        start = self.structure.offsets[f]
        return x[start : start + k * J].reshape(k, J, -1)

    def _border_blocks(self, f: int) -> np.ndarray:
        k, J = self.structure.shapes[f]
        levels = np.arange(J)
        eye = np.broadcast_to(np.eye(k)[:, :, None], (k, k, J))
        return self._inverse_between(f, f, levels, levels, self._diagonal.get(f, eye))

    def _border_pairs(self, f: int, g: int) -> np.ndarray:
        table = self.structure.pairs[f, g]
        none = np.zeros((self.structure.shapes[f][0], self.structure.shapes[g][0], table.size))
        return self._inverse_between(f, g, table.first, table.second, none)


def conjugate_gradients(
    apply: Callable[[np.ndarray], np.ndarray], rhs: np.ndarray, tol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Solve T x = rhs for each column of rhs (q, r), T symmetric positive definite.

    Returns
    -------
    x, image : ndarray of shape (q, r)
        The solution, and T rhs.
    alphas, betas : ndarray of shape (steps, r)
        Step lengths, and ratios of squared residuals; zero for columns that were done before.
    """
    x = np.zeros_like(rhs)
    residual = rhs.copy()
    direction = rhs.copy()
    size = np.einsum("ij,ij->j", residual, residual)
    goal = tol * tol * size
    first = np.zeros_like(rhs)
    alphas, betas = [], []
    start = size
    for _ in range(MAX_STEPS):
        active = (size > goal) & (size < LARGEST_RATIO * start)
        if not active.any():
            break
        image = apply(direction)
        if not alphas:
            first = image.copy()
        curvature = np.einsum("ij,ij->j", direction, image)
        active &= curvature > size / LARGEST_RATIO
        alpha = np.where(active, size / np.where(active, curvature, 1.0), 0.0)
        if not alpha.any():
            break
        x += alpha * direction
        image *= alpha
        residual -= image
        now = np.einsum("ij,ij->j", residual, residual)
        beta = np.where(alpha > 0.0, now / np.where(size > 0.0, size, 1.0), 0.0)
        direction *= beta
        direction += residual
        size = np.where(alpha > 0.0, now, size)
        alphas.append(alpha)
        betas.append(beta)
    shape = (len(alphas), rhs.shape[1])
    return x, first, np.array(alphas).reshape(shape), np.array(betas).reshape(shape)


def _log_quadrature(alphas: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """z' log(T) z / z'z of each column by Gauss quadrature from its Lanczos matrix."""
    steps, r = alphas.shape
    done = alphas <= 0.0
    safe = np.where(done, 1.0, alphas)
    diagonal = 1.0 / safe
    diagonal[1:] += np.where(done[:-1], 0.0, betas[:-1] / safe[:-1])
    # columns that were done earlier are padded by an uncoupled one, whose logarithm is zero
    diagonal = np.where(done, 1.0, diagonal)
    beside = np.where(done[1:], 0.0, np.sqrt(betas[:-1]) / safe[:-1])
    matrix = np.zeros((r, steps, steps))
    index = np.arange(steps)
    matrix[:, index, index] = diagonal.T
    matrix[:, index[1:], index[:-1]] = beside.T
    values, vectors = np.linalg.eigh(matrix)
    return np.einsum("rk,rk->r", vectors[:, 0, :] ** 2, np.log(np.maximum(values, 1e-300)))


def _pair_sums(a: np.ndarray, b: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sum over columns of a_first b_second' for a (k, J, t) and b (l, J', t): shape (k, l, P)."""
    k, l, t = a.shape[0], b.shape[0], a.shape[2]
    out = np.empty((k, l, first.shape[0]))
    step = max(1, 400_000 // t)
    for start in range(0, first.shape[0], step):
        at = slice(start, start + step)
        for i in range(k):
            left = a[i][first[at]]
            for j in range(l):
                out[i, j, at] = np.einsum("pt,pt->p", left, b[j][second[at]])
    return out


def _sums_of_squares(B: np.ndarray, levels: np.ndarray, n_levels: int) -> np.ndarray:
    """Sum of B_p' B_p over the pairs of each level, for B (k0, k, P): shape (k, k, J)."""
    k = B.shape[1]
    out = np.empty((k, k, n_levels))
    for i in range(k):
        for j in range(i + 1):
            product = np.einsum("ap,ap->p", B[:, i], B[:, j])
            out[i, j] = np.bincount(levels, weights=product, minlength=n_levels)
            out[j, i] = out[i, j]
    return out
