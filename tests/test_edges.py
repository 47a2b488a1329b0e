import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr.data.edges import BLOCK, edge_blocks, most_edges
from inr_sr.data.samples import make_batch
from tests.test_samples import SPEC

SIDE = 4 * BLOCK
ROW, COL = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 5.5


def grey(values: np.ndarray) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3] of values in [0, 1]."""
    return np.repeat(np.round(255 * values).astype(np.uint8)[..., None], 3, axis=2)


def edge(angle: float) -> np.ndarray:
    """Dark on one side of a line near the middle, bright on the other."""
    distance = np.cos(angle) * ROW + np.sin(angle) * COL
    return grey(np.clip(0.5 + distance / 2, 0.2, 0.8))


def noise(deviation: float) -> np.ndarray:
    values = 0.5 + deviation * np.random.default_rng(0).standard_normal((SIDE, SIDE))
    return grey(np.clip(values, 0, 1))


@pytest.mark.parametrize("angle", [0.1, 0.7, 1.5, 2.4])
def test_edges_are_found_where_they_are(angle):
    found = np.asarray(edge_blocks(jnp.asarray(edge(angle))))
    middle = np.abs(np.cos(angle) * ROW + np.sin(angle) * COL) < 1
    crossed = middle.reshape(4, BLOCK, 4, BLOCK).sum(axis=(1, 3))
    assert found[crossed >= BLOCK].all()
    assert not found[crossed == 0].any()


@pytest.mark.parametrize(
    "image", [grey(np.full((SIDE, SIDE), 0.3)), noise(0.01), noise(0.2), edge(0.5) // 32 + 100]
)
def test_what_is_smooth_rough_or_faint_is_no_edge(image):
    assert np.asarray(edge_blocks(jnp.asarray(image))).mean() < 0.1


def test_the_crop_with_most_edges_is_chosen():
    both = np.where((np.abs(COL) > 8)[..., None], 255, edge(0.0))
    crops = jnp.asarray(np.stack([noise(0.2), edge(0.0), both, noise(0.01)]))
    chosen = jax.jit(most_edges, static_argnums=1)
    np.testing.assert_array_equal(chosen(crops, 0, jnp.float32(SIDE)), both)
    # Only the inside counts: at this extent there is nothing in it but the first crop's noise.
    np.testing.assert_array_equal(chosen(crops, 0, jnp.float32(BLOCK)), crops[0])


@pytest.mark.slow
def test_samples_are_made_of_the_chosen_crop():
    spec = dataclasses.replace(SPEC, min_scale=4, max_scale=4, queries=9, candidates=3)
    assert spec.crop == 48
    crops = np.stack([x[8:56, 8:56] for x in (noise(0.01), edge(0.3), noise(0.2))])
    keys = jax.random.split(jax.random.key(0), 20)
    several = make_batch(keys, jnp.asarray(np.repeat(crops[None], 20, axis=0)), spec)
    single = dataclasses.replace(spec, candidates=1)
    one = make_batch(keys, jnp.asarray(np.repeat(crops[None, 1:2], 20, axis=0)), single)
    jax.tree.map(np.testing.assert_array_equal, several, one)
