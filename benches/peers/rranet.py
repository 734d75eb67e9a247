"""RRANet in eager PyTorch, written as one would port it, with the faster of the obvious choices where there is one.

The four gates of a ConvLSTM are one convolution; what follows a convolution is written in place; batch norms are folded into their
convolutions beforehand, which is what this project does, or left as they are. See README.md for what was tried.
"""

import torch
import torch.nn.functional as F

SCALES = 4


def rlcn(x, window=9, epsilon=1e-5):
    """Rectified local contrast normalization of [B, 3, H, W] in 0..1; at the border only pixels inside the picture count."""
    mean = lambda v: F.avg_pool2d(v, window, 1, window // 2, count_include_pad=False)
    count = F.avg_pool2d(torch.ones_like(x[:1, :1]).double(), window, 1, window // 2) * window * window
    wide = x.double()
    mu = mean(wide)
    variance = (mean(wide * wide) - mu * mu).clamp_(min=0) * count / (count - 1) + epsilon
    return (F.relu_(wide - mu) / (variance.sqrt_() + epsilon)).to(x.dtype)


class Rranet(torch.nn.Module):
    """The network on `weights` (this project's names), in evaluation mode; sizes must be multiples of 8.

    `channels_last` is the memory format of weights and features; with `fold` the running statistics are folded into the convolutions.
    """

    def __init__(self, weights, channels_last=False, fold=True, epsilon=1e-5, stages=6):
        super().__init__()
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.epsilon, self.fold, self.stages, kept = epsilon, fold, stages, {}
        for name, w in weights.items():
            if w.dim() == 4 and ".lstm." not in name:
                prefix = name.removesuffix("0.weight") + "1."
                bias = weights[name.removesuffix("weight") + "bias"]
                if fold and name.endswith(".0.weight"):
                    gain = weights[prefix + "weight"] / (weights[prefix + "running_var"] + epsilon).sqrt()
                    w = w * gain.view(-1, 1, 1, 1)
                    bias = (bias - weights[prefix + "running_mean"]) * gain + weights[prefix + "bias"]
                kept[name], kept[name.removesuffix("weight") + "bias"] = w, bias
            elif ".1." in name and not fold:
                kept[name] = w
        for k in range(SCALES):
            for what in ("weight", "bias"):
                gates = [weights[f"encoder.{k}.lstm.{gate}.{what}"] for gate in "ifgo"]
                kept[f"encoder.{k}.lstm.{what}"] = torch.cat(gates)
        for name, w in kept.items():
            w = w.contiguous(memory_format=self.format) if w.dim() == 4 else w
            self.register_buffer(name.replace(".", "_"), w.clone())

    def get(self, name):
        return getattr(self, name.replace(".", "_"))

    def conv(self, name, x):
        w = self.get(name + ".weight")
        return F.conv2d(x, w, self.get(name + ".bias"), padding=w.shape[2] // 2)

    def conv_norm(self, name, x):
        y = self.conv(name + ".0", x)
        if self.fold:
            return y
        of = lambda what: self.get(f"{name}.1.{what}")
        return F.batch_norm(y, of("running_mean"), of("running_var"), of("weight"), of("bias"), False, 0.0, self.epsilon)

    def shortcut(self, name, x):
        return self.conv_norm(name, x) if hasattr(self, (name + ".0.weight").replace(".", "_")) else x

    def forward(self, picture):
        """[B, 3, H, W] in 0..1 -> the picture without rain, not clamped, and the last stage's maps, deepest first."""
        guides = [rlcn(picture)]
        for _ in range(2):
            guides.append(F.max_pool2d(guides[-1], 2))
        guides = [guide.contiguous(memory_format=self.format) for guide in guides]
        picture = (2 * picture - 1).contiguous(memory_format=self.format)
        background, states, maps = picture, [self.no_state(k, picture) for k in range(SCALES)], []
        for _ in range(self.stages):
            background, states, maps = self.stage(picture, guides, background, states)
        return (background + 1) / 2, maps

    def no_state(self, k, picture):
        """The hidden state and the cell of a scale before the first stage."""
        batch, _, height, width = picture.shape
        channels = self.get(f"encoder.{k}.lstm.bias").shape[0] // 4
        zeros = picture.new_zeros(batch, channels, height >> k, width >> k).contiguous(memory_format=self.format)
        return zeros, zeros

    def stage(self, picture, guides, background, states):
        """One of the stages, which are alike: torch.compile takes this, and minutes for it, where all six take hours."""
        x = F.relu_(F.instance_norm(self.conv("conv_in", torch.cat([picture, guides[0], background], 1)), eps=self.epsilon))
        features, maps, next_states = [], [], []
        for k in range(SCALES):
            name = f"encoder.{k}"
            x = x if k == 0 else F.max_pool2d(x, 2)
            inner = F.relu_(self.conv_norm(name + ".conv1", x))
            h, c = states[k]
            i, f, g, o = self.conv(name + ".lstm", torch.cat([inner, h], 1)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            next_states.append((h, c))
            x = F.relu_(self.conv_norm(name + ".conv2", h) + self.shortcut(name + ".shortcut", x))
            features.append(x)
        for k in range(SCALES - 1):
            name, skip = f"decoder.{k}", features[SCALES - 2 - k]
            up = F.relu_(self.conv_norm(name + ".up", F.interpolate(x, scale_factor=2, mode="nearest")))
            inner = self.conv_norm(name + ".gam.w_f", skip) + self.conv_norm(name + ".gam.w_d", up)
            inner = F.relu_(inner + self.conv_norm(name + ".gam.w_l", guides[SCALES - 2 - k]))
            maps.append(torch.sigmoid(self.conv_norm(name + ".gam.w_a", inner)))
            x = torch.cat([maps[-1] * skip, up], 1)
            inner = F.relu_(self.conv_norm(name + ".block.conv1", x))
            x = F.relu_(self.conv_norm(name + ".block.conv2", inner) + self.shortcut(name + ".block.shortcut", x))
        return picture + self.conv("conv_out", x), next_states, maps
