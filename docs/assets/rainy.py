"""Makes rainy.jpg: painted rain over scikit-image's `rocket`, a photograph that SpaceX released into the public domain.

    python3 docs/assets/rainy.py        # needs numpy, Pillow, scikit-image
"""

import pathlib

import numpy as np
from PIL import Image
from skimage import data

ANGLE = np.radians(12)
# (streaks per pixel, length, width, brightness): mist-like short ones, ordinary ones, a few near ones.
LAYERS = [(1 / 300, 14, 0.55, 0.12), (1 / 700, 28, 0.7, 0.22), (1 / 4000, 60, 1.2, 0.25)]


def streaks(rng, height, width, count, length, thickness, brightness):
    rain = np.zeros((height, width))
    for _ in range(count):
        x, y = rng.uniform(-20, width + 20), rng.uniform(-20, height + 20)
        reach = length * rng.uniform(0.6, 1.4)
        thick = thickness * rng.uniform(0.7, 1.3)
        angle = ANGLE + rng.normal(0, 0.02)
        bright = brightness * rng.uniform(0.4, 1)
        left, right = int(max(0, x - reach)), int(min(width, x + reach))
        top, bottom = int(max(0, y - reach)), int(min(height, y + reach))
        if right <= left or bottom <= top:
            continue
        dx, dy = np.meshgrid(np.arange(left, right) - x, np.arange(top, bottom) - y)
        along, across = dx * np.sin(angle) + dy * np.cos(angle), dx * np.cos(angle) - dy * np.sin(angle)
        ends = np.clip((reach / 2 - np.abs(along)) / 4 + 0.5, 0, 1)
        rain[top:bottom, left:right] += bright * np.exp(-((across / thick) ** 2)) * ends
    return rain


def main():
    rng = np.random.default_rng(5)
    clean = data.rocket()[..., :3] / 255
    height, width = clean.shape[:2]
    rain = sum(streaks(rng, height, width, int(per_pixel * height * width), *layer) for per_pixel, *layer in LAYERS)
    rain = np.clip(rain, 0, 0.7)[..., None]
    rainy = clean * (1 - 0.6 * rain) + 0.765 * rain
    picture = Image.fromarray((np.clip(rainy, 0, 1) * 255).round().astype("uint8"))
    picture.save(pathlib.Path(__file__).with_name("rainy.jpg"), quality=95)


main()
