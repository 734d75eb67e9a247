#!/usr/bin/env bash
# Makes the pictures of docs/gallery.md: photographs of scikit-image, our rain over them, and what both networks make of it. Needs python3 with
# scikit-image and Pillow.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
python3 - "$work" <<'PYTHON'
import sys
from pathlib import Path
import numpy as np
from skimage import data, io, transform
for name in ("astronaut", "chelsea", "coffee"):
    picture = getattr(data, name)()
    scale = 480 / max(picture.shape)
    size = [round(side * scale) for side in picture.shape[:2]]
    small = transform.resize(picture, size, anti_aliasing=True)
    io.imsave(Path(sys.argv[1]) / f"{name}.png", np.round(255 * small).astype(np.uint8))
PYTHON
example() { cargo run --quiet --release --example "$@"; }
mkdir -p docs/assets/gallery
for picture in astronaut:normal chelsea:dense coffee:sparse; do
  name=${picture%:*}
  example synthesize_rain -- -i "$work/$name.png" -o "$work/$name" --density "${picture#*:}" --seed 4
  for model in spanet rranet; do
    example derain_image -- -i "$work/$name/rain/$name.png" -o "docs/assets/gallery/$name-$model.jpg" --model $model
  done
  python3 -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2], quality=90)' \
    "$work/$name/rain/$name.png" "docs/assets/gallery/$name-rainy.jpg"
done
