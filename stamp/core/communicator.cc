#include "stamp/core/communicator.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "stamp/core/bytes.h"
#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/core/progress.h"

namespace stamp {
namespace {

constexpr const char* kModule = "stamp_mpi.so";

class LoneProcess : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void sum(std::span<float>) override {}
  void sum(std::span<double>) override {}
  void maximum(std::span<float>) override {}
  void broadcast(std::span<std::byte>, int) override {}
  std::vector<std::string> gather(const std::string& own) override { return {own}; }
  void send(std::span<const std::byte>, int to) override {
    throw_runtime("send: no process {}", to);
  }
  std::vector<std::byte> receive(int from) override {
    throw_runtime("receive: no process {}", from);
  }
  void abort(int exit_code) override { std::_Exit(exit_code); }
};

std::unique_ptr<Communicator>& joined() {
  static std::unique_ptr<Communicator> processes;
  return processes;
}

/// Of the program, or of the shared library that this code is in.
std::filesystem::path own_folder() {
  Dl_info info{};
  dladdr(reinterpret_cast<void*>(&joined), &info);
  return std::filesystem::weakly_canonical(info.dli_fname ? info.dli_fname : "").parent_path();
}

Communicator* open_module() {
  const std::filesystem::path folder = own_folder();
  std::string reason;
  for (const auto& path : {folder / kModule, folder / "../lib/stamp" / kModule}) {
    void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (module == nullptr) {
      reason = dlerror();
      if (std::filesystem::exists(path)) break;
      continue;
    }
    const auto open = reinterpret_cast<Communicator* (*)()>(dlsym(module, "stamp_open_mpi"));
    if (open == nullptr) throw_runtime("{}: not a module of this program", path.string());
    return open();
  }
  throw_runtime(
      "started by mpirun as {} processes, but MPI cannot be used: {} (it is built where "
      "libopenmpi-dev is installed, and needs libopenmpi3)",
      launched_processes(), reason);
}

}  // namespace

int launched_processes() {
  const char* const size = std::getenv("OMPI_COMM_WORLD_SIZE");
  return size == nullptr ? 1 : std::max(1, std::atoi(size));
}

void join_processes() {
  if (launched_processes() > 1 && !joined()) joined().reset(open_module());
}

Communicator& communicator() {
  static LoneProcess alone;
  return joined() ? *joined() : alone;
}

std::vector<std::string> share_items(int64_t count,
                                     const std::function<std::string(int64_t)>& item) {
  Communicator& processes = communicator();
  const int64_t size = processes.size(), rank = processes.rank();
  std::vector<std::string> items(static_cast<size_t>(count));
  parallel_for((count - rank + size - 1) / size, [&](int64_t i) {
    const int64_t index = rank + i * size;
    items[static_cast<size_t>(index)] = item(index);
  });
  if (size == 1) return items;
  ByteWriter own;
  for (int64_t i = rank; i < count; i += size) own.put_all(items[static_cast<size_t>(i)]);
  const std::vector<std::string> all = processes.gather(own.take());
  for (int64_t r = 0; r < size; ++r) {
    ByteReader bytes(all[static_cast<size_t>(r)]);
    for (int64_t i = r; i < count; i += size)
      items[static_cast<size_t>(i)] = bytes.get_all<std::string>();
  }
  return items;
}

bool job_interrupted() {
  float own = interrupted() ? 1 : 0;
  communicator().maximum({&own, 1});
  return own > 0;
}

}  // namespace stamp
