#!/usr/bin/env python3
"""What convolutions with their epilogues in them would give on a GPU: floors, by counting, without a GPU.

Every kernel takes at least as long as its products at the GPU's peak, and as its bytes at the memory's. Compared are cuDNN's
convolution with a kernel for what follows it (what derain runs), the same in one kernel, and SPANet's residual block in one kernel
that keeps its inner features on the chip (tiles of 32x8 pixels with two pixels around them). In f32 an undilated 3x3 kernel has the
products of Winograd's F(2x2, 3x3), 4/9 of the formula's; tensor cores do all of them.

The networks are the shipped ones: SPANet in the paper's form, 32 channels; RRANet of widths 16 to 128, three stages. Not counted: what
is done once a picture, conversions between layouts that cuDNN may need for tensor cores, and that a few layers stay f32 in halves.
"""

PIXELS = 1 << 20

# From data sheets: f32 without tensor cores and bf16 with them, both dense, TFLOP/s; memory, TB/s.
GPUS = {
    "A100 80 GB": (19.5, 312.0, 1.94),
    "H100 SXM": (66.9, 989.0, 3.35),
    "RTX 4090": (82.6, 165.2, 1.01),
}


class Machine:
    def __init__(self, flops, bandwidth, size):
        self.flops, self.bandwidth, self.size = flops * 1e12, bandwidth * 1e12, size

    def kernel(self, products, values):
        """Milliseconds of a kernel with so many products and values moved for each pixel of the picture."""
        return PIXELS * max(2 * products / self.flops, values * self.size / self.bandwidth) * 1e3


def convolution(machine, fused, inputs, outputs, size, area=1.0, after=True, residual=0, maps=0, dilated=False):
    """`after`: whether bias, ReLU, a residual of so many channels or a scale of so many maps follow the sum."""
    extra = residual + maps
    winograd = machine.size == 4 and size == 3 and not dilated
    products, moved = inputs * outputs * size * size * area * (4 / 9 if winograd else 1), (inputs + outputs) * area
    if fused:
        return machine.kernel(products, moved + extra * area)
    return machine.kernel(products, moved) + machine.kernel(0, (2 * outputs + extra) * area if after else 0)


def block(machine, scheme, channels, maps):
    """SPANet's residual block: 1x1, 3x3, 1x1, times a map perhaps, plus the block's input."""
    if scheme == "block":
        around = (32 + 4) * (8 + 4) / (32 * 8)
        products = channels * channels * (1 * around + 9 + 1)
        return machine.kernel(products, channels * (around + 1) + maps)
    of = lambda size, **rest: convolution(machine, scheme != "apart", channels, channels, size, **rest)
    return of(1) + of(3, dilated=True) + of(1, residual=channels, maps=maps)


def spanet(machine, scheme, c=32):
    conv = lambda *args, **rest: convolution(machine, scheme != "apart", *args, **rest)
    scans = machine.kernel(0, c + 4 + 4 * c)  # Read x and the maps, write four directions.
    branch = conv(c, c // 2, 3) + conv(c // 2, c // 2, 3) + conv(c // 2, 4, 1)
    branch += machine.kernel(0, 2 * 4)  # The sigmoid.
    module = branch + conv(c, c, 3, after=False) + 2 * scans + conv(4 * c, c, 3, after=False) + conv(4 * c, c, 3)
    module += conv(c, 1, 1, after=False) + machine.kernel(0, 2)
    blocks = 5 * block(machine, scheme, c, 0) + 12 * block(machine, scheme, c, 1)
    return conv(3, c, 3) + blocks + 4 * module + conv(c, 3, 3, after=False)


def rranet(machine, scheme, widths=(16, 32, 64, 128), inner=(32, 16, 16), stages=3):
    conv = lambda *args, **rest: convolution(machine, scheme != "apart", *args, **rest)
    joined, normed = 2 * 9, (3 + 2) * widths[0]  # The input; instance norm, two reads and a write, and ReLU.
    stage = machine.kernel(0, joined + normed) + conv(9, widths[0], 3)
    for k, c in enumerate(widths):
        before, area = widths[max(k - 1, 0)], 0.25**k
        stage += conv(before, c, 3, area) + conv(c, c, 3, area, residual=c)
        stage += conv(2 * c, 4 * c, 3, area)
        stage += machine.kernel(0, (4 + 4 + 3) * c * area)  # Join x and the hidden state; gates and cell to the next two.
        stage += conv(before, c, 1, area) if before != c else 0
        stage += machine.kernel(0, 1.25 * c * area) if k + 1 < len(widths) else 0  # Pooling.
    for k, hidden in enumerate(inner):
        scale = len(inner) - 1 - k
        below, c, area = widths[scale + 1], widths[scale], 0.25**scale
        stage += machine.kernel(0, 1.25 * below * area) + conv(below, c, 3, area)
        stage += conv(c, hidden, 1, area) + conv(c, hidden, 1, area, residual=hidden)
        stage += conv(3, hidden, 3, area, residual=hidden) + conv(hidden, 1, 1, area)
        stage += machine.kernel(0, (2 + 2 * c + 4 * c) * area)  # The sigmoid, its product with the skip, both joined.
        stage += conv(2 * c, c, 3, area) + conv(c, c, 3, area, residual=c) + conv(2 * c, c, 1, area)
    return stages * (stage + conv(widths[0], 3, 1) + machine.kernel(0, 9))  # What is added to the picture.


def main():
    print("| a megapixel, ms at least | | cuDNN, then epilogues | epilogues in the convolution | blocks in one kernel |")
    print("| --- | --- | --- | --- | --- |")
    for name, network, schemes in (("SPANet", spanet, ("apart", "fused", "block")), ("RRANet", rranet, ("apart", "fused"))):
        for gpu, (single, half, bandwidth) in GPUS.items():
            for precision, flops, size in (("f32", single, 4), ("bf16", half, 2)):
                machine = Machine(flops, bandwidth, size)
                times = [network(machine, scheme) for scheme in schemes]
                cells = [f"{times[0]:.2f}"] + [f"{t:.2f} ({times[0] / t:.2f} times)" for t in times[1:]]
                cells += ["–"] * (3 - len(cells))
                print(f"| {name}, {gpu} | {precision} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
