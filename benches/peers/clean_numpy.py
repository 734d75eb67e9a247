"""The clean image in plain NumPy, timed on the clip of `benches/clean.rs`: 100 frames of 1920x1080, 8-bit RGB, in memory.

    pip install numpy
    python benches/peers/clean_numpy.py            # --width, --height, --frames for less
    python benches/peers/clean_numpy.py --per-pixel    # a histogram at a time, as one first writes it
    cargo bench --bench clean                      # the same clip in this project

Both print the percentile, the votes and the sum of the clean image's bytes: percentile and votes must be the same, the sum may
differ by a few millionths, because np.percentile interpolates in floating point.

It follows what SPANet's authors released, without its processes and, unless --per-pixel, its loop over pixels: a histogram of luma for every pixel
(np.bincount over rows, values shifted by 256 per pixel), ranges of the mode by comparisons, votes by counting, np.percentile over
all frames. It is one process; the memory is that of the frames, of their luma, and what np.percentile takes.
"""

import argparse
import time

import numpy as np


def frame(index, width, height):
    """The same values as `frame` in benches/clean.rs: 32-bit arithmetic that wraps around."""
    at = np.arange(3 * width * height, dtype=np.uint32)
    random = at * np.uint32(2_654_435_761) + np.uint32(index * 2_246_822_519 % 2**32)
    random ^= random >> np.uint32(15)
    random *= np.uint32(2_246_822_519)
    random ^= random >> np.uint32(13)
    drop = np.where(random % 7 == 0, 60, 0)
    values = 60 + at // 3 % width // 16 + (random >> np.uint32(8)) % 5 + drop
    return values.astype(np.uint8).reshape(height, width, 3)


def clean_image(frames, per_pixel):
    count, height, width, _ = frames.shape
    votes = np.zeros(101, dtype=np.int64)
    for y in range(height):
        row = frames[:, y].astype(np.uint32)
        luma = (299 * row[..., 0] + 587 * row[..., 1] + 114 * row[..., 2]) // 1000
        if per_pixel:
            mode = np.array([np.bincount(luma[:, x]).argmax() for x in range(width)])
        else:
            histogram = np.bincount((luma + 256 * np.arange(width)).ravel(), minlength=256 * width).reshape(width, 256)
            mode = histogram.argmax(axis=1)
        below = (luma < mode).sum(axis=0)
        last = (luma <= mode).sum(axis=0) - 1
        for p in range(101):
            votes[p] += np.count_nonzero((100 * below <= p * count) & (p * count <= 100 * last))
    percentile = int(votes.argmax())
    return np.percentile(frames, percentile, axis=0).astype(np.uint8), percentile, votes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--per-pixel", action="store_true", help="a histogram for each pixel in a loop")
    arguments = parser.parse_args()
    frames = np.stack([frame(index, arguments.width, arguments.height) for index in range(arguments.frames)])
    start = time.perf_counter()
    image, percentile, votes = clean_image(frames, arguments.per_pixel)
    seconds = time.perf_counter() - start
    print(f"percentile {percentile}, sum {int(image.sum(dtype=np.int64))}, votes {votes.tolist()}")
    print(f"NumPy {np.__version__}: {seconds:.2f} s for {arguments.frames} frames of {arguments.width}x{arguments.height}")


if __name__ == "__main__":
    main()
