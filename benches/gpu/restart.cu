// The scans as SPANet's authors released them: a thread for each result walks its whole scan from the border.
// O(pixels · (H + W)). x is [planes, H, W]; out [4, planes, H, W] in the order up, right, down, left; one weight and
// bias for all.
extern "C" __global__ void restart_from_border(const float* x, float* out, float a, float b, int planes, int height, int width) {
  const int pixels = height * width;
  const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= 4LL * planes * pixels) return;
  const int pixel = at % pixels, row = pixel / width, column = pixel % width;
  const int direction = at / pixels / planes;
  const float* plane = x + at / pixels % planes * pixels;
  int steps, start, stride;
  if (direction == 0) {
    steps = height - row, start = (height - 1) * width + column, stride = -width;
  } else if (direction == 1) {
    steps = column + 1, start = row * width, stride = 1;
  } else if (direction == 2) {
    steps = row + 1, start = column, stride = width;
  } else {
    steps = width - column, start = row * width + width - 1, stride = -1;
  }
  float h = fmaxf(plane[start], 0.f);
  for (int step = 1, from = start + stride; step < steps; step++, from += stride) h = fmaxf(a * h + b + plane[from], 0.f);
  out[at] = h;
}
