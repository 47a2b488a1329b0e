"""Weights in the layout of torchvision's VGG16, and files of them.

`python -m tests.vgg`, where torch is installed, writes its golden values again.
"""

import pickle
import struct
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden" / "vgg16.npz"
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_1")
WIDTHS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def vgg(count):
    """Random numbers of the first `count` convolutions, by their keys."""
    rng, tensors, inputs, index = np.random.RandomState(0), {}, 3, 0
    for width in WIDTHS:
        if len(tensors) == 2 * count:
            break
        if width == "M":
            index += 1
            continue
        kernel = rng.standard_normal((width, inputs, 3, 3)) * (2 / (9 * inputs)) ** 0.5
        tensors[f"features.{index}.weight"] = kernel.astype(np.float32)
        tensors[f"features.{index}.bias"] = 0.1 * rng.standard_normal(width).astype(np.float32)
        inputs, index = width, index + 2
    return tensors


def image():
    return np.random.RandomState(1).random_sample((1, 16, 21, 3)).astype(np.float32)


def small():
    """What `small.pth` and its like in GOLDEN hold, as far as it is floating."""
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7 - 1
    return {"whole": base, "turned": base[0].T, "part": base[1, 1:], "half": base[:, 0, 1:3]}


def text(value):
    """A string as Python 2 pickled it."""
    return b"U" + bytes([len(value)]) + value.encode()


def number(value):
    return pickle.dumps(value, protocol=2)[2:-1]


def old_file(tensors, view=False):
    """Bytes of torch.save in Python 2 and torch 0.1: parameters, and no _rebuild_tensor_v2.

    With `view` every tensor is a part of a storage that begins with 3 other numbers.
    """
    before = 3 if view else 0
    content = b"\x80\x02ccollections\nOrderedDict\n]\x85R("
    for key, tensor in tensors.items():
        strides = [stride // tensor.itemsize for stride in tensor.strides]
        seen = (
            b"(" + text(f"v{key}") + number(before) + number(tensor.size) + b"t" if view else b"N"
        )
        content += text(key) + b"ctorch.nn.parameter\nParameter\nctorch._utils\n_rebuild_tensor\n(("
        content += text("storage") + b"ctorch\nFloatStorage\n" + text(f"s{key}") + text("cpu")
        content += number(tensor.size + before) + seen + b"tQ" + number(0)
        for numbers in (tensor.shape, strides):
            content += b"(" + b"".join(map(number, numbers)) + b"t"
        content += b"tR\x85R(\x88\x89ccollections\nOrderedDict\n]\x85Rtb"
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    keys = [f"s{key}" for key in tensors]
    heads = [pickle.dumps(x, protocol=2) for x in (0x1950A86A20F9469CFC6C, 1001, system)]
    numbers = [
        struct.pack("<q", tensor.size + before) + bytes(4 * before) + tensor.tobytes()
        for tensor in tensors.values()
    ]
    return b"".join([*heads, content + b"u.", pickle.dumps(keys, protocol=2), *numbers])


def _golden():
    import io

    import torch
    from torch import nn

    parts, inputs = [], 3
    for width in WIDTHS:
        if width == "M":
            parts.append(nn.MaxPool2d(2, 2))
            continue
        parts += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
        inputs = width
    network = nn.Sequential(*parts[:19])  # up to relu4_1
    state = {key.removeprefix("features."): torch.from_numpy(x) for key, x in vgg(8).items()}
    network.load_state_dict(state)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's transform
    x = (torch.from_numpy(image()) - torch.tensor(mean)) / torch.tensor(deviation)
    x, found = x.permute(0, 3, 1, 2), {}
    places = dict(zip((3, 8, 15, 18), LAYERS))
    for index, part in enumerate(network):
        x = part(x)
        if index in places:
            found[places[index]] = x.permute(0, 2, 3, 1).detach().numpy().copy()
    found = {name: x.reshape(-1)[:: max(1, x.size // 400)] for name, x in found.items()}

    base = torch.from_numpy(small()["whole"])
    state = nn.ModuleDict({"at": nn.BatchNorm2d(2)}).state_dict()  # a count of type int64, too
    state |= {"whole": nn.Parameter(base), "turned": base[0].T, "part": base[1, 1:]}
    state |= {"half": base[:, 0, 1:3].half()}
    for name, new in (("zip", True), ("legacy", False)):
        stream = io.BytesIO()
        torch.save(state, stream, _use_new_zipfile_serialization=new)
        found[name] = np.frombuffer(stream.getvalue(), np.uint8)
    for view in (False, True):  # torch itself reads what is written here by hand
        loaded = torch.load(io.BytesIO(old_file(vgg(1), view)), weights_only=True)
        for key, expected in vgg(1).items():
            np.testing.assert_array_equal(loaded[key].detach().numpy(), expected)
    np.savez_compressed(GOLDEN, **found)


if __name__ == "__main__":
    _golden()
