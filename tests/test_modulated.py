import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr import models, render
from inr_sr.coordinates import grid_axis, upright_footprint, window_axis
from inr_sr.errors import InputError
from inr_sr.models.decoders.modulated import FRAMES, nearest_offsets
from inr_sr.models.decoders.modulated import grid as modulated_grid
from inr_sr.models.field import Field
from inr_sr.studies import controls
from inr_sr.upscaling import NetworkUpscaler
from tests.networks import noise_image, random_images, random_model, small_config
from tests.test_render import at_once, axes, grid, points, queries

SIZE = (9, 14)
TOKENS = {"encoder": "lp_tokens"}
IMAGE_FRAME = {"frame": "picture", "nearest": 0}


def field_of(size=SIZE, model_changes=TOKENS, seed=0, batch=1, decoder="modulated", **changes):
    model, params = random_model(decoder, seed, **model_changes, modulated=changes)
    return jax.jit(model.apply)({"params": params}, random_images(*size, batch=batch))


def formula(field, cell, delta, size):
    """The equation of the decoder in float64, a query at a time, over all tokens."""
    field = jax.tree.map(lambda x: np.asarray(x, np.float64), field.function)
    m, s = field.margin, field.spacing
    rows, cols, heads, part = field.keys.shape[1:]
    places = [((np.arange(n) - m) + 0.5) * s for n in (rows, cols)]
    size = np.maximum(size, field.smallest)

    def waves(part, x):
        turn = 2 * np.pi * (part.frequencies @ x)
        fade = np.exp(-field.kappa * (2 * np.pi) ** 2 * (part.frequencies**2 @ size**2))
        return np.concatenate([fade * np.cos(turn), fade * np.sin(turn)]) @ part.layer.kernel + (
            part.layer.bias
        )

    def query(cell, delta):
        x = cell + field.origin + 0.5 + delta
        token = (cell + field.origin) // s
        position = x if field.frame == "picture" else x - (token + 0.5) * s
        q = np.maximum(waves(field.query, position), 0).reshape(heads, part)
        squared = (places[0][:, None] - x[0]) ** 2 + (places[1][None] - x[1]) ** 2
        logits = np.einsum("he,ijhe->ijh", q, field.keys[0]) / np.sqrt(part)
        logits = logits - squared[..., None] / (2 * np.exp(2 * field.log_tau))
        if field.nearest:
            seen = np.full(squared.shape, -np.inf)
            for row, col in field.nearest:
                seen[int(token[0]) + m + int(row), int(token[1]) + m + int(col)] = 0
            logits = logits + seen[..., None]
        weights = np.exp(logits - logits.max((0, 1)))
        weights /= weights.sum((0, 1))
        modulation = np.einsum("ijh,ijhe->he", weights, field.values[0])
        total, v = 0, None
        for band in field.bands:
            u = np.maximum(
                waves(band.waves, position) + np.einsum("he,hed->d", modulation, band.projection), 0
            )
            v = u if v is None else u + v
            for layer in band.layers:
                v = v + np.maximum(v @ layer.kernel + layer.bias, 0)
            n = (v - v.mean()) / np.sqrt(v.var() + 1e-6)
            total = total + (n / len(v)) @ band.output.kernel + band.output.bias
        return total

    return np.stack([query(c, d) for c, d in zip(np.asarray(cell), np.asarray(delta, np.float64))])


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nearest": 5, "frame": "picture", "layers": 2},
        {"nearest": 0},
        IMAGE_FRAME,
        {"fades": False},
    ],
)
def test_points_are_the_formula(changes):
    field = field_of(**changes)
    cell, delta, footprint = queries(SIZE, (22, 31))
    some = slice(0, None, 17)
    size = np.sqrt(np.diagonal(footprint[0, 0]))
    found = points(Field(None, field.function), cell[:, some], delta[:, some], footprint)
    expected = formula(field, cell[0, some], delta[0, some], size)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found[0], expected, atol=3e-5)


KINDS = [
    (TOKENS, {}),
    (TOKENS, {"nearest": 13, "frame": "picture"}),
    (TOKENS, IMAGE_FRAME),
    ({"encoder": "edsr"}, {"layers": 2}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model_changes", "changes"), KINDS)
def test_grids_windows_and_strips_are_points(model_changes, changes, monkeypatch):
    field = field_of(model_changes=model_changes, batch=2, **changes)
    for out in ((18, 28), (27, 61)):
        rows, cols = axes(SIZE, out)
        cell, delta, footprint = queries(SIZE, out)
        both = (jnp.broadcast_to(x, (2, *x.shape[1:])) for x in (cell, delta))
        expected = points(field, *both, footprint).reshape(2, *out, 3)
        np.testing.assert_allclose(grid(field, rows, cols), expected, atol=1e-4)
        window = [window_axis(n, m, slice(5, 17)) for n, m in zip(SIZE, out)]
        found = grid(field, *window)
        np.testing.assert_allclose(found, expected[:, 5:17, 5:17], atol=1e-4)
        with monkeypatch.context() as patch:
            at_once(patch, 4)
            strips = [strip.colours for strip in render.strips(field, rows, cols)]
        assert len(strips) == 3
        np.testing.assert_allclose(np.concatenate(strips, axis=1), expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"nearest": 0}])
def test_memory_does_not_grow_with_the_output(changes):
    """Beyond the output itself, which may be there twice."""

    def needed(side):
        field = field_of((side, side), **changes).function
        both = axes((side, side), (4 * side, 4 * side))
        compiled = jax.jit(lambda f: f.grid(*both, ((), ()))).lower(field).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    outputs = [12 * (4 * side) ** 2 for side in (24, 48)]
    assert needed(48) - needed(24) < 3 * (outputs[1] - outputs[0])


@pytest.mark.slow
def test_cells_too_large_for_a_block_are_rendered_by_points(monkeypatch):
    field = field_of()
    rows, cols = axes(SIZE, (18, 28))
    expected = grid(field, rows, cols)
    monkeypatch.setattr(modulated_grid, "_queries_per_block", lambda: 63)
    monkeypatch.setattr(modulated_grid, "_Grid", None)
    np.testing.assert_allclose(jax.jit(render.grid)(field, rows, cols), expected, atol=1e-4)


@pytest.mark.slow
def test_an_untrained_model_is_bicubic():
    config = small_config("modulated", **TOKENS)
    model = models.build(config)
    field = model.apply({"params": models.init(model, jax.random.key(0))}, random_images(*SIZE))
    rows, cols = axes(SIZE, (27, 61))
    np.testing.assert_array_equal(grid(Field(None, field.function), rows, cols), 0)


def test_without_the_skip_the_field_is_all():
    config = small_config("modulated", skip=False, **TOKENS)
    model = models.build(config)
    field = model.apply({"params": models.init(model, jax.random.key(0))}, random_images(*SIZE))
    assert field.image is None
    assert float(jnp.abs(grid(field, *axes(SIZE, (18, 28)))).max()) > 1e-3


def test_the_small_preset_has_the_decoder_of_the_original():
    """380 thousand parameters."""
    from configs import lp_small

    model = models.build(lp_small.get_config().model)
    shapes = jax.eval_shape(lambda: models.init(model, jax.random.key(0)))["decoder"]
    waves, square = 64 * 256 + 256, 256 * 256
    layers = 3 * waves + 2 * (square + 256) + 2 * square + (square + 256) + 2 * (3 * 256 + 3)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == layers + 3 * 32 * 2 + 4
    assert round(layers, -4) == 380_000


def test_the_large_preset_has_its_width_layers_and_features():
    from configs import lp_large

    model = models.build(lp_large.get_config().model)
    shapes = jax.eval_shape(lambda: models.init(model, jax.random.key(0)))["decoder"]
    query_and_bands = 4 * (64 * 2 + 128 * 512 + 512)
    tokens = 2 * (256 * 512 + 512) + 3 * 512**2
    residual = 2 * 3 * (512**2 + 512)
    expected = query_and_bands + tokens + residual + 3 * (3 * 512 + 3) + 1 + 8
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"initialisation": "inverse_sigma", "bands": (64.0, 16.0), "lr_size": 8},
         (1 / 512, 1 / 128)),
        ({"initialisation": "gaussian", "bands": (0.5, 3.0)}, (0.5, 3.0)),
        ({"initialisation": "geometric", "bands": (0.5, 2.0)}, (0.172, 0.822)),
        ({"initialisation": "power", "bands": (0.5, 2.0), "alpha": 1.5}, (0.196, 0.880)),
        ({"initialisation": "power", "bands": (0.5, 2.0), "alpha": 0.5}, (0.231, 0.986)),
        ({"initialisation": "annulus", "bands": (0.5, 2.0)}, (0.250, 1.031)),
    ],
)  # fmt: skip
def test_frequencies_start_as_the_configuration_says(changes, expected):
    """Root mean square of a coordinate; of a density r^(1 - alpha) by its integral."""
    config = small_config("modulated", **TOKENS, modulated={**changes, "features": 4000})
    model = models.build(config)
    params = jax.jit(lambda key: models.init(model, key))(jax.random.key(0))["decoder"]
    found = [np.sqrt(np.mean(np.square(params[f"frequencies_{name}"]))) for name in (0, 1, "query")]
    np.testing.assert_allclose(found, [*expected, expected[0]], rtol=0.05)


def test_fields_know_frame_and_largest_scale():
    image = random_images(8, 8)
    for frame in FRAMES:
        model, params = random_model("modulated", modulated={"frame": frame, "max_scale": 3.0})
        field = model.apply({"params": params}, image).function
        assert (field.frame, field.smallest) == (frame, 1 / 3)


def test_nearest_offsets_are_those_of_the_nearest_cells():
    assert nearest_offsets(1) == ((0, 0),)
    assert set(nearest_offsets(9)) == {(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)}
    assert max(r * r + c * c for r, c in nearest_offsets(13)) == 4
    with pytest.raises(InputError, match=r"nearest 4 must be 0 \(all\) or one of 1, 5, 9, 13, 21"):
        nearest_offsets(4)


@pytest.mark.slow
def test_all_tokens_near_are_all_tokens():
    """Of three by three tokens, those in the middle see all by seeing the nearest nine."""
    model, params = random_model("modulated", **TOKENS, modulated={"nearest": 0})
    near, _ = random_model("modulated", **TOKENS, modulated={"nearest": 9})
    image = random_images(12, 12)
    all_of, nine = (m.apply({"params": params}, image).function for m in (model, near))
    cell, delta, footprint = queries((4, 4), (9, 11))
    found = nine.points(cell + 4, delta, footprint)
    np.testing.assert_allclose(found, all_of.points(cell + 4, delta, footprint), atol=1e-5)


def test_waves_fade_where_output_pixels_are_large():
    """At a strong band limit nothing is left of waves, so that all offsets in a cell are alike."""
    field = dataclasses.replace(field_of(nearest=1).function, kappa=jnp.float32(1e3))
    cell, delta, _ = queries(SIZE, SIZE)
    large, small = (
        [field.points(cell, delta + move, upright_footprint(jnp.full((1, 1, 2), size)))
         for move in (0.0, 0.2)]
        for size in (1.0, 0.25)
    )  # fmt: skip
    np.testing.assert_allclose(large[0], large[1], atol=1e-5)
    still = dataclasses.replace(field, kappa=jnp.float32(0))
    moved = [
        still.points(cell, delta + m, upright_footprint(jnp.ones((1, 1, 2)))) for m in (0, 0.2)
    ]
    assert float(jnp.abs(moved[0] - moved[1]).max()) > 0.01
    assert float(jnp.abs(small[0] - large[0]).max()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("control", ["end_points", "raster_distance"])
def test_controls_are_the_wrong_conventions_they_say(control):
    size, out = (8, 12), (22, 31)
    right, wrong = (
        field_of(size, decoder=kind, **IMAGE_FRAME).function for kind in ("modulated", control)
    )
    cell, delta, footprint = queries(size, out)
    (_, expected), (_, found) = (f.attention(cell, delta, footprint) for f in (right, wrong))
    assert float(expected[0, 0, 0]) > 1
    if control == "end_points":  # the first and the last output pixel lie on tokens
        assert float(found[0, 0, 0]) == pytest.approx(0, abs=1e-3)
        assert float(found[0, -1, -1]) == pytest.approx(0, abs=1e-3)
        # The waves see those positions, too: at the borders of the image.
        position = wrong.query_positions(wrong.locate(cell, delta), footprint)
        np.testing.assert_allclose(position[0, 0], 0, atol=1e-4)
        np.testing.assert_allclose(position[0, -1], size, atol=1e-4)
    else:  # the token below is a row of tokens away
        first = np.sqrt(np.asarray(found[0, 0]))
        np.testing.assert_allclose(np.diff(first), 4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [2, 4, 8])
@pytest.mark.parametrize("changes", [{}, IMAGE_FRAME])
def test_a_halo_is_read_but_not_covered(spacing, changes):
    """The field inside is that of the whole image, queried further inside."""
    lattice = {"patch": spacing, "spacing": spacing}
    model, params = random_model("modulated", **TOKENS, lp_tokens=lattice, modulated=changes)
    image, halo = random_images(24, 24), 3
    run = jax.jit(model.apply, static_argnums=2)
    whole, inside = (run({"params": params}, image, h).function for h in (0, halo))
    cell, delta, footprint = queries((18, 18), (37, 45))
    found = inside.points(cell, delta, footprint)
    np.testing.assert_allclose(found, whole.points(cell + halo, delta, footprint), atol=1e-5)
    assert inside.lattice == (18, 18)


@pytest.mark.slow
def test_an_ensemble_of_whole_images_turns_with_the_image():
    model, params = random_model("modulated", **TOKENS, trained_size=16)
    upscaler = NetworkUpscaler(model, params, "tokens", ensemble=True)
    image, size = noise_image(16, 13), (40, 27)
    found = upscaler.upscale(image, size)
    for flip in (np.s_[::-1, :], np.s_[:, ::-1]):
        np.testing.assert_allclose(upscaler.upscale(image[flip], size)[flip], found, atol=1e-5)
    turned = upscaler.upscale(image.swapaxes(0, 1), size[::-1]).swapaxes(0, 1)
    np.testing.assert_allclose(turned, found, atol=1e-5)
    plain = NetworkUpscaler(model, params, "tokens").upscale(image, size)
    assert 1e-3 < np.abs(plain - found).mean() < 0.1


@pytest.mark.slow
def test_larger_images_are_seen_in_tiles_of_the_trained_size():
    model, params = random_model("modulated", **TOKENS, trained_size=16)
    mild = jax.tree.map(lambda p: p * jnp.asarray(0.5, p.dtype), params)
    upscaler = NetworkUpscaler(model, mild, "tokens")
    image, size = noise_image(29, 33), (64, 80)
    whole = upscaler.upscale(image, size)
    part = upscaler.window(image, size, slice(31, 57), slice(40, 79))
    np.testing.assert_allclose(part, whole[31:57, 40:79], atol=1e-6)
    # Three by three tiles of 10 x 11; the last one, and two pixels around it.
    around = np.pad(image, ((2, 4), (2, 4), (0, 0)), mode="symmetric")[20:34, 22:37]
    field = model.apply({"params": mild}, jnp.asarray(around)[None], 2)
    corners = [(29, 64, 20, 9), (33, 80, 22, 11)]
    last = [grid_axis(n, m, cell=c, count=k, origin=c) for n, m, c, k in corners]
    expected = np.clip(grid(field, *last)[0], 0, 1)
    np.testing.assert_allclose(whole[-len(last[0]) :, -len(last[1]) :], expected, atol=1e-6)
    small = noise_image(16, 13)
    field = model.apply({"params": mild}, jnp.asarray(small)[None])
    expected = np.clip(grid(field, *axes((16, 13), (40, 26)))[0], 0, 1)
    np.testing.assert_allclose(upscaler.upscale(small, (40, 26)), expected, atol=1e-6)
    with pytest.raises(InputError, match="tokens sees whole images; points and warps need"):
        upscaler.warp(image, np.eye(3), (29, 33))
    with pytest.raises(InputError, match="tile 8 is not allowed for tokens, which sees whole"):
        NetworkUpscaler(model, mild, "tokens", tile=8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"initialisation": "normal"},
            "model.modulated.initialisation 'normal' must be one of annulus, gaussian, ",
        ),
        ({"frame": "token"}, "model.modulated.frame 'token' must be one of cell, picture"),
        ({"bands": (2.0, 1.0)}, "must be numbers above 0 that rise"),
        ({"alpha": 60.0}, "alpha 60.0 must be from 0 to 4"),
        ({"alpha": float("nan")}, "alpha nan must be from 0 to 4"),
        ({"initialisation": "inverse_sigma"}, "must be numbers above 0 that fall"),
        ({"features": 7}, "features 7 must be even"),
        ({"heads": 5}, "heads 5 divide hidden"),
        ({"nearest": 3}, "nearest 3 must be 0"),
        ({"nearest": 4, "frame": "picture"}, "nearest 4 must be 0"),
    ],
)
def test_decoders_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        models.build(small_config("modulated", modulated=changes))


def test_controls_are_of_positions_in_the_image_and_all_tokens():
    assert {"end_points", "raster_distance"} <= controls.DECODERS.keys()
    with pytest.raises(
        InputError, match=r"needs .*frame 'picture' and nearest 0, not 'cell' and 9"
    ):
        models.build(small_config("end_points"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"lp_tokens": {"mixer": "mamba"}},
            "model.lp_tokens.mixer 'mamba' must be one of attention, state_space",
        ),
        (
            {"lp_tokens": {"layout": "mixed"}},
            "model.lp_tokens.layout 'mixed' must be one of cross, interleaved",
        ),
        ({"lp_tokens": {"patch": 3}}, "model.lp_tokens.patch 3 must be one of 2, 4, 8, 16"),
        ({"lp_tokens": {"heads": 3}}, "heads 3 must divide model.lp_tokens.width 8"),
        ({"decoder": "spectral"}, "'spectral' needs features of every LR pixel"),
    ],
)
def test_token_systems_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        models.build(small_config(**{"decoder": "modulated", "encoder": "lp_tokens", **changes}))
