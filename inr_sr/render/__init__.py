"""From a Field to colours: at points, on a grid, in strips, on patches, the skip included.

y(x) = up(LR)(x) + residual(x),   up = bicubic (a = -0.5), borders mirrored.
"""

from inr_sr.render.at_points import points
from inr_sr.render.in_strips import Strip, programs, strips
from inr_sr.render.on_grid import grid
from inr_sr.render.on_patches import patches

__all__ = ["Strip", "grid", "patches", "points", "programs", "strips"]
