"""A weights file is read back exactly, or refused in one line that says why."""

import json
import struct

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file

import inr_sr
from inr_sr import models, weights
from inr_sr.errors import InputError
from tests.networks import random_model, small_config


@pytest.fixture
def file(tmp_path):
    _, params = random_model()
    path = tmp_path / "small.safetensors"
    weights.save_weights(path, params, small_config(), {"steps": 3, "data": ["a", "b"]})
    return path


def _metadata(path):
    with weights.safe_open(path, framework="numpy") as opened:
        return opened.metadata()


def test_round_trip_is_exact_and_holds_config_and_facts(file):
    _, params = random_model()
    read = weights.load_weights(file)
    assert jax.tree.structure(read.params) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, read.params, params)
    assert read.name == "small"
    assert read.config.to_dict() == small_config().to_dict()
    assert read.facts == {"steps": 3, "data": ["a", "b"]}
    upscaler = inr_sr.load(file)
    assert upscaler.name == "small"
    assert upscaler.parameters == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_a_model_is_loaded_with_fields_that_came_later_at_their_defaults(file):
    stored = json.loads(small_config().to_json())
    del stored["trained_size"]
    _rewrite(file, lambda t: None, json.dumps(stored))
    model, read = weights.load_model(file)
    assert "trained_size" not in weights.load_weights(file).config
    read_back, expected = read.config.to_dict(), small_config().to_dict()
    used = ("encoder", "edsr", "decoder", "spectral", "skip", "dtype", "trained_size")
    assert {name: read_back[name] for name in used} == {name: expected[name] for name in used}
    assert model == models.build(small_config())


def test_the_checksum_covers_names_shapes_and_values(file):
    tensors = load_file(file)
    key = "encoder/head/bias"
    same = weights.checksum(dict(reversed(tensors.items())))
    assert same == weights.load_weights(file).sha256
    for changed in (
        {**tensors, key: tensors[key] + np.float32(1e-6)},
        {**tensors, key: tensors[key][None]},
        {("renamed" if k == key else k): v for k, v in tensors.items()},
    ):
        assert weights.checksum(changed) != same


def test_names_are_those_in_the_package(file, monkeypatch):
    monkeypatch.setattr(weights, "PRETRAINED", file.parent)
    assert weights.names() == ["small"]
    assert weights.find("small") == file
    with pytest.raises(InputError, match=r"unknown weights 'large'; there are: small"):
        inr_sr.load("large")


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def _flip_a_byte_of_the_tensors(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 64
    path.write_bytes(data)


def _flip_a_byte_of_the_header(path):
    data = bytearray(path.read_bytes())
    data[8] ^= 64
    path.write_bytes(data)


def _from_elsewhere(path):
    save_file({"weight": np.zeros(3, np.float32)}, path, {"format": "pt"})


def _rewrite(path, change, config=None):
    tensors, metadata = load_file(path), _metadata(path)
    change(tensors)
    metadata["sha256"] = weights.checksum(tensors)
    if config is not None:
        metadata["config"] = config
    save_file(tensors, path, metadata)


KEY = "decoder/cos/kernel"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"), "damaged"),
        (_flip_a_byte_of_the_header, "damaged"),
        (_flip_a_byte_of_the_tensors, "checksum"),
        (_from_elsewhere, "no weights of this package"),
        (lambda path: _rewrite(path, lambda t: t.pop(KEY)), f"another model: {KEY} is missing"),
        (
            lambda path: _rewrite(path, lambda t: t.update(extra=t[KEY])),
            "another model: extra is not part of it",
        ),
        (
            lambda path: _rewrite(path, lambda t: t.update({KEY: t[KEY][:, :-3].copy()})),
            rf"another model: {KEY} is \[8, 24\], not \[8, 27\]",
        ),
        (
            lambda path: _rewrite(path, lambda t: t.update({KEY: np.full((8, 27), np.nan, "f4")})),
            "not finite",
        ),
        (
            lambda path: _rewrite(path, lambda t: None, small_config("liif").to_json()),
            "weights of another model",
        ),
        (lambda path: _rewrite(path, lambda t: None, '{"coder": "edsr"}'), "describes no model"),
        (lambda path: _rewrite(path, lambda t: None, "no json"), "damaged"),
    ],
)
def test_damaged_and_foreign_files_are_refused(file, damage, message):
    damage(file)
    with pytest.raises(InputError, match=message) as caught:
        inr_sr.load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no weights file"):
        inr_sr.load(tmp_path / "none.safetensors")


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        weights.save_weights(file, {"a": np.ones(2, np.float32)}, ConfigDict(), {})
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
