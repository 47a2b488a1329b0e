"""VGG16's features against torch's, and a loss made of them."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from inr_sr.devices import make_mesh, place, replicated
from inr_sr.errors import InputError
from inr_sr.models import vgg16
from inr_sr.training import losses
from inr_sr.training import state as training_state
from inr_sr.training import step as training_step
from inr_sr.training.loop import run
from inr_sr.training.losses.perceptual import _torch_key
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.tasks.super_resolution import SuperResolution
from inr_sr.training.trained import WEIGHTS, export
from inr_sr.training.validation import REPORT
from inr_sr.training.workdir import PERCEPTUAL
from inr_sr.weights import load_weights
from tests.tiny import (
    command_line,
    content,
    run_command_here,
    score,
    tiny,
    tiny_images,
    train,
)
from tests.vgg import GOLDEN, LAYERS, image, old_file, vgg

SIDE = 6
FEW = {"perceptual__layers": ("relu1_1", "relu1_2"), "perceptual__layer_weights": (1.0, 0.5)}
SQUARE = {"data__layout": "square", "data__queries": SIDE**2}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with images and files of weights."""
    root = tmp_path_factory.mktemp("perceptual")
    tiny_images(root / "images")
    save_file(vgg(2), root / "few.safetensors")
    (root / "few.pth").write_bytes(old_file(vgg(2)))
    save_file(vgg(8), root / "many.safetensors")
    (root / "text").write_text("no weights")
    return root


def config(root, name="few.pth", **changes):
    wanted = {"loss__perceptual": 0.1, "perceptual__weights": str(root / name)}
    return tiny(root / "images", **{**wanted, **FEW, **SQUARE, **changes})


def loaded(configuration):
    return SuperResolution(configuration).constants["perceptual"]


@pytest.mark.slow
def test_features_are_those_of_torch(root):
    many = {"perceptual__layers": LAYERS, "perceptual__layer_weights": (1.0,) * 4}
    large = {"data__queries": 64, "data__patch": 8}
    perceptual = loaded(config(root, "many.safetensors", **many, **large))
    order = LAYERS[::-1]
    found = vgg16.features(perceptual.params, jnp.asarray(image()), order)
    assert [x.shape[1:3] for x in found] == [(2, 2), (4, 5), (8, 10), (16, 21)]
    with np.load(GOLDEN) as golden:
        for name, x in zip(order, found):
            picked = np.asarray(x).reshape(-1)[:: max(1, x.size // 400)]
            assert golden[name].std() > 0.1
            np.testing.assert_allclose(picked, golden[name], rtol=1e-4, atol=1e-4)


def test_layers_and_what_they_need():
    assert vgg16.convolutions(["relu2_1", "relu1_1"]) == ["conv1_1", "conv1_2", "conv2_1"]
    assert vgg16.RELUS[0] == "relu1_1"
    assert vgg16.RELUS[-1] == "relu5_3"
    keys = [int(_torch_key(name).removeprefix("features.")) for name in vgg16.CONVOLUTIONS]
    assert keys == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    sides = [vgg16.min_side([name]) for name in ("relu1_2", "relu3_3", "relu5_1")]
    assert sides == [1, 4, 16]
    for layer, side in (("relu3_1", 4), ("relu4_2", 8)):
        shapes = jax.eval_shape(
            lambda layer=layer, side=side: vgg16.features(
                {
                    name: {"kernel": jnp.zeros((3, 3, *sizes)), "bias": jnp.zeros(sizes[1])}
                    for name, sizes in vgg16.CONVOLUTIONS.items()
                },
                jnp.zeros((1, side, side, 3)),
                [layer],
            )
        )
        assert shapes[0].shape[1:3] == (1, 1)
    with pytest.raises(InputError, match="unknown layer 'conv1_1' of VGG16; there are: relu1_1, "):
        vgg16.convolutions(["relu1_1", "conv1_1"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["few.pth", "few.safetensors"])
def test_the_term_is_its_formula_and_moves_the_image_alone(root, name):
    perceptual = loaded(config(root, name))
    assert perceptual.sha256 == hashlib.sha256((root / name).read_bytes()).hexdigest()
    rng = np.random.default_rng(0)
    prediction, target = (
        jnp.asarray(rng.random((2, SIDE**2, 3), np.float32)) for _ in ("prediction", "target")
    )
    value = perceptual(prediction, target)

    def layer(x, index):  # one convolution, by its definition
        kernel, bias = (vgg(2)[f"features.{index}.{part}"] for part in ("weight", "bias"))
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        moved = [padded[:, r : r + SIDE, c : c + SIDE] for r in range(3) for c in range(3)]
        kernels = kernel.transpose(2, 3, 1, 0).reshape(9, -1, len(bias))
        return np.maximum(sum(m @ k for m, k in zip(moved, kernels)) + bias, 0)

    def activations(x):
        x = np.asarray(x).reshape(2, SIDE, SIDE, 3)
        first = layer((x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], 0)
        return first, layer(first, 2)

    far = [np.abs(a - b).mean() for a, b in zip(activations(prediction), activations(target))]
    np.testing.assert_allclose(value, far[0] + 0.5 * far[1], rtol=1e-4)

    total, values = losses.terms(
        {"l1": 1.0, "perceptual": 0.1}, prediction, target, {"perceptual": perceptual}
    )
    np.testing.assert_allclose(total, values["l1"] + 0.1 * value, rtol=1e-5)
    gradient = jax.grad(lambda *all_: all_[0](*all_[1:]), argnums=(0, 1, 2))
    of_network, of_prediction, of_target = gradient(perceptual, prediction, target)
    assert not any(np.any(x) for x in jax.tree.leaves(of_network))
    assert not np.any(of_target)
    assert np.all(np.any(of_prediction, axis=-1))


def step(configuration):
    """State before, and what makes of it the state after a step, and metrics."""
    task, mesh = SuperResolution(configuration), make_mesh()
    optimizer = make_optimizer(configuration.optimizer, configuration.train.steps, task.labels)
    params = task.init(jax.random.key(1))
    state = jax.tree.map(np.asarray, training_state.create(params, optimizer, seed=2))
    constants = place(task.constants, replicated(mesh))
    perceptual = constants["perceptual"]
    data = task.loader(mesh, 0).take(1)
    advance = training_step.make_advance(configuration, task, optimizer, mesh, constants=constants)

    def advanced():
        after, metrics = advance(place(state, replicated(mesh)), data, 1)
        for index, name in ((0, "conv1_1"), (2, "conv1_2")):
            for part, order in (("weight", (2, 3, 1, 0)), ("bias", (0,))):
                expected = vgg(2)[f"features.{index}.{part}"].transpose(order)
                found = perceptual.params[name]["kernel" if part == "weight" else part]
                np.testing.assert_array_equal(found, expected)
        return jax.tree.map(np.asarray, after), metrics

    return state, advanced


@pytest.mark.slow
@pytest.mark.devices
def test_a_step_of_it_alone_moves_parameters(root):
    before, advanced = step(config(root, loss__l1=0.0, optimizer__warmup=0))
    after, metrics = advanced()
    assert metrics["perceptual"] > 0
    np.testing.assert_allclose(metrics["loss"], 0.1 * metrics["perceptual"], rtol=1e-5)
    for name in ("cos", "sin"):  # as long as this last layer is zero it alone moves
        old, new = (state.params["decoder"][name]["kernel"] for state in (before, after))
        assert np.any(old != new)


class Lowered(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("slow", [True, False])
def test_the_network_is_an_argument_of_the_program(root, monkeypatch, slow):
    """As constants, a program for it would hold all its numbers."""
    jit = jax.jit

    def lowering(function, **kwargs):
        def lower(*arguments):
            raise Lowered(jit(function, **kwargs).lower(*arguments).as_text())

        return lower

    monkeypatch.setattr(training_step, "loops_are_slow", lambda: slow)
    with monkeypatch.context() as patch:
        patch.setattr(training_step.jax, "jit", lowering)
        _, advanced = step(config(root))
    with pytest.raises(Lowered) as caught:
        advanced()
    text, kernel = str(caught.value), r"tensor<3x3x64x64xf32>"
    assert re.search(rf"@main\(.*%arg\d+: {kernel}", text)
    assert not re.search(rf"stablehlo\.constant dense<.*{kernel}", text)


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("finished") / "run"
    train(config(root, train__steps=4), workdir, score)
    return workdir


@pytest.mark.slow
def test_the_file_is_remembered(root, finished, tmp_path, capsys):
    sha256 = hashlib.sha256((root / "few.pth").read_bytes()).hexdigest()
    assert json.loads((finished / PERCEPTUAL).read_text()) == {"sha256": sha256}
    workdir = shutil.copytree(finished, tmp_path / "run")
    export(workdir)
    facts = load_weights(workdir / WEIGHTS).facts
    assert facts["perceptual"] == {"vgg16 sha256": sha256, "relu1_1": 1.0, "relu1_2": 0.5}

    (workdir / REPORT).mkdir()  # so that the command takes it as finished
    shutil.copy(root / "few.pth", tmp_path / "elsewhere.pth")
    moved = {"perceptual__weights": str(tmp_path / "elsewhere.pth")}
    other = {"perceptual__weights": str(root / "few.safetensors")}
    before = content(tmp_path)
    for again in (
        lambda c: train(c, workdir, score),
        lambda c: run(SuperResolution.evaluated(c, workdir), c, workdir),
    ):
        with pytest.raises(InputError, match=f"its SHA-256 is {sha256} there, "):
            again(config(root, train__steps=4, **other))
        again(config(root, train__steps=4, **moved))
    assert capsys.readouterr().err == f"{workdir} is finished already; eval.py evaluates it again\n"
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"perceptual__weights": ""},
            "loss.perceptual needs perceptual.weights: the file of torch",
        ),
        ({"perceptual__weights": ""}, "https://download.pytorch.org/models/vgg16-397923af.pth"),
        ({"data__layout": "points"}, "needs data.layout = 'square', and for"),
        (
            {"data__queries": 9, "perceptual__layers": ("relu3_1", "relu1_1")},
            "for relu3_1 data.queries of at least 16, 4 pixels a side; not 'square' and 9",
        ),
        (
            {"perceptual__layers": ("relu1_1", "relu9_1")},
            "perceptual.layers: unknown layer 'relu9_1'",
        ),
        ({"perceptual__layers": ()}, "perceptual.layers: unknown layer none"),
        ({"perceptual__layers": ("relu1_1",) * 2}, "must differ from each other"),
        ({"perceptual__layer_weights": (1.0,)}, "perceptual.layer_weights (1.0,) must be finite"),
        ({"perceptual__layer_weights": (1.0, 0.0)}, "above 0, one for each of perceptual.layers"),
        ({"perceptual__layer_weights": (1.0, "a")}, "above 0, one for each of perceptual.layers"),
        ({"perceptual__layers": ("relu1_1", "relu2_1")}, "it has no tensor features.5.weight"),
        ({"loss__perceptual": -1.0}, "must be finite and >= 0"),
    ],
)
def test_mistakes_leave_nothing_behind(root, tmp_path, change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        train(config(root, **change), tmp_path / "run", score)
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_in_one_line(root, tmp_path, monkeypatch, capfd):
    wanted = {"loss__perceptual": 0.1, **SQUARE}
    for file, message in (
        ("", r"loss\.perceptual needs perceptual\.weights: .*vgg16-397923af\.pth"),
        (str(root / "text"), r"perceptual\.weights: .*text is damaged, or not a weights file .*"),
        (str(root / "none"), r"perceptual\.weights: cannot read .*none: No such file .*"),
    ):
        given = f"--config.perceptual.weights={file}"
        arguments = command_line(tmp_path / "run", root / "images", given, **wanted)
        assert run_command_here(monkeypatch, arguments) == 2
        stdout, stderr = capfd.readouterr()
        assert stdout == ""
        assert re.fullmatch(rf"error: {message}.*\n", stderr), stderr
    assert list(tmp_path.iterdir()) == []
