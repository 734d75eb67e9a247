// Runs kernels as the launches on standard input say, and writes all buffers to standard output. Whatever is wrong goes to standard error with
// a status other than 0. The kernels' file is compiled with this one, which defines REGISTER_KERNELS.
//
// Every buffer has a page without access on each side and touches one of them: an access outside by a single element ends the
// program. Shared memory and fresh buffers are filled with NaN.
#include "cuda_on_cpu.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

coc_index threadIdx, blockIdx, blockDim, gridDim;
extern "C" char __start_coc_shared[] __attribute__((weak));
extern "C" char __stop_coc_shared[] __attribute__((weak));

namespace coc {
[[noreturn]] static void fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::fflush(stderr);
  _exit(1);
}

enum State { READY, AT_BARRIER, AT_EXCHANGE, DONE };
struct Fibre {
  ucontext_t start;  // How it begins; afterwards it goes on from `place`. A jump asks nothing of the system, which is most of the time.
  jmp_buf place;
  State state;
  int line;
  uint32_t mask;
  uint64_t value;
  char* stack;
  bool started;
};
static const int WARP = 32, MOST_THREADS = 1024;
static const size_t STACK = 128 << 10;
static Fibre fibres[MOST_THREADS];
static uint64_t exchanged[MOST_THREADS];  // What a warp's lanes gave to the exchange that was last complete.
static jmp_buf scheduler;
static int current, threads;
static void (*body)();

int lane() { return current % WARP; }

static void wait(State state, int line) {
  Fibre& fibre = fibres[current];
  fibre.state = state;
  fibre.line = line;
  if (_setjmp(fibre.place) == 0) _longjmp(scheduler, 1);
}

void barrier(int line) { wait(AT_BARRIER, line); }

uint64_t exchange(uint32_t mask, uint64_t value, int other_lane, int line) {
  fibres[current].mask = mask;
  fibres[current].value = value;
  wait(AT_EXCHANGE, line);
  return exchanged[current / WARP * WARP + other_lane % WARP];
}

void exchange_all(uint64_t value, uint64_t (&all)[32], int line) {
  exchange(0xffffffffu, value, 0, line);
  // Another exchange of this warp is not complete before this lane comes to it.
  std::memcpy(all, exchanged + current / WARP * WARP, sizeof(all));
}

struct Copy {
  void* to;
  const void* from;
  int bytes, there;
};
static std::vector<Copy> copies[MOST_THREADS];
// Whether copies arrive at once, or not before a thread waits: what overwrites too early shows in the one, what reads too early in the other.
static bool copies_at_once;

static void arrive(const Copy& copy) {
  std::memset(copy.to, 0, copy.bytes);
  std::memcpy(copy.to, copy.from, copy.there);
}

void copy(void* to, const void* from, int bytes, int there) {
  if ((uintptr_t)to % bytes || (there && (uintptr_t)from % bytes)) fail("a copy of " + std::to_string(bytes) + " bytes is not aligned");
  copies[current].push_back({to, from, bytes, there});
  if (copies_at_once) arrive(copies[current].back());
}

void wait_for_copies() {
  if (!copies_at_once)
    for (const Copy& copy : copies[current]) arrive(copy);
  copies[current].clear();
}

// A fibre has a thread of each block.
static void enter() {
  for (;;) {
    body();
    if (!copies[current].empty()) fail("a thread ends before its copies");
    wait(DONE, 0);
  }
}

// Lets the exchanges of the warp of thread `first` go on whose lanes are all there. Whether any could.
static bool release_exchanges(int first) {
  bool any = false;
  for (int i = first; i < first + WARP && i < threads; i++) {
    const Fibre& asking = fibres[i];
    if (asking.state != AT_EXCHANGE) continue;
    bool complete = true;
    for (int l = 0; l < WARP; l++) {
      if (!(asking.mask >> l & 1)) continue;
      const int other = first + l;
      if (other >= threads || fibres[other].state == DONE || fibres[other].state == AT_BARRIER)
        fail("line " + std::to_string(asking.line) + ": a lane of the mask does not come");
      if (fibres[other].state != AT_EXCHANGE || fibres[other].line != asking.line) complete = false;
    }
    if (!complete) continue;
    for (int l = 0; l < WARP; l++) {
      if (!(asking.mask >> l & 1)) continue;
      exchanged[first + l] = fibres[first + l].value;
      fibres[first + l].state = READY;
    }
    any = true;
  }
  return any;
}

static void release_barrier() {
  int line = 0;
  for (int i = 0; i < threads; i++) {
    const Fibre& fibre = fibres[i];
    if (fibre.state == DONE) fail("__syncthreads after some threads have returned");
    if (fibre.state != AT_BARRIER) fail("threads wait for an exchange that cannot be complete");
    if (line && line != fibre.line)
      fail("__syncthreads at lines " + std::to_string(line) + " and " + std::to_string(fibre.line) + " at once");
    line = fibre.line;
  }
  for (int i = 0; i < threads; i++) fibres[i].state = READY;
}

static void resume(int thread) {
  if (fibres[thread].state != READY) return;
  current = thread;
  threadIdx = {thread % blockDim.x, thread / blockDim.x, 0};
  Fibre& fibre = fibres[thread];
  if (_setjmp(scheduler) != 0) return;
  if (fibre.started) _longjmp(fibre.place, 1);
  fibre.started = true;
  setcontext(&fibre.start);
}

// Order 0 is ascending, 1 descending, every other one a shuffle of its own. In the first two each warp goes as far as it comes alone, past
// its exchanges up to a barrier, before the next one starts; in shuffles all threads take turns.
static void run_block(int order) {
  copies_at_once = order % 2 == 0;
  static uint64_t random;
  random = order * 0x9e3779b97f4a7c15ull + 1;
  std::vector<int> turns(threads);
  for (int i = 0; i < threads; i++) turns[i] = i;
  if (__start_coc_shared) std::memset(__start_coc_shared, 0xff, __stop_coc_shared - __start_coc_shared);
  for (int i = 0; i < threads; i++) {
    Fibre& fibre = fibres[i];
    fibre.state = READY;
    if (fibre.stack) continue;
    fibre.stack = (char*)std::malloc(STACK);
    getcontext(&fibre.start);
    fibre.start.uc_stack.ss_sp = fibre.stack;
    fibre.start.uc_stack.ss_size = STACK;
    makecontext(&fibre.start, enter, 0);
  }
  const int warps = (threads + WARP - 1) / WARP;
  for (;;) {
    bool exchanged_any = false;
    if (order > 1) {
      for (int i = threads - 1; i > 0; i--) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(turns[i], turns[(random >> 33) % (i + 1)]);
      }
      for (int i : turns) resume(i);
      for (int warp = 0; warp < warps; warp++) exchanged_any |= release_exchanges(warp * WARP);
    } else {
      for (int w = 0; w < warps; w++) {
        const int first = (order == 1 ? warps - 1 - w : w) * WARP, lanes = threads - first < WARP ? threads - first : WARP;
        do {
          for (int l = 0; l < lanes; l++) resume(first + (order == 1 ? lanes - 1 - l : l));
        } while (release_exchanges(first));
      }
    }
    int done = 0;
    for (int i = 0; i < threads; i++) done += fibres[i].state == DONE;
    if (done == threads) return;
    if (!exchanged_any) release_barrier();
  }
}

struct Buffer {
  char* start;
  uint64_t bytes;
  uint32_t element;
};
static std::vector<Buffer> buffers;

static void read_bytes(void* to, size_t bytes) {
  if (bytes && std::fread(to, 1, bytes, stdin) != bytes) fail("the launches end early");
}

template <class T> static T read() {
  T value;
  read_bytes(&value, sizeof(T));
  return value;
}

// At its first page, or before the page that follows.
static Buffer make_buffer(uint64_t bytes, uint32_t element, bool at_end) {
  const uint64_t page = sysconf(_SC_PAGESIZE), inside = (bytes + page - 1) / page * page;
  char* memory = (char*)mmap(0, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || (inside && mprotect(memory + page, inside, PROT_READ | PROT_WRITE))) fail("no memory");
  char* start = memory + page + (at_end ? inside - bytes : 0);
  std::memset(start, 0xff, bytes);
  return {start, bytes, element};
}

// Reads one argument as the kernel's parameter is declared.
template <class T> struct Argument;
template <class T> struct Argument<T*> {
  static T* read() {
    const char kind = coc::read<char>();
    if (kind == 'n') return nullptr;
    if (kind != 'b') fail(std::string("a pointer is passed as '") + kind + "'");
    const Buffer& buffer = buffers.at(coc::read<uint32_t>());
    const uint64_t offset = coc::read<uint64_t>();
    if (buffer.element != sizeof(T)) fail("a pointer to elements of " + std::to_string(sizeof(T)) + " bytes is passed others");
    return (T*)(buffer.start + offset * sizeof(T));
  }
};
template <class T> static T read_scalar(char expected) {
  const char kind = coc::read<char>();
  if (kind != expected) fail(std::string("a parameter of kind '") + expected + "' is passed as '" + kind + "'");
  return coc::read<T>();
}
template <> struct Argument<int> {
  static int read() { return read_scalar<int>('i'); }
};
template <> struct Argument<long long> {
  static long long read() { return read_scalar<long long>('l'); }
};

template <> struct Argument<double> {
  static double read() { return read_scalar<double>('d'); }
};

template <class... P> static void launch(void (*kernel)(P...), int order) {
  if (coc::read<uint32_t>() != sizeof...(P)) fail("the kernel has " + std::to_string(sizeof...(P)) + " parameters");
  static void (*the_kernel)(P...);
  static std::tuple<P...> arguments;
  the_kernel = kernel;
  arguments = std::tuple<P...>{Argument<P>::read()...};
  body = [] { std::apply(the_kernel, arguments); };
  for (unsigned i = 0; i < gridDim.x; i++) {
    // Blocks may run in any order, too.
    blockIdx = {order == 1 ? gridDim.x - 1 - i : i, 0, 0};
    run_block(order);
  }
}
}  // namespace coc

int main() {
  using namespace coc;
  const int order = read<uint32_t>();
  for (uint32_t count = read<uint32_t>(); count > 0; count--) {
    const uint64_t bytes = read<uint64_t>();
    const uint32_t element = read<uint32_t>();
    Buffer buffer = make_buffer(bytes, element, order % 2 == 0);
    if (read<char>()) read_bytes(buffer.start, bytes);
    buffers.push_back(buffer);
  }
  for (uint32_t count = read<uint32_t>(); count > 0; count--) {
    std::string name(read<uint32_t>(), ' ');
    read_bytes(&name[0], name.size());
    gridDim = {read<uint32_t>(), 1, 1};
    blockDim = {read<uint32_t>(), 1, 1};
    blockDim.y = read<uint32_t>();
    threads = blockDim.x * blockDim.y;
    if (threads < 1 || threads > MOST_THREADS) fail(name + ": " + std::to_string(threads) + " threads");
#define KERNEL(kernel)         \
  if (name == #kernel) {       \
    launch(kernel, order);     \
    continue;                  \
  }
    REGISTER_KERNELS
    fail("there is no kernel " + name);
  }
  for (const Buffer& buffer : buffers) std::fwrite(buffer.start, 1, buffer.bytes, stdout);
  return 0;
}
