//go:build cgo && linux && amd64

#include "shim.h"

#include <stdlib.h>
#include <string.h>

// wmHost is in Go. Its result is whether the guest may go on.
extern bool wmHost(uintptr_t handle, uint32_t host, wasm_val_t *args, size_t nargs, wasm_val_t *results, size_t nresults);

// current is the guest that runs on this thread: the API does not tell callbacks
// who calls them.
static _Thread_local uintptr_t current;
static _Thread_local wasm_store_t *current_store;

static char *copy_text(const char *text, size_t n) {
	char *copy = malloc(n + 1);
	memcpy(copy, text, n);
	copy[n] = 0;
	return copy;
}

// last_error is that of the library's last function on this thread.
static char *last_error(void) {
	int n = wasmer_last_error_length();
	if (n <= 0)
		return copy_text("wasmer does not say why", 23);
	char *text = calloc(n + 1, 1);
	wasmer_last_error_message(text, n);
	return text;
}

static char *trap_text(wasm_trap_t *trap) {
	wasm_byte_vec_t message;
	wasm_trap_message(trap, &message);
	char *text = copy_text(message.data, message.size);
	wasm_byte_vec_delete(&message);
	wasm_trap_delete(trap);
	return text;
}

static wasm_trap_t *host(void *env, const wasm_val_vec_t *args, wasm_val_vec_t *results) {
	uintptr_t handle = current;
	wasm_store_t *store = current_store;
	bool goes_on = wmHost(handle, (uint32_t)(uintptr_t)env, args->data, args->size, results->data, results->size);
	current = handle;
	current_store = store;
	if (goes_on)
		return NULL;
	char text[] = "stopped by the host";
	wasm_byte_vec_t message = {sizeof text, text};
	return wasm_trap_new(store, &message);
}

static void no_finalizer(void *env) { (void)env; }

static bool open_engine(wm_module *m) {
	wasm_config_t *config = wasm_config_new();
	wasm_config_set_compiler(config, 0); // Cranelift
	wasm_config_set_engine(config, 0); // universal
	m->engine = wasm_engine_new_with_config(config);
	m->store = m->engine ? wasm_store_new(m->engine) : NULL;
	return m->store;
}

void wm_module_free(wm_module *m) {
	for (size_t i = 0; i < m->imports.size; i++)
		wasm_func_delete(wasm_extern_as_func(m->imports.data[i]));
	free(m->imports.data);
	if (m->module)
		wasm_module_delete(m->module);
	if (m->store)
		wasm_store_delete(m->store);
	if (m->engine)
		wasm_engine_delete(m->engine);
	memset(m, 0, sizeof *m);
}

char *wm_validate(char *binary, size_t size) {
	wm_module m = {0};
	wasm_byte_vec_t bytes = {size, binary};
	char *text = NULL;
	if (!open_engine(&m) || !wasm_module_validate(m.store, &bytes))
		text = last_error();
	wm_module_free(&m);
	return text;
}

void wm_define(wm_module *m, const uint32_t *hosts) {
	wasm_importtype_vec_t types;
	wasm_module_imports(m->module, &types);
	m->imports.data = calloc(types.size + 1, sizeof *m->imports.data);
	for (size_t i = 0; i < types.size; i++) {
		const wasm_functype_t *type = wasm_externtype_as_functype_const(wasm_importtype_type(types.data[i]));
		wasm_func_t *func = wasm_func_new_with_env(m->store, type, host, (void *)(uintptr_t)hosts[i], no_finalizer);
		m->imports.data[i] = wasm_func_as_extern(func);
	}
	m->imports.size = types.size;
	wasm_importtype_vec_delete(&types);
}

char *wm_compile(char *binary, size_t size, wm_module *m) {
	wasm_byte_vec_t bytes = {size, binary};
	memset(m, 0, sizeof *m);
	if (!open_engine(m) || !(m->module = wasm_module_new(m->store, &bytes))) {
		char *text = last_error();
		wm_module_free(m);
		return text;
	}
	return NULL;
}

char *wm_load(char *machine, size_t size, wm_module *m) {
	wasm_byte_vec_t bytes = {size, machine};
	memset(m, 0, sizeof *m);
	if (open_engine(m) && (m->module = wasm_module_deserialize(m->store, &bytes)))
		return NULL;
	char *text = last_error();
	wm_module_free(m);
	return text;
}

wm_instance *wm_new(size_t values) {
	wm_instance *i = calloc(1, sizeof *i);
	i->args = calloc(values + 1, sizeof *i->args);
	i->results = calloc(values + 1, sizeof *i->results);
	return i;
}

char *wm_instantiate(wm_module *m, uintptr_t handle, wm_instance *out, bool *trapped) {
	wasm_trap_t *trap = NULL;
	uintptr_t outer = current;
	wasm_store_t *outer_store = current_store;
	current = handle;
	current_store = m->store;
	out->store = m->store;
	out->instance = wasm_instance_new(m->store, m->module, &m->imports, &trap);
	current = outer;
	current_store = outer_store;
	*trapped = trap;
	if (trap)
		return trap_text(trap);
	if (!out->instance)
		return last_error();
	wasm_instance_exports(out->instance, &out->exports);
	return NULL;
}

char *wm_call(wm_instance *i, size_t export, uintptr_t handle, size_t nargs, size_t nresults) {
	wasm_val_vec_t args = {nargs, i->args}, results = {nresults, i->results};
	uintptr_t outer = current;
	wasm_store_t *outer_store = current_store;
	current = handle;
	current_store = i->store;
	wasm_trap_t *trap = wasm_func_call(wasm_extern_as_func(i->exports.data[export]), &args, &results);
	current = outer;
	current_store = outer_store;
	return trap ? trap_text(trap) : NULL;
}

void wm_instance_free(wm_instance *i) {
	if (i->instance) {
		wasm_extern_vec_delete(&i->exports);
		wasm_instance_delete(i->instance);
	}
	free(i->args);
	free(i->results);
	free(i);
}

char *wm_memory(wm_instance *i, size_t export, size_t *size) {
	wasm_memory_t *memory = wasm_extern_as_memory(i->exports.data[export]);
	*size = wasm_memory_data_size(memory);
	return wasm_memory_data(memory);
}

bool wm_memory_grow(wm_instance *i, size_t export, uint32_t pages) {
	return wasm_memory_grow(wasm_extern_as_memory(i->exports.data[export]), pages);
}

uint64_t wm_global_get(wm_instance *i, size_t export) {
	wasm_val_t value = {0};
	wasm_global_get(wasm_extern_as_global(i->exports.data[export]), &value);
	return (uint64_t)value.of.i64;
}

void wm_global_set(wm_instance *i, size_t export, wasm_valkind_t kind, uint64_t bits) {
	wasm_val_t value = {.kind = kind, .of = {.i64 = (int64_t)bits}};
	wasm_global_set(wasm_extern_as_global(i->exports.data[export]), &value);
}
