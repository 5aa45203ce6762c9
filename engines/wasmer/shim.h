// What shim.c does for the driver, and the part of the WebAssembly C API that it
// does that with. wasmer-go keeps the header where no other module can name it;
// header_test.go compiles these declarations beside the original ones.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wasm_config_t wasm_config_t;
typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasm_store_t wasm_store_t;
typedef struct wasm_module_t wasm_module_t;
typedef struct wasm_instance_t wasm_instance_t;
typedef struct wasm_extern_t wasm_extern_t;
typedef struct wasm_func_t wasm_func_t;
typedef struct wasm_global_t wasm_global_t;
typedef struct wasm_memory_t wasm_memory_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasm_ref_t wasm_ref_t;
typedef struct wasm_functype_t wasm_functype_t;
typedef struct wasm_externtype_t wasm_externtype_t;
typedef struct wasm_importtype_t wasm_importtype_t;
typedef struct wasm_exporttype_t wasm_exporttype_t;

#ifndef WASM_H // the original: a type cannot be defined twice
typedef struct wasm_byte_vec_t { size_t size; char *data; } wasm_byte_vec_t;
typedef struct wasm_extern_vec_t { size_t size; wasm_extern_t **data; } wasm_extern_vec_t;
typedef struct wasm_importtype_vec_t { size_t size; wasm_importtype_t **data; } wasm_importtype_vec_t;
typedef struct wasm_exporttype_vec_t { size_t size; wasm_exporttype_t **data; } wasm_exporttype_vec_t;

typedef uint8_t wasm_valkind_t;
typedef struct wasm_val_t {
	wasm_valkind_t kind;
	union { int32_t i32; int64_t i64; float f32; double f64; wasm_ref_t *ref; } of;
} wasm_val_t;
typedef struct wasm_val_vec_t { size_t size; wasm_val_t *data; } wasm_val_vec_t;
#endif
typedef wasm_trap_t *(*wasm_func_callback_with_env_t)(void *, const wasm_val_vec_t *, wasm_val_vec_t *);

wasm_config_t *wasm_config_new(void);
wasm_engine_t *wasm_engine_new_with_config(wasm_config_t *);
void wasm_engine_delete(wasm_engine_t *);
wasm_store_t *wasm_store_new(wasm_engine_t *);
void wasm_store_delete(wasm_store_t *);
bool wasm_module_validate(wasm_store_t *, const wasm_byte_vec_t *);
wasm_module_t *wasm_module_new(wasm_store_t *, const wasm_byte_vec_t *);
void wasm_module_serialize(const wasm_module_t *, wasm_byte_vec_t *);
wasm_module_t *wasm_module_deserialize(wasm_store_t *, const wasm_byte_vec_t *);
void wasm_module_delete(wasm_module_t *);
void wasm_module_imports(const wasm_module_t *, wasm_importtype_vec_t *);
void wasm_importtype_vec_delete(wasm_importtype_vec_t *);
const wasm_byte_vec_t *wasm_importtype_module(const wasm_importtype_t *);
const wasm_byte_vec_t *wasm_importtype_name(const wasm_importtype_t *);
void wasm_module_exports(const wasm_module_t *, wasm_exporttype_vec_t *);
void wasm_exporttype_vec_delete(wasm_exporttype_vec_t *);
const wasm_byte_vec_t *wasm_exporttype_name(const wasm_exporttype_t *);
const wasm_externtype_t *wasm_importtype_type(const wasm_importtype_t *);
const wasm_functype_t *wasm_externtype_as_functype_const(const wasm_externtype_t *);
wasm_func_t *wasm_func_new_with_env(wasm_store_t *, const wasm_functype_t *, wasm_func_callback_with_env_t, void *, void (*)(void *));
void wasm_func_delete(wasm_func_t *);
wasm_trap_t *wasm_func_call(const wasm_func_t *, const wasm_val_vec_t *, wasm_val_vec_t *);
wasm_extern_t *wasm_func_as_extern(wasm_func_t *);
wasm_func_t *wasm_extern_as_func(wasm_extern_t *);
wasm_global_t *wasm_extern_as_global(wasm_extern_t *);
wasm_memory_t *wasm_extern_as_memory(wasm_extern_t *);
wasm_instance_t *wasm_instance_new(wasm_store_t *, const wasm_module_t *, const wasm_extern_vec_t *, wasm_trap_t **);
void wasm_instance_delete(wasm_instance_t *);
void wasm_instance_exports(const wasm_instance_t *, wasm_extern_vec_t *);
void wasm_extern_vec_delete(wasm_extern_vec_t *);
void wasm_global_get(const wasm_global_t *, wasm_val_t *);
void wasm_global_set(wasm_global_t *, const wasm_val_t *);
char *wasm_memory_data(wasm_memory_t *);
size_t wasm_memory_data_size(const wasm_memory_t *);
bool wasm_memory_grow(wasm_memory_t *, uint32_t);
wasm_trap_t *wasm_trap_new(wasm_store_t *, const wasm_byte_vec_t *);
void wasm_trap_message(const wasm_trap_t *, wasm_byte_vec_t *);
void wasm_trap_delete(wasm_trap_t *);
void wasm_byte_vec_delete(wasm_byte_vec_t *);

void wasm_config_set_compiler(wasm_config_t *, unsigned int);
void wasm_config_set_engine(wasm_config_t *, unsigned int);
int wasmer_last_error_length(void);
int wasmer_last_error_message(char *, int);
const char *wasmer_version(void);

// wm_module is compiled code in an engine of its own, with what it imports.
typedef struct wm_module {
	wasm_engine_t *engine;
	wasm_store_t *store;
	wasm_module_t *module;
	wasm_extern_vec_t imports;
} wm_module;

// wm_instance is an instance and its exports, in the order of the binary, with
// room for the arguments and the results of a call.
typedef struct wm_instance {
	wasm_store_t *store;
	wasm_instance_t *instance;
	wasm_extern_vec_t exports;
	wasm_val_t *args, *results;
} wm_instance;

// Functions that can fail give a text to be freed by the caller, NULL for success.

char *wm_validate(char *binary, size_t size);

// wm_compile compiles a module all of whose imports are functions. Before it can be
// instantiated wm_define is told what wmHost will be told for each of them.
char *wm_compile(char *binary, size_t size, wm_module *out);
void wm_define(wm_module *, const uint32_t *hosts);

// wm_load is wm_compile from machine code, which must be sound: nobody checks it.
char *wm_load(char *machine, size_t size, wm_module *out);
void wm_module_free(wm_module *);

// wm_instantiate and wm_call run the guest. wmHost is told the handle. The text is
// that of a trap where *trapped is set.
wm_instance *wm_new(size_t values);
char *wm_instantiate(wm_module *, uintptr_t handle, wm_instance *out, bool *trapped);
char *wm_call(wm_instance *, size_t export, uintptr_t handle, size_t nargs, size_t nresults);
void wm_instance_free(wm_instance *);

char *wm_memory(wm_instance *, size_t export, size_t *size);
bool wm_memory_grow(wm_instance *, size_t export, uint32_t pages);
uint64_t wm_global_get(wm_instance *, size_t export);
void wm_global_set(wm_instance *, size_t export, wasm_valkind_t kind, uint64_t bits);
