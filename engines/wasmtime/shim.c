//go:build cgo && linux && amd64

#include "shim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "_cgo_export.h"

static char *copy_text(wasm_byte_vec_t *text) {
  char *out = malloc(text->size + 1);
  if (out) {
    memcpy(out, text->data, text->size);
    out[text->size] = 0;
  }
  wasm_byte_vec_delete(text);
  return out;
}

static char *take_error(wasmtime_error_t *error) {
  if (!error) return NULL;
  wasm_byte_vec_t text;
  wasmtime_error_message(error, &text);
  wasmtime_error_delete(error);
  return copy_text(&text);
}

// ended keeps why a call ended.
static void ended(ww_instance *i, wasmtime_error_t *error, wasm_trap_t *trap) {
  free(i->text);
  i->text = NULL;
  i->failure = WW_OK;
  if (error) {
    i->failure = WW_ERROR;
    i->text = take_error(error);
  } else if (trap) {
    i->failure = wasmtime_trap_code(trap, &i->code) ? WW_TRAP : WW_ERROR;
    wasm_byte_vec_t text;
    wasm_trap_message(trap, &text);
    i->text = copy_text(&text);
    wasm_trap_delete(trap);
  }
}

// making is the instance that is being made on this thread: wasmtime does not
// tell for whom it wants a memory.
static __thread ww_instance *making;

static uint8_t *get_memory(void *env, size_t *size, size_t *capacity) {
  ww_instance *i = env;
  *size = i->size;
  *capacity = WW_RESERVED;
  return i->memory;
}

static wasmtime_error_t *grow_memory(void *env, size_t size) {
  ww_instance *i = env;
  if (i->shrunk) {
    i->size = i->shrunk;
    return NULL;
  }
  if (size > i->limit) return wasmtime_error_new("memory limit");
  if (size > i->size && mprotect(i->memory + i->size, size - i->size, PROT_READ | PROT_WRITE))
    return wasmtime_error_new("mprotect");
  i->size = size;
  return NULL;
}

// nothing is where the heap of references begins, which wasmtime wants for tables
// of external ones. Guests of ours never have one that is not null, so it stays
// empty; were it read, that would fault.
static uint8_t *nothing;

static void reserve_nothing(void) {
  nothing = mmap(NULL, WW_RESERVED + WW_GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static uint8_t *get_nothing(void *env, size_t *size, size_t *capacity) {
  *size = *capacity = 0;
  return nothing;
}

static wasmtime_error_t *grow_nothing(void *env, size_t size) { return wasmtime_error_new("no references"); }

// new_memory tells a guest's memory by its maximum, which the rewriter has given
// to each, from the heap of references.
static wasmtime_error_t *new_memory(void *env, const wasm_memorytype_t *type, size_t minimum, size_t maximum,
                                    size_t reserved, size_t guard, wasmtime_linear_memory_t *memory) {
  ww_instance *i = making;
  uint64_t pages;
  if (!wasmtime_memorytype_maximum(type, &pages) && nothing != MAP_FAILED && minimum == 0) {
    *memory = (wasmtime_linear_memory_t){NULL, get_nothing, grow_nothing, NULL};
    return NULL;
  }
  if (!i || !i->wants_memory || minimum > i->size || reserved > WW_RESERVED || guard > WW_GUARD)
    return wasmtime_error_new("memory that was not foreseen");
  i->wants_memory = false;
  *memory = (wasmtime_linear_memory_t){i, get_memory, grow_memory, NULL};
  return NULL;
}

void ww_setup(wasm_config_t *config) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, reserve_nothing);
  wasmtime_memory_creator_t creator = {NULL, new_memory, NULL};
  wasmtime_config_host_memory_creator_set(config, &creator);
}

static wasm_trap_t *host(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n) {
  ww_instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
  if (wasmwhiskHostCall(i->handle, (uintptr_t)env, values)) return wasmtime_trap_new("stopped", 7);
  return NULL;
}

static wasmtime_error_t *tick(wasmtime_context_t *context, void *env, uint64_t *delta, wasmtime_update_deadline_kind_t *kind) {
  ww_instance *i = env;
  if (wasmwhiskTick(i->handle)) return wasmtime_error_new("stopped");
  *delta = 1;
  *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
  return NULL;
}

static void types(wasm_valtype_vec_t *out, const uint8_t *kinds, size_t n) {
  wasm_valtype_t *all[WW_HOST_VALUES];
  for (size_t k = 0; k < n; k++) all[k] = wasm_valtype_new(kinds[k]);
  wasm_valtype_vec_new(out, n, all);
}

char *ww_define(wasmtime_linker_t *linker, const char *module, size_t module_size, const char *name, size_t name_size,
                const uint8_t *kinds, size_t n_params, size_t n_results, uintptr_t index) {
  wasm_valtype_vec_t params, results;
  types(&params, kinds, n_params);
  types(&results, kinds + n_params, n_results);
  wasm_functype_t *type = wasm_functype_new(&params, &results);
  wasmtime_error_t *error = wasmtime_linker_define_func_unchecked(
      linker, module, module_size, name, name_size, type, host, (void *)index, NULL);
  wasm_functype_delete(type);
  return take_error(error);
}

char *ww_link(wasmtime_linker_t *linker, wasmtime_module_t *module, wasmtime_instance_pre_t **out) {
  return take_error(wasmtime_linker_instantiate_pre(linker, module, out));
}

ww_instance *ww_new(uintptr_t handle, size_t n_values) {
  ww_instance *i = calloc(1, sizeof *i + n_values * sizeof i->values[0]);
  if (!i) abort();
  i->handle = handle;
  i->n_values = n_values;
  return i;
}

void ww_instantiate(wasm_engine_t *engine, wasmtime_instance_pre_t *pre, ww_instance *i, int64_t elements, int64_t tables) {
  i->store = wasmtime_store_new(engine, i, NULL);
  i->context = wasmtime_store_context(i->store);
  wasmtime_store_limiter(i->store, -1, elements, 1, tables, 1); // grow_memory bounds the memory
  wasmtime_store_epoch_deadline_callback(i->store, tick, i, NULL);
  wasmtime_context_set_epoch_deadline(i->context, 1);
  wasm_trap_t *trap = NULL;
  making = i;
  wasmtime_error_t *error = wasmtime_instance_pre_instantiate(pre, i->context, &i->instance, &trap);
  making = NULL;
  ended(i, error, trap);
}

static bool export(ww_instance *i, const char *name, size_t size, uint8_t kind, wasmtime_extern_t *out) {
  return wasmtime_instance_export_get(i->context, &i->instance, name, size, out) && out->kind == kind;
}

bool ww_find(ww_instance *i, const char *name, size_t size, wasmtime_func_t *out) {
  wasmtime_extern_t found;
  if (!export(i, name, size, WASMTIME_EXTERN_FUNC, &found)) return false;
  *out = found.of.func;
  return true;
}

void ww_call(ww_instance *i, wasmtime_func_t func, size_t n_values) {
  wasm_trap_t *trap = NULL;
  wasmtime_context_set_epoch_deadline(i->context, 1);
  wasmtime_error_t *error = wasmtime_func_call_unchecked(i->context, &func, i->values, n_values, &trap);
  ended(i, error, trap);
}

bool ww_find_globals(ww_instance *i, const char *names, const uint32_t *sizes, size_t n) {
  i->globals = calloc(n ? n : 1, sizeof *i->globals);
  if (!i->globals) return false;
  for (size_t k = 0; k < n; names += sizes[k++]) {
    wasmtime_extern_t found;
    if (!export(i, names, sizes[k], WASMTIME_EXTERN_GLOBAL, &found)) return false;
    i->globals[k] = found.of.global;
  }
  return true;
}

void ww_get_globals(ww_instance *i, uint64_t *values, size_t n) {
  for (size_t k = 0; k < n; k++) {
    wasmtime_val_t value;
    wasmtime_global_get(i->context, &i->globals[k], &value);
    bool wide = value.kind == WASMTIME_I64 || value.kind == WASMTIME_F64;
    values[k] = wide ? (uint64_t)value.of.i64 : (uint32_t)value.of.i64;
  }
}

void ww_set_globals(ww_instance *i, const uint8_t *kinds, const uint64_t *values, size_t n) {
  for (size_t k = 0; k < n; k++) {
    wasmtime_val_t value;
    memset(&value, 0, sizeof value);
    value.kind = kinds[k];
    value.of.i64 = values[k];
    free(take_error(wasmtime_global_set(i->context, &i->globals[k], &value)));
  }
}

// ww_shrink takes back what a memory has grown by. wasmtime knows only growing, but
// asks us for the size afterwards: it has the memory grow by a page, and is told
// the size that the memory began with.
bool ww_shrink(ww_instance *i, const char *memory, size_t name_size, size_t size) {
  wasmtime_extern_t found;
  uint64_t before;
  if (size == 0 || !export(i, memory, name_size, WASMTIME_EXTERN_MEMORY, &found)) return false;
  i->shrunk = size;
  char *failure = take_error(wasmtime_memory_grow(i->context, &found.of.memory, 1, &before));
  i->shrunk = 0;
  free(failure);
  return !failure && i->size == size;
}

void ww_delete(ww_instance *i) {
  if (i->store) wasmtime_store_delete(i->store);
  free(i->globals);
  free(i->text);
  free(i);
}
