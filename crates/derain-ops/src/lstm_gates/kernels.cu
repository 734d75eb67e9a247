// The gates of lstm_gates/mod.rs: needs planes.cu. Symbols: a the pre-activations, i, f, g and o the gates, c and c'
// the cell before and after, h the hidden state. `elements` are C·H·W, one gate's of one picture; a thread for each.

__device__ __forceinline__ Real sigmoid(Real a) { return 1 / (1 + exp(-a)); }

struct Gates {
  Real i, f, g, o;
};

// The four gates lie one after the other.
__device__ __forceinline__ Gates gates_at(const Stored* a, long long elements) {
  const Gates gates = {sigmoid(load(a)), sigmoid(load(a + elements)), (Real)tanh(load(a + 2 * elements)),
                       sigmoid(load(a + 3 * elements))};
  return gates;
}

extern "C" __global__ void lstm_gates_forward(const Stored* a, const Stored* c, Stored* h, Stored* c_next, int elements) {
  const Place place = place_of(elements);
  if (!place.inside) return;
  const long long at = place.plane * elements + place.element;
  const Gates gates = gates_at(a + place.plane * 4 * elements + place.element, elements);
  const Real next = gates.f * load(c + at) + gates.i * gates.g;
  store(c_next + at, next);
  store(h + at, gates.o * tanh(next));
}

// c' is computed again from what must be read anyway: reading it would be a tenth more traffic, and 16 bits of it less
// exact.
extern "C" __global__ void lstm_gates_backward(const Stored* a, const Stored* c, const Stored* d_h, const Stored* d_c_next, Stored* d_a,
                                               Stored* d_c, int elements) {
  const Place place = place_of(elements);
  if (!place.inside) return;
  const long long at = place.plane * elements + place.element;
  const long long of_gates = place.plane * 4 * elements + place.element, gate = elements;
  const Gates gates = gates_at(a + of_gates, gate);
  const Real i = gates.i, f = gates.f, g = gates.g, o = gates.o;
  const Real before = load(c + at), dh = load(d_h + at);
  const Real t = tanh(f * before + i * g);
  // Through the cell.
  const Real d = load(d_c_next + at) + dh * o * (1 - t * t);
  store(d_a + of_gates, d * g * i * (1 - i));
  store(d_a + of_gates + gate, d * before * f * (1 - f));
  store(d_a + of_gates + 2 * gate, d * i * (1 - g * g));
  store(d_a + of_gates + 3 * gate, dh * t * o * (1 - o));
  store(d_c + at, d * f);
}
