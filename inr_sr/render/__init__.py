"""Renders a Field to colours: at points, on a grid, on patches, or in strips that bound the memory.

y(x) = up(LR)(x) + f(x),   up = bicubic (a = -0.5), borders mirrored
"""

from inr_sr.render.streaming import Strip, programs, strips
from inr_sr.render.whole import grid, patches, points

__all__ = ["Strip", "grid", "patches", "points", "programs", "strips"]
