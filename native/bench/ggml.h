// What the measurements need of ggml's C interface, from shared libraries loaded while running: the packaged ones have no
// headers. Sizes and order of arguments as in ggml.h, ggml-backend.h and ggml-cpu.h of the pinned release.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <string>

namespace ggml {

struct InitParams {
  size_t mem_size;
  void *mem_buffer;
  bool no_alloc;
};

struct ThreadpoolParams {
  bool cpumask[512];
  int threads;
  int prio;
  uint32_t poll;
  bool strict_cpu, paused;
};

typedef void *Pointer;

struct Library {
  Pointer (*init)(InitParams);
  void (*free)(Pointer);
  Pointer (*new_tensor_2d)(Pointer context, int type, int64_t, int64_t);
  Pointer (*mul_mat)(Pointer context, Pointer, Pointer);
  void (*set_prec)(Pointer tensor, int precision);
  Pointer (*swiglu_split)(Pointer context, Pointer, Pointer);
  Pointer (*add)(Pointer context, Pointer, Pointer);
  Pointer (*new_graph)(Pointer context);
  void (*build_forward_expand)(Pointer graph, Pointer tensor);
  size_t (*row_size)(int type, int64_t);
  Pointer (*buffer_from_ptr)(Pointer, size_t);
  int (*tensor_alloc)(Pointer buffer, Pointer tensor, void *address);
  size_t (*nbytes)(Pointer);
  void (*load_all)(const char *);
  Pointer (*backend_by_type)(int, const char *);
  int (*compute)(Pointer backend, Pointer graph);
  void (*params_init)(ThreadpoolParams *, int);
  Pointer (*threadpool_new)(ThreadpoolParams *);
  void (*threadpool_free)(Pointer);
  Pointer (*backend_device)(Pointer);
  Pointer (*device_registry)(Pointer);
  Pointer (*registry_function)(Pointer, const char *);
  void (*set_threadpool)(Pointer backend, Pointer pool) = nullptr;
  void (*set_threads)(Pointer backend, int) = nullptr;
  Pointer backend = nullptr;
};

template <class F> void find(void *handle, const char *name, F &f) {
  f = (F)dlsym(handle, name);
  if (!f) std::fprintf(stderr, "no %s in ggml\n", name), std::exit(1);
}

// Loads the libraries of a folder and makes a CPU backend of the best variant, or of `variant`.
inline Library load(const std::string &folder, const char *variant = nullptr) {
  const auto open = [&](const std::string &name) {
    void *handle = dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!handle) std::fprintf(stderr, "%s\n", dlerror()), std::exit(1);
    return handle;
  };
  void *base = open("libggml-base.so"), *all = open("libggml.v0.5.0.so");
  Library g;
  find(base, "ggml_init", g.init);
  find(base, "ggml_free", g.free);
  find(base, "ggml_new_tensor_2d", g.new_tensor_2d);
  find(base, "ggml_mul_mat", g.mul_mat);
  find(base, "ggml_mul_mat_set_prec", g.set_prec);
  find(base, "ggml_swiglu_split", g.swiglu_split);
  find(base, "ggml_add", g.add);
  find(base, "ggml_new_graph", g.new_graph);
  find(base, "ggml_build_forward_expand", g.build_forward_expand);
  find(base, "ggml_row_size", g.row_size);
  find(base, "ggml_backend_cpu_buffer_from_ptr", g.buffer_from_ptr);
  find(base, "ggml_backend_tensor_alloc", g.tensor_alloc);
  find(base, "ggml_nbytes", g.nbytes);
  find(base, "ggml_backend_graph_compute", g.compute);
  find(base, "ggml_threadpool_params_init", g.params_init);
  find(base, "ggml_backend_get_device", g.backend_device);
  find(base, "ggml_backend_dev_backend_reg", g.device_registry);
  find(base, "ggml_backend_reg_get_proc_address", g.registry_function);
  Pointer (*load_one)(const char *);
  find(all, "ggml_backend_load_all_from_path", g.load_all);
  find(all, "ggml_backend_load", load_one);
  find(all, "ggml_backend_init_by_type", g.backend_by_type);
  if (variant)
    load_one((folder + "/libggml-cpu-" + variant + ".so").c_str());
  else
    g.load_all(folder.c_str());
  g.backend = g.backend_by_type(0, nullptr);
  const Pointer registry = g.device_registry(g.backend_device(g.backend));
  const auto function = [&](const char *name) { return g.registry_function(registry, name); };
  g.set_threadpool = (decltype(g.set_threadpool))function("ggml_backend_cpu_set_threadpool");
  g.threadpool_new = (decltype(g.threadpool_new))function("ggml_threadpool_new");
  g.threadpool_free = (decltype(g.threadpool_free))function("ggml_threadpool_free");
  g.set_threads = (decltype(g.set_threads))function("ggml_backend_set_n_threads");
  return g;
}

} // namespace ggml
