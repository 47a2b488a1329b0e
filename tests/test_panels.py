import numpy as np
from PIL import Image

from inr_sr.evaluation.evaluate import magnified_detail
from inr_sr.reporting import panels
from tests.upscalers import Constant, Images, Kernel, run, smooth_image


def test_the_busiest_window_is_found():
    activity = np.zeros((40, 50))
    activity[0, 0] = 9.0  # in the border
    activity[20:24, 31:35] = 1.0
    assert panels.busiest_window(activity, (4, 4), (2, 2)) == (20, 31, 4, 4)
    assert panels.busiest_window(activity, (64, 8))[2:] == (40, 8)


def test_surroundings_stay_inside():
    assert panels.surroundings((90, 0, 8, 8), (40, 40), (100, 30)) == (60, 0, 40, 30)
    assert panels.surroundings((50, 50, 8, 8), (4, 20), (100, 100)) == (50, 44, 8, 20)


def test_panel_shows_the_pixels_that_were_scored(tmp_path):
    truth = smooth_image(300, 290)
    damaged = truth.copy()
    damaged[100:110, 200:210] = 255 - damaged[100:110, 200:210]
    results = run(
        [Constant(damaged / np.float32(255), "bicubic"), Kernel("lanczos")],
        Images(**{"some where/name": truth}),
        panel_images=1,
    )
    (panel,) = results.panels
    labels = [column.label for column in panel.columns]
    assert labels == ["LR pixels", "bicubic", "lanczos", "truth"]
    assert panel.columns[1].note == f"{results.rows[0].scores['psnr_y']:.2f} dB"
    row, col, rows, cols = panel.box
    shown, true = (panel.columns[i].view[row : row + rows, col : col + cols] for i in (1, 3))
    assert (shown != true).any(axis=2).sum() == 100  # all of the damage is in the marked part

    path = panels.write_panel(tmp_path / "panels", panel)
    assert path.name == "00_some_where_name_x2.png"
    sheet = np.array(Image.open(path))
    magnified = true.repeat(panels.ZOOM, 0).repeat(panels.ZOOM, 1)
    assert (magnified == sheet[-12 - 256 : -12, -12 - 256 : -12]).all()


def test_panels_only_of_the_first_images():
    source = Images(a=smooth_image(), b=smooth_image(), c=smooth_image())
    results = run([Kernel()], source, "2,3", panel_images=2)
    assert [panel.title for panel in results.panels] == ["a ×2", "a ×3", "b ×2", "b ×3"]


def test_a_magnified_detail_hides_its_surroundings():
    bicubic = Kernel()
    panel = magnified_detail([bicubic], smooth_image(96, 96), "one", factor=12)
    assert panel.box is None
    assert [column.view.shape for column in panel.columns] == [(384, 384, 3)] * 2
    rows, cols, *size = bicubic.calls[0]
    assert min(rows, cols) >= 48
    assert size == [rows * 12, cols * 12]
    assert panels.draw(panel).height > 384
