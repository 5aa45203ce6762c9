// The part of wasmtime's C API that this package calls itself, and what it adds.
//
// The headers of wasmtime-go cannot be named from another module, so what is
// needed of them is declared here. A test compiles shim.c against the real ones,
// where these declarations must agree and these sizes hold.
#ifndef WASMWHISK_SHIM_H
#define WASMWHISK_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef WASMTIME_API_H
typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasm_config_t wasm_config_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasm_functype_t wasm_functype_t;
typedef struct wasm_valtype_t wasm_valtype_t;
typedef struct wasm_memorytype_t wasm_memorytype_t;
typedef uint8_t wasm_valkind_t;
typedef struct wasm_byte_vec_t { size_t size; char *data; } wasm_byte_vec_t;
typedef struct wasm_valtype_vec_t { size_t size; wasm_valtype_t **data; } wasm_valtype_vec_t;

typedef struct wasmtime_error wasmtime_error_t;
typedef struct wasmtime_store wasmtime_store_t;
typedef struct wasmtime_context wasmtime_context_t;
typedef struct wasmtime_module wasmtime_module_t;
typedef struct wasmtime_linker wasmtime_linker_t;
typedef struct wasmtime_caller wasmtime_caller_t;
typedef struct wasmtime_instance_pre wasmtime_instance_pre_t;
typedef uint8_t wasmtime_trap_code_t;
typedef uint8_t wasmtime_update_deadline_kind_t;
typedef struct wasmtime_instance { uint64_t store_id; size_t __private; } wasmtime_instance_t;
typedef struct wasmtime_func { uint64_t store_id; void *__private; } wasmtime_func_t;
typedef struct wasmtime_global { uint64_t store_id; uint32_t __private1, __private2, __private3; } wasmtime_global_t;
typedef struct wasmtime_memory { struct { uint64_t store_id; uint32_t __private1; }; uint32_t __private2; } wasmtime_memory_t;
typedef struct wasmtime_extern {
  uint8_t kind;
  union { wasmtime_func_t func; wasmtime_global_t global; wasmtime_memory_t memory; } of;
} wasmtime_extern_t;
typedef union wasmtime_val_raw { int64_t i64; uint8_t v128[16]; } wasmtime_val_raw_t;
typedef struct wasmtime_val {
  uint8_t kind;
  union { int64_t i64; struct { uint64_t a; uint32_t b, c; void *d; } ref; } of;
} wasmtime_val_t;
typedef struct wasmtime_linear_memory {
  void *env;
  uint8_t *(*get_memory)(void *env, size_t *byte_size, size_t *byte_capacity);
  wasmtime_error_t *(*grow_memory)(void *env, size_t new_size);
  void (*finalizer)(void *);
} wasmtime_linear_memory_t;
typedef struct wasmtime_memory_creator {
  void *env;
  wasmtime_error_t *(*new_memory)(void *env, const wasm_memorytype_t *type, size_t minimum, size_t maximum,
                                  size_t reserved_size, size_t guard_size, wasmtime_linear_memory_t *memory);
  void (*finalizer)(void *);
} wasmtime_memory_creator_t;

typedef struct wasmtime_call_future wasmtime_call_future_t;
typedef struct wasmtime_async_continuation_t {
  bool (*callback)(void *env);
  void *env;
  void (*finalizer)(void *);
} wasmtime_async_continuation_t;
typedef struct {
  void *env;
  uint8_t *(*get_stack_memory)(void *env, size_t *size);
  void (*finalizer)(void *);
} wasmtime_stack_memory_t;
typedef struct {
  void *env;
  wasmtime_error_t *(*new_stack)(void *env, size_t size, bool zeroed, wasmtime_stack_memory_t *);
  void (*finalizer)(void *);
} wasmtime_stack_creator_t;

enum {
  WASMTIME_EXTERN_FUNC = 0, WASMTIME_EXTERN_GLOBAL = 1, WASMTIME_EXTERN_MEMORY = 3,
  WASMTIME_I64 = 1, WASMTIME_F64 = 3,
  WASMTIME_UPDATE_DEADLINE_CONTINUE = 0,
};
#endif

_Static_assert(sizeof(wasmtime_instance_t) == 16, "instance");
_Static_assert(sizeof(wasmtime_func_t) == 16, "func");
_Static_assert(sizeof(wasmtime_global_t) == 24, "global");
_Static_assert(sizeof(wasmtime_memory_t) == 24, "memory");
_Static_assert(sizeof(wasmtime_extern_t) == 32 && offsetof(wasmtime_extern_t, of) == 8, "extern");
_Static_assert(sizeof(wasmtime_val_raw_t) == 16, "val_raw");
_Static_assert(sizeof(wasmtime_val_t) == 32 && offsetof(wasmtime_val_t, of) == 8, "val");
_Static_assert(sizeof(wasmtime_linear_memory_t) == 32, "linear_memory");
_Static_assert(sizeof(wasmtime_memory_creator_t) == 24, "memory_creator");
_Static_assert(sizeof(wasmtime_async_continuation_t) == 24, "async_continuation");
_Static_assert(sizeof(wasmtime_stack_memory_t) == 24 && sizeof(wasmtime_stack_creator_t) == 24, "stack_creator");
_Static_assert(sizeof(wasm_byte_vec_t) == 16 && sizeof(wasm_valtype_vec_t) == 16, "vec");

void wasm_byte_vec_delete(wasm_byte_vec_t *);
void wasm_valtype_vec_new(wasm_valtype_vec_t *, size_t, wasm_valtype_t *const[]);
wasm_valtype_t *wasm_valtype_new(wasm_valkind_t);
wasm_functype_t *wasm_functype_new(wasm_valtype_vec_t *, wasm_valtype_vec_t *);
void wasm_functype_delete(wasm_functype_t *);
void wasm_trap_message(const wasm_trap_t *, wasm_byte_vec_t *);
void wasm_trap_delete(wasm_trap_t *);
wasm_trap_t *wasmtime_trap_new(const char *, size_t);
bool wasmtime_trap_code(const wasm_trap_t *, wasmtime_trap_code_t *);
wasmtime_error_t *wasmtime_error_new(const char *);
void wasmtime_error_message(const wasmtime_error_t *, wasm_byte_vec_t *);
void wasmtime_error_delete(wasmtime_error_t *);
void wasmtime_config_host_memory_creator_set(wasm_config_t *, wasmtime_memory_creator_t *);
bool wasmtime_memorytype_maximum(const wasm_memorytype_t *, uint64_t *);
wasmtime_linker_t *wasmtime_linker_new(wasm_engine_t *);
void wasmtime_linker_delete(wasmtime_linker_t *);
wasmtime_error_t *wasmtime_linker_define_func_unchecked(
    wasmtime_linker_t *, const char *module, size_t, const char *name, size_t, const wasm_functype_t *,
    wasm_trap_t *(*)(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t), void *, void (*)(void *));
wasmtime_error_t *wasmtime_linker_define_async_func(
    wasmtime_linker_t *, const char *module, size_t, const char *name, size_t, const wasm_functype_t *,
    void (*)(void *, wasmtime_caller_t *, const wasmtime_val_t *, size_t, wasmtime_val_t *, size_t, wasm_trap_t **, wasmtime_async_continuation_t *),
    void *, void (*)(void *));
wasmtime_error_t *wasmtime_linker_instantiate_pre(const wasmtime_linker_t *, const wasmtime_module_t *, wasmtime_instance_pre_t **);
void wasmtime_instance_pre_delete(wasmtime_instance_pre_t *);
wasmtime_error_t *wasmtime_instance_pre_instantiate(const wasmtime_instance_pre_t *, wasmtime_context_t *, wasmtime_instance_t *, wasm_trap_t **);
wasmtime_call_future_t *wasmtime_instance_pre_instantiate_async(
    const wasmtime_instance_pre_t *, wasmtime_context_t *, wasmtime_instance_t *, wasm_trap_t **, wasmtime_error_t **);
bool wasmtime_instance_export_get(wasmtime_context_t *, const wasmtime_instance_t *, const char *, size_t, wasmtime_extern_t *);
wasmtime_store_t *wasmtime_store_new(wasm_engine_t *, void *, void (*)(void *));
void wasmtime_store_delete(wasmtime_store_t *);
wasmtime_context_t *wasmtime_store_context(wasmtime_store_t *);
void wasmtime_store_limiter(wasmtime_store_t *, int64_t memory, int64_t elements, int64_t instances, int64_t tables, int64_t memories);
void wasmtime_store_epoch_deadline_callback(
    wasmtime_store_t *, wasmtime_error_t *(*)(wasmtime_context_t *, void *, uint64_t *, wasmtime_update_deadline_kind_t *), void *, void (*)(void *));
wasmtime_error_t *wasmtime_context_epoch_deadline_async_yield_and_update(wasmtime_context_t *, uint64_t delta);
void wasmtime_config_async_stack_size_set(wasm_config_t *, uint64_t);
void wasmtime_config_host_stack_creator_set(wasm_config_t *, wasmtime_stack_creator_t *);
void *wasmtime_context_get_data(const wasmtime_context_t *);
void wasmtime_context_set_epoch_deadline(wasmtime_context_t *, uint64_t);
wasmtime_context_t *wasmtime_caller_context(wasmtime_caller_t *);
wasmtime_error_t *wasmtime_func_call_unchecked(wasmtime_context_t *, const wasmtime_func_t *, wasmtime_val_raw_t *, size_t, wasm_trap_t **);
wasmtime_call_future_t *wasmtime_func_call_async(
    wasmtime_context_t *, const wasmtime_func_t *, const wasmtime_val_t *, size_t, wasmtime_val_t *, size_t, wasm_trap_t **, wasmtime_error_t **);
bool wasmtime_call_future_poll(wasmtime_call_future_t *);
void wasmtime_call_future_delete(wasmtime_call_future_t *);
wasmtime_error_t *wasmtime_memory_grow(wasmtime_context_t *, const wasmtime_memory_t *, uint64_t delta, uint64_t *before);
void wasmtime_global_get(wasmtime_context_t *, const wasmtime_global_t *, wasmtime_val_t *);
wasmtime_error_t *wasmtime_global_set(wasmtime_context_t *, const wasmtime_global_t *, const wasmtime_val_t *);

// What new memories need to have reserved, the most that wasmtime asks for with
// memories of 32 bits; and the most values of a host function.
#define WW_RESERVED ((size_t)4 << 30)
#define WW_GUARD ((size_t)32 << 20)
#define WW_HOST_VALUES 32

// The stack of a fiber: as much as threads need to have.
#define WW_STACK ((size_t)1 << 20)

// A host function that instances on fibers import.
typedef struct ww_host {
  uintptr_t index;
  uint8_t n_results, kinds[WW_HOST_VALUES]; // of its results
} ww_host;

// What an instance on a fiber runs, until it has ended.
typedef struct ww_fiber {
  wasmtime_call_future_t *future; // NULL between calls
  wasmtime_func_t func;
  wasm_trap_t *trap;
  wasmtime_error_t *error;
  size_t n_results;

  // The host function that it waits for.
  const ww_host *host;
  bool waits;
  wasmtime_val_raw_t passed[WW_HOST_VALUES]; // parameters, then results
  wasmtime_val_t *results;

  wasmtime_val_t values[]; // as many as the instance has, for parameters and for results
} ww_fiber;

// An instance with the store of its own that it lives in.
typedef struct ww_instance {
  uintptr_t handle; // of the Go value, for callbacks
  wasmtime_store_t *store;
  wasmtime_context_t *context;
  wasmtime_instance_t instance;
  wasmtime_global_t *globals;

  // Its linear memory, which is ours: bytes that it has, and may come to have.
  // Beyond size nothing is accessible.
  uint8_t *memory;
  size_t size, limit;
  bool wants_memory;
  size_t shrunk; // what the next growth leaves, if it is not 0

  // Why the last call ended; text is malloc'ed.
  enum { WW_OK, WW_TRAP, WW_ERROR } failure;
  wasmtime_trap_code_t code;
  char *text;

  ww_fiber *fiber; // NULL if it runs on threads

  size_t n_values;
  wasmtime_val_raw_t values[]; // parameters, then results, of calls
} ww_instance;

// ww_setup makes linear memories ours. It comes before the engine is made.
void ww_setup(wasm_config_t *);

// ww_define adds a host function to the linker of instances on threads and to that of
// instances on fibers: kinds are wasm.h's, parameters first. It gives the error's text,
// NULL if there is none.
char *ww_define(wasmtime_linker_t *threads, wasmtime_linker_t *fibers, const char *module, size_t, const char *name, size_t,
                const uint8_t *kinds, size_t n_params, size_t n_results, uintptr_t index);

// ww_link gives what instances are made from, or the error's text.
char *ww_link(wasmtime_linker_t *, wasmtime_module_t *, wasmtime_instance_pre_t **);

// ww_new makes an instance that is yet to be instantiated. One on a fiber has to be
// resumed after ww_instantiate and ww_call_fiber until it has ended, or abandoned.
ww_instance *ww_new(uintptr_t handle, size_t n_values, bool fiber);
void ww_instantiate(wasm_engine_t *engine, wasmtime_instance_pre_t *pre, ww_instance *, int64_t elements, int64_t tables);
bool ww_find(ww_instance *, const char *name, size_t, wasmtime_func_t *);
void ww_call(ww_instance *, wasmtime_func_t, size_t n_values);
void ww_call_fiber(ww_instance *, wasmtime_func_t, const uint8_t *kinds, size_t n_params, size_t n_results);
bool ww_resume(ww_instance *);
void ww_abandon(ww_instance *);
bool ww_find_globals(ww_instance *, const char *names, const uint32_t *lengths, size_t n);
void ww_get_globals(ww_instance *, uint64_t *values, size_t n);
void ww_set_globals(ww_instance *, const uint8_t *kinds, const uint64_t *values, size_t n);
bool ww_shrink(ww_instance *, const char *memory, size_t, size_t size);
void ww_delete(ww_instance *);

#endif
