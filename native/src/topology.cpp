#include "pool.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <string>

namespace fk {
namespace {

// Reads a list such as "0-3,8,10-11".
std::vector<int> read_list(const std::string &path) {
  std::vector<int> list;
  std::FILE *file = std::fopen(path.c_str(), "r");
  if (!file) return list;
  char text[4096];
  const size_t length = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[length] = 0;
  for (char *at = text; *at >= '0' && *at <= '9';) {
    long first = std::strtol(at, &at, 10), last = first;
    if (*at == '-') last = std::strtol(at + 1, &at, 10);
    for (long i = first; i <= last && i - first < 8192; i++) list.push_back(int(i));
    if (*at == ',') at++;
  }
  return list;
}

} // namespace

int numa_nodes() {
  return std::max<int>(1, int(read_list("/sys/devices/system/node/has_memory").size()));
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    const auto take = [&](int cpu) {
      if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set)) {
        cpus.push_back(cpu);
        CPU_CLR(cpu, &set);
      }
    };
    for (int node : read_list("/sys/devices/system/node/online"))
      for (int cpu : read_list("/sys/devices/system/node/node" + std::to_string(node) + "/cpulist")) take(cpu);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) take(cpu);
  }
#endif
  if (cpus.empty())
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); i++) cpus.push_back(int(i));
  return cpus;
}

} // namespace fk
