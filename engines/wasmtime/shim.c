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

// A stack of a fiber, and the list of those that wait for one: making and unmapping
// them would change page tables for each call.
typedef struct stack {
  struct stack *next;
  uint8_t *base; // its lowest page is a guard
} stack;

enum { GUARD_PAGE = 4096, KEPT_STACKS = 64 };

static pthread_mutex_t stacks_lock = PTHREAD_MUTEX_INITIALIZER;
static stack *stacks;
static size_t n_stacks;

static stack *take_stack(void) {
  pthread_mutex_lock(&stacks_lock);
  stack *s = stacks;
  if (s) stacks = s->next, n_stacks--;
  pthread_mutex_unlock(&stacks_lock);
  return s;
}

static void keep_stack(void *env) {
  stack *s = env;
  pthread_mutex_lock(&stacks_lock);
  bool room = n_stacks < KEPT_STACKS;
  if (room) s->next = stacks, stacks = s, n_stacks++;
  pthread_mutex_unlock(&stacks_lock);
  if (room) return;
  munmap(s->base, WW_STACK + GUARD_PAGE);
  free(s);
}

static uint8_t *get_stack(void *env, size_t *size) {
  stack *s = env;
  *size = WW_STACK;
  return s->base + GUARD_PAGE + WW_STACK; // they grow down
}

static stack *map_stack(void) {
  stack *s = malloc(sizeof *s);
  if (!s) return NULL;
  s->base = mmap(NULL, WW_STACK + GUARD_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (s->base != MAP_FAILED && !mprotect(s->base, GUARD_PAGE, PROT_NONE)) return s;
  if (s->base != MAP_FAILED) munmap(s->base, WW_STACK + GUARD_PAGE);
  free(s);
  return NULL;
}

static wasmtime_error_t *new_stack(void *env, size_t size, bool zeroed, wasmtime_stack_memory_t *out) {
  if (size > WW_STACK) return wasmtime_error_new("stack that was not foreseen");
  stack *s = take_stack();
  if (!s) s = map_stack();
  if (!s) return wasmtime_error_new("no memory for a stack");
  *out = (wasmtime_stack_memory_t){s, get_stack, keep_stack};
  return NULL;
}

void ww_setup(wasm_config_t *config) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, reserve_nothing);
  wasmtime_memory_creator_t creator = {NULL, new_memory, NULL};
  wasmtime_config_host_memory_creator_set(config, &creator);
  wasmtime_stack_creator_t stack_creator = {NULL, new_stack, NULL};
  wasmtime_config_async_stack_size_set(config, WW_STACK);
  wasmtime_config_host_stack_creator_set(config, &stack_creator);
}

static wasm_trap_t *host(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n) {
  ww_instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
  if (wasmwhiskHostCall(i->handle, (uintptr_t)env, values)) return wasmtime_trap_new("stopped", 7);
  return NULL;
}

static bool wide(uint8_t kind) { return kind == WASMTIME_I64 || kind == WASMTIME_F64; }

static int64_t bits(const wasmtime_val_t *v) { return wide(v->kind) ? v->of.i64 : (uint32_t)v->of.i64; }

// answered tells a fiber whether its host function has returned, and what.
static bool answered(void *env) {
  ww_fiber *f = env;
  if (f->waits) return false;
  for (size_t k = 0; k < f->host->n_results; k++) {
    f->results[k].kind = f->host->kinds[k];
    f->results[k].of.i64 = f->passed[k].i64;
  }
  return true;
}

// ask has a fiber wait for a host function: Go must not run on its stack.
static void ask(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args, size_t n_args, wasmtime_val_t *results,
                size_t n_results, wasm_trap_t **trap, wasmtime_async_continuation_t *then) {
  ww_instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
  ww_fiber *f = i->fiber;
  for (size_t k = 0; k < n_args; k++) f->passed[k].i64 = bits(&args[k]);
  f->host = env;
  f->results = results;
  f->waits = true;
  *then = (wasmtime_async_continuation_t){answered, f, NULL};
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

char *ww_define(wasmtime_linker_t *threads, wasmtime_linker_t *fibers, const char *module, size_t module_size, const char *name,
                size_t name_size, const uint8_t *kinds, size_t n_params, size_t n_results, uintptr_t index) {
  ww_host *asked = calloc(1, sizeof *asked);
  if (!asked) abort();
  asked->index = index;
  asked->n_results = n_results;
  memcpy(asked->kinds, kinds + n_params, n_results);
  wasm_valtype_vec_t params, results;
  types(&params, kinds, n_params);
  types(&results, kinds + n_params, n_results);
  wasm_functype_t *type = wasm_functype_new(&params, &results);
  wasmtime_error_t *error = wasmtime_linker_define_func_unchecked(
      threads, module, module_size, name, name_size, type, host, (void *)index, NULL);
  wasmtime_error_t *other = wasmtime_linker_define_async_func(
      fibers, module, module_size, name, name_size, type, ask, asked, free);
  wasm_functype_delete(type);
  char *text = take_error(error), *other_text = take_error(other);
  if (!text) return other_text;
  free(other_text);
  return text;
}

char *ww_link(wasmtime_linker_t *linker, wasmtime_module_t *module, wasmtime_instance_pre_t **out) {
  return take_error(wasmtime_linker_instantiate_pre(linker, module, out));
}

ww_instance *ww_new(uintptr_t handle, size_t n_values, bool fiber) {
  ww_instance *i = calloc(1, sizeof *i + n_values * sizeof i->values[0]);
  if (!i) abort();
  i->handle = handle;
  i->n_values = n_values;
  if (fiber) i->fiber = calloc(1, sizeof *i->fiber + 2 * n_values * sizeof i->fiber->values[0]);
  if (fiber && !i->fiber) abort();
  return i;
}

void ww_instantiate(wasm_engine_t *engine, wasmtime_instance_pre_t *pre, ww_instance *i, int64_t elements, int64_t tables) {
  i->store = wasmtime_store_new(engine, i, NULL);
  i->context = wasmtime_store_context(i->store);
  wasmtime_store_limiter(i->store, -1, elements, 1, tables, 1); // grow_memory bounds the memory
  wasmtime_context_set_epoch_deadline(i->context, 1);
  if (i->fiber) {
    wasmtime_context_epoch_deadline_async_yield_and_update(i->context, 1); // whatever its header says, it gives nothing
    i->fiber->future = wasmtime_instance_pre_instantiate_async(pre, i->context, &i->instance, &i->fiber->trap, &i->fiber->error);
    return;
  }
  wasmtime_store_epoch_deadline_callback(i->store, tick, i, NULL);
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

void ww_call_fiber(ww_instance *i, wasmtime_func_t func, const uint8_t *kinds, size_t n_params, size_t n_results) {
  ww_fiber *f = i->fiber;
  for (size_t k = 0; k < n_params; k++) {
    f->values[k].kind = kinds[k];
    f->values[k].of.i64 = i->values[k].i64;
  }
  f->func = func;
  f->n_results = n_results;
  wasmtime_context_set_epoch_deadline(i->context, 1);
  f->future = wasmtime_func_call_async(i->context, &f->func, f->values, n_params, f->values + i->n_values, n_results, &f->trap, &f->error);
}

// ww_resume runs a fiber until it waits, its time is up, or it has ended; it tells
// whether that is so.
bool ww_resume(ww_instance *i) {
  ww_fiber *f = i->fiber;
  making = i;
  bool is = wasmtime_call_future_poll(f->future);
  making = NULL;
  if (!is) return false;
  ww_abandon(i);
  for (size_t k = 0; k < f->n_results; k++) i->values[k].i64 = bits(&f->values[i->n_values + k]);
  f->n_results = 0;
  ended(i, f->error, f->trap);
  f->error = NULL;
  f->trap = NULL;
  return true;
}

void ww_abandon(ww_instance *i) {
  wasmtime_call_future_delete(i->fiber->future);
  i->fiber->future = NULL;
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
    values[k] = (uint64_t)bits(&value);
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
  if (i->fiber && i->fiber->future) ww_abandon(i);
  if (i->store) wasmtime_store_delete(i->store);
  free(i->fiber);
  free(i->globals);
  free(i->text);
  free(i);
}
