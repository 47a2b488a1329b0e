"""Rotating, shearing, tilting an image of any size, enlarging and shrinking on the way.

`homography` says where output pixels come from and how large they are there, `anisotropic` averages
where they are larger than LR pixels, on the halvings of the image.
"""

from inr_sr.upscaling.warping.blocks import Part, by_interpolation, by_network
from inr_sr.upscaling.warping.homography import Homography

__all__ = ["Homography", "Part", "by_interpolation", "by_network"]
