// For sums over a square window around each pixel; window.rs has the grids. A block takes a strip of columns of one
// plane down a band of rows, a thread a column. The strip's halo, `radius` columns on both sides, has threads, too:
// they add up their columns for their neighbours' windows, but have no results of their own.

#define THREADS 256

struct Window {
  int height, width, radius;
  int first_row, end_row;  // The band.
  int column;              // This thread's. In the halo it may lie beyond the picture.
  bool inside;             // Whether the column lies inside the picture,
  bool emits;              // and outside the halo.
  long long plane;         // Where the plane starts.
};

__device__ __forceinline__ Window window_of(int height, int width, int radius, int band) {
  const int own = THREADS - 2 * radius, strips = (width + own - 1) / own, bands = (height + band - 1) / band;
  const int strip = blockIdx.x % strips, t = threadIdx.x;
  Window window = {height, width, radius};
  window.first_row = (int)(blockIdx.x / strips % bands) * band;
  window.end_row = window.first_row + band < height ? window.first_row + band : height;
  window.column = strip * own + t - radius;
  window.inside = window.column >= 0 && window.column < width;
  window.emits = t >= radius && t < radius + own && window.column < width;
  window.plane = (long long)(blockIdx.x / strips / bands) * height * width;
  return window;
}
