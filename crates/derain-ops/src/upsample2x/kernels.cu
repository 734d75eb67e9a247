// Upsampling of upsample2x/mod.rs, of x [B, C, H, W] to [B, C, 2·H, 2·W]: needs planes.cu. Forward has a thread for
// each pixel of the large picture, backward one for each of the small picture; height and width are always the small
// one's.

// Where a thread's pixel lies, in a picture of `width` columns.
struct Pixel {
  int row, column;
};

__device__ __forceinline__ Pixel pixel_of(const Place& place, int width) {
  const Pixel pixel = {place.element / width, place.element % width};
  return pixel;
}

extern "C" __global__ void upsample2x_nearest(const Stored* x, Stored* out, int height, int width) {
  const int pixels = height * width;
  const Place place = place_of(4 * pixels);
  if (!place.inside) return;
  const Pixel to = pixel_of(place, 2 * width);
  store(out + place.plane * 4 * pixels + place.element, load(x + place.plane * pixels + to.row / 2 * width + to.column / 2));
}

// Every pixel collects its square of 2x2.
extern "C" __global__ void upsample2x_nearest_backward(const Stored* grad, Stored* d_x, int height, int width) {
  const int pixels = height * width;
  const Place place = place_of(pixels);
  if (!place.inside) return;
  const Pixel pixel = pixel_of(place, width);
  const Stored* upper = grad + place.plane * 4 * pixels + pixel.row * 4 * width + 2 * pixel.column;
  const Stored* lower = upper + 2 * width;
  store(d_x + place.plane * pixels + place.element, load(upper) + load(upper + 1) + (load(lower) + load(lower + 1)));
}

__device__ __forceinline__ Real mix(Real near, Real far) { return Real(0.75) * near + Real(0.25) * far; }

// The second of the two pixels of x, along an axis of `length`, that pixel `to` of the result lies between; the first
// is to / 2.
__device__ __forceinline__ int far_of(int to, int length) {
  const int far = to % 2 ? to / 2 + 1 : to / 2 - 1;
  return far < 0 ? 0 : far < length ? far : length - 1;
}

extern "C" __global__ void upsample2x_bilinear(const Stored* x, Stored* out, int height, int width) {
  const int pixels = height * width;
  const Place place = place_of(4 * pixels);
  if (!place.inside) return;
  const Pixel to = pixel_of(place, 2 * width);
  const Stored* near_row = x + place.plane * pixels + to.row / 2 * width;
  const Stored* far_row = x + place.plane * pixels + far_of(to.row, height) * width;
  const int near = to.column / 2, far = far_of(to.column, width);
  const Real near_column = mix(load(near_row + near), load(far_row + near));
  const Real far_column = mix(load(near_row + far), load(far_row + far));
  store(out + place.plane * 4 * pixels + place.element, mix(near_column, far_column));
}

// The four pixels of the result, along an axis, that pixel k of x has a part in: 2k and 2k + 1 with 3/4, and beside
// them two with 1/4. At the border the neighbour is the pixel itself.
struct Reached {
  int before, first, second, after;
};

__device__ __forceinline__ Reached reached_from(int k, int length) {
  const int first = 2 * k, last = 2 * length - 1;
  const Reached reached = {first > 0 ? first - 1 : 0, first, first + 1, first + 2 < last ? first + 2 : last};
  return reached;
}

extern "C" __global__ void upsample2x_bilinear_backward(const Stored* grad, Stored* d_x, int height, int width) {
  const int pixels = height * width;
  const Place place = place_of(pixels);
  if (!place.inside) return;
  const Pixel pixel = pixel_of(place, width);
  const Reached rows = reached_from(pixel.row, height), columns = reached_from(pixel.column, width);
  grad += place.plane * 4 * pixels;
  const auto at = [&](int row, int column) { return load(grad + row * 2 * width + column); };
  const auto collected = [&](int column) {
    return mix(at(rows.first, column) + at(rows.second, column), at(rows.before, column) + at(rows.after, column));
  };
  const Real near = collected(columns.first) + collected(columns.second);
  const Real far = collected(columns.before) + collected(columns.after);
  store(d_x + place.plane * pixels + place.element, mix(near, far));
}
