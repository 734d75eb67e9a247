"""SPANet in eager PyTorch, written as one would port it, with the faster of the obvious choices where there is one.

The scans run line by line: a line is a whole row or column of all channels and pictures, and one step computes
relu(a*h + b + x). The scanned axis is brought to the front first, so that each line is contiguous. Without gradients a
step writes its line of the result in place; with gradients the lines are collected and stacked, because autograd copies
the whole buffer for every line that is written in place. See README.md for what was tried.
"""

import torch
import torch.nn.functional as F

SCANS = (("up", 0, True), ("right", 1, False), ("down", 0, False), ("left", 1, True))  # name, axis, from the far end


def scan(lines, a, b, from_far_end, plain=False):
    """One directional scan over [L, ...] along the first axis."""
    steps = lines.unbind(0)[::-1] if from_far_end else lines.unbind(0)
    if plain or torch.is_grad_enabled():
        states = [F.relu(steps[0])]
        for x in steps[1:]:
            states.append(F.relu(a * states[-1] + b + x))
        return torch.stack(states[::-1] if from_far_end else states)
    result = torch.empty_like(lines)
    states = result.unbind(0)[::-1] if from_far_end else result.unbind(0)
    h = states[0].copy_(steps[0]).relu_()
    for x, state in zip(steps[1:], states[1:]):
        h = torch.addcmul(x, a, h, out=state).add_(b).relu_()
    return result


class Spanet:
    """The network on `weights` (names and shapes of the released checkpoint, one shared attention module).

    `form` is "paper" (direction weights multiply the scans) or "release" (they do not); `channels_last` the memory
    format of weights and features; without `scans`, four copies of an IRNN's input stand in for its result; `plain_scans`
    run as one first writes them, on slices of the picture as it lies, with a new tensor for every operation.
    """

    def __init__(self, weights, form, channels_last=False, scans=True, plain_scans=False, train=False):
        self.form, self.channels_last, self.scans, self.plain = form, channels_last, scans, plain_scans
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.weights = {n: (w.to(memory_format=self.format) if w.dim() == 4 else w).clone() for n, w in weights.items()}
        for w in self.weights.values():
            w.requires_grad_(train)

    def conv(self, name, x, dilation=1):
        w = self.weights[name + ".weight"]
        return F.conv2d(x, w, self.weights.get(name + ".bias"), padding=w.shape[2] // 2 * dilation, dilation=dilation)

    def conv_relu(self, name, x, dilation=1):
        return F.relu_(self.conv(name, x, dilation))

    def irnn(self, name, x, maps):
        """[B, C, H, W] -> [B, 4C, H, W], times `maps` [B, 4, H, W] where given."""
        batch, channels, height, width = x.shape
        if not self.scans:
            copies = torch.cat([x] * 4, 1)
            return copies if maps is None else copies * maps.repeat_interleave(channels, 1)
        # In channels-last, work on [B, H, W, C] views: what PyTorch calls [B, C, H, W] then lies in memory like this.
        rows, at_channels, coefficient = (1, 3, (channels,)) if self.channels_last else (2, 1, (channels, 1))
        if self.channels_last:
            x, maps = x.permute(0, 2, 3, 1), None if maps is None else maps.permute(0, 2, 3, 1)
        lines = [x.movedim(rows + axis, 0) for axis in (0, 1)]
        if not self.plain:
            lines = [line.contiguous() for line in lines]
        grad = self.plain or torch.is_grad_enabled()
        results = []
        packed = None if grad else x.new_empty([4 * n if k == at_channels else n for k, n in enumerate(x.shape)])
        for k, (direction, axis, from_far_end) in enumerate(SCANS):
            a = self.weights[f"{name}.{direction}_weight.weight"].view(coefficient)
            b = self.weights[f"{name}.{direction}_weight.bias"].view(coefficient)
            h = scan(lines[axis], a, b, from_far_end, self.plain).movedim(0, rows + axis)
            map_ = None if maps is None else maps.narrow(at_channels, k, 1)
            if grad:
                results.append(h if map_ is None else h * map_)
            else:
                part = packed.narrow(at_channels, k * channels, channels)
                part.copy_(h) if map_ is None else torch.mul(h, map_, out=part)
        result = torch.cat(results, at_channels) if grad else packed
        return result.permute(0, 3, 1, 2) if self.channels_last else result

    def attention(self, x):
        """[B, C, H, W] -> [B, 1, H, W] in 0..1."""
        maps = None
        if self.form == "paper":
            m = self.conv_relu("SAM1.attention_layer.conv1", x)
            m = self.conv_relu("SAM1.attention_layer.conv2", m)
            maps = torch.sigmoid(self.conv("SAM1.attention_layer.conv3", m))
        h = self.irnn("SAM1.irnn1", self.conv("SAM1.conv_in", x), maps)
        h = self.irnn("SAM1.irnn2", self.conv("SAM1.conv2", h), maps)
        return torch.sigmoid(self.conv("SAM1.conv_out", self.conv_relu("SAM1.conv3", h)))

    def block(self, k, x):
        h = self.conv_relu(f"res_block{k}.group1.conv1", x)
        h = self.conv_relu(f"res_block{k}.group1.conv2", h, dilation=2)
        return self.conv(f"res_block{k}.group1.conv3", h)

    def __call__(self, picture):
        """[B, 3, H, W] -> the picture without rain, not clamped, and the first attention map [B, 1, H, W]."""
        x = self.conv_relu("conv_in.0", picture.contiguous(memory_format=self.format))
        first = None
        for k in range(1, 18):
            if k in (4, 7, 10, 13):
                a = self.attention(x)
                first = a if first is None else first
            x = F.relu_(self.block(k, x) * a + x if 4 <= k <= 15 else self.block(k, x) + x)
        return self.conv("conv_out.0", x), first
