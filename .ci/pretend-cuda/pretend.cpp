// A driver with one GPU that is this processor, and a compiler that hands texts on to it. Memory is the process's own: every allocation ends at
// a page without access, and starts as NaN. Work is done when it is asked for, so streams and events have nothing to do.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <regex>
#include <set>
#include <sstream>
#include <string>

static const int OUT_OF_MEMORY = 2, NO_BINARY = 209, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500, LAUNCH_FAILED = 719;
static const size_t MEMORY = size_t(4) << 30;

static std::mutex mutex;
static std::map<uint64_t, std::pair<void*, size_t>> allocations;

typedef int (*Launch)(const char* kernel, unsigned blocks, unsigned x, unsigned y, void** parameters, int order);
struct Module {
  Launch launch;
  std::set<std::string> kernels;
};
struct Function {
  Module* module;
  std::string name;
};

// Joins the engine: parameters come as they do on a GPU, by their addresses.
static const char* const GLUE = R"(
namespace coc {
template <class... P, size_t... I> static void call(void (*kernel)(P...), void** parameters, int order, std::index_sequence<I...>) {
  static void (*the_kernel)(P...);
  static std::tuple<P...> arguments;
  the_kernel = kernel;
  arguments = std::tuple<P...>{*(P*)parameters[I]...};
  body = [] { std::apply(the_kernel, arguments); };
  for (unsigned i = 0; i < gridDim.x; i++) {
    blockIdx = {order == 1 ? gridDim.x - 1 - i : i, 0, 0};
    run_block(order);
  }
}
template <class... P> static void call(void (*kernel)(P...), void** parameters, int order) {
  call(kernel, parameters, order, std::index_sequence_for<P...>{});
}
}
extern "C" int coc_launch(const char* kernel, unsigned blocks, unsigned x, unsigned y, void** parameters, int order) {
  using namespace coc;
  gridDim = {blocks, 1, 1};
  blockDim = {x, y, 1};
  threads = x * y;
  const std::string name = kernel;
#undef KERNEL
#define KERNEL(kernel) if (name == #kernel) { call(kernel, parameters, order); return 0; }
  REGISTER_KERNELS
  return 1;
}
)";

static std::string contents(const std::string& path) {
  std::ifstream file(path);
  return (std::stringstream() << file.rdbuf()).str();
}

static Module* compile(const std::string& text) {
  Module* module = new Module{};
  const std::regex kernel(R"(__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\()");
  for (auto at = std::sregex_iterator(text.begin(), text.end(), kernel); at != std::sregex_iterator(); ++at)
    module->kernels.insert((*at)[1]);
  if (module->kernels.empty()) return module;
  char folder[] = "/tmp/pretend-cuda-XXXXXX";
  if (!mkdtemp(folder)) return nullptr;
  const std::string path = folder, source = path + "/kernels.cpp", library = path + "/kernels.so";
  std::ofstream file(source);
  file << "#include \"cuda_on_cpu.h\"\n" << text << "\n#define REGISTER_KERNELS";
  for (const std::string& name : module->kernels) file << " KERNEL(" << name << ")";
  file << "\n" << contents(ENGINE "/engine.cpp") << GLUE;
  file.close();
  const char* compiler = getenv("CXX");
  const std::string command =
      std::string(compiler ? compiler : "c++") + " -std=c++17 -O1 -w -U_FORTIFY_SOURCE -fPIC -shared -Wl,-Bsymbolic -I" ENGINE " -o " + library + " " + source;
  void* loaded = system(command.c_str()) == 0 ? dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (loaded) module->launch = (Launch)dlsym(loaded, "coc_launch");
  unlink(source.c_str());
  unlink(library.c_str());
  rmdir(folder);
  if (module->launch) return module;
  delete module;
  return nullptr;
}

extern "C" {
#define DONE(name, ...) \
  int name(__VA_ARGS__) { return 0; }

DONE(cuDevicePrimaryCtxRelease_v2, int)
DONE(cuCtxSetCurrent, void*)
DONE(cuCtxSynchronize)
DONE(cuStreamDestroy_v2, void*)
DONE(cuStreamSynchronize, void*)
DONE(cuStreamWaitEvent, void*, void*, unsigned)
DONE(cuEventDestroy_v2, void*)
DONE(cuEventRecord, void*, void*)
DONE(cuEventSynchronize, void*)
DONE(cuModuleUnload, void*)
DONE(cublasDestroy_v2, void*)
DONE(cublasSetStream_v2, void*, void*)
DONE(curandDestroyGenerator, void*)
DONE(curandSetStream, void*, void*)
DONE(curandSetPseudoRandomGeneratorSeed, void*, unsigned long long)

#define HANDLE(name, ...)         \
  int name(void** out, ##__VA_ARGS__) { \
    *out = (void*)out;            \
    return 0;                     \
  }

HANDLE(cuDevicePrimaryCtxRetain, int)
HANDLE(cuCtxGetCurrent)
HANDLE(cuStreamCreate, unsigned)
HANDLE(cuEventCreate, unsigned)
HANDLE(cublasCreate_v2)
HANDLE(curandCreateGenerator, int)

// As CUDA has it: an empty list hides every GPU.
static int devices() {
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  return !visible || *visible;
}
int cuInit(unsigned) { return devices() ? 0 : NO_DEVICE; }
int cuDeviceGetCount(int* count) { return *count = devices(), 0; }
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, ordinal < devices() ? 0 : INVALID_DEVICE; }
int cuDeviceGetName(char* name, int length, int) { return std::snprintf(name, length, "pretended"), 0; }
// The compute capability 9.0, and nothing that is optional.
int cuDeviceGetAttribute(int* value, int attribute, int) { return *value = attribute == 75 ? 9 : 0, 0; }
int cuStreamIsCapturing(void*, int* status) { return *status = 0, 0; }
static int text(const char** words) { return *words = "an error of the pretended CUDA", 0; }
int cuGetErrorName(int, const char** words) { return text(words); }
int cuGetErrorString(int code, const char** words) {
  switch (code) {
    case OUT_OF_MEMORY: *words = "out of memory"; return 0;
    case NO_DEVICE: *words = "no CUDA-capable device is detected"; return 0;
    case INVALID_DEVICE: *words = "invalid device ordinal"; return 0;
    default: return text(words);
  }
}

int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  if (bytes == 0 || bytes > MEMORY) return OUT_OF_MEMORY;
  const size_t page = sysconf(_SC_PAGESIZE), inside = (bytes + page - 1) / page * page;
  char* memory = (char*)mmap(0, inside + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, inside, PROT_READ | PROT_WRITE)) return OUT_OF_MEMORY;
  std::memset(memory, 0xff, inside);
  *address = (uint64_t)(memory + inside - bytes);
  std::lock_guard<std::mutex> lock(mutex);
  allocations[*address] = {memory, inside + page};
  return 0;
}
int cuMemFree_v2(uint64_t address) {
  std::lock_guard<std::mutex> lock(mutex);
  const auto found = allocations.find(address);
  if (found == allocations.end()) return 1;
  munmap(found->second.first, found->second.second);
  allocations.erase(found);
  return 0;
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) { return std::memcpy((void*)to, from, bytes), 0; }
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) { return std::memcpy(to, (void*)from, bytes), 0; }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void*) { return std::memmove((void*)to, (void*)from, bytes), 0; }
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void*) { return std::memset((void*)to, value, count), 0; }

int cuModuleLoadData(Module** module, const void* image) {
  std::lock_guard<std::mutex> lock(mutex);
  *module = compile((const char*)image);
  return *module ? 0 : NO_BINARY;
}
int cuModuleGetFunction(Function** function, Module* module, const char* name) {
  if (!module->kernels.count(name)) return NOT_FOUND;
  *function = new Function{module, name};
  return 0;
}
int cuLaunchKernel(Function* function, unsigned blocks, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y, unsigned threads_z,
                   unsigned shared, void*, void** parameters, void** extra) {
  if (y != 1 || z != 1 || threads_z != 1 || shared || extra || threads_x * threads_y > 1024) return 1;
  std::lock_guard<std::mutex> lock(mutex);
  // Another order of threads each time.
  static int order;
  order = (order + 1) % 4;
  return function->module->launch(function->name.c_str(), blocks, threads_x, threads_y, parameters, order) ? LAUNCH_FAILED : 0;
}

int nvrtcCreateProgram(std::string** program, const char* text, const char*, int, const char**, const char**) {
  return *program = new std::string(text), 0;
}
DONE(nvrtcCompileProgram, void*, int, const char**)
int nvrtcDestroyProgram(std::string** program) { return delete *program, 0; }
// Three kinds of GPU, as toolkits list them.
int nvrtcGetNumSupportedArchs(int* count) { return *count = 3, 0; }
int nvrtcGetSupportedArchs(int* kinds) { return kinds[0] = 75, kinds[1] = 80, kinds[2] = 90, 0; }
int nvrtcGetPTXSize(const std::string* program, size_t* size) { return *size = program->size() + 1, 0; }
int nvrtcGetPTX(const std::string* program, char* ptx) { return std::memcpy(ptx, program->c_str(), program->size() + 1), 0; }
int nvrtcGetProgramLogSize(void*, size_t* size) { return *size = 1, 0; }
int nvrtcGetProgramLog(void*, char* log) { return *log = 0, 0; }
}
