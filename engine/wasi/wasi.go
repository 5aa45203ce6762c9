// Package wasi implements WASI preview1 over a guest's memory, the same for
// every engine. Sandboxes give it to their guests; drivers only carry the calls.
//
// What one activation can reach is a [System]: arguments, environment, clocks,
// random bytes, streams, and directories that were mounted for it, nothing
// else. The functions themselves hold no state; they find the system in the
// context of the call, see [NewContext].
//
// A guest is hostile until proven otherwise. Pointers and lengths are checked
// against its memory, and counts against bounds; whatever is wrong with its
// arguments reaches it as an errno. Paths are resolved by [os.Root], beneath
// the directory they start from, whatever links the tree holds; the last
// component of a path is handed to the kernel only with calls that do not
// follow links. Nothing but regular files and directories is ever opened, so a
// FIFO or a device within a mount cannot block the host.
package wasi

import (
	"context"
	"errors"

	"wasmwhisk/engine"
)

// Module is the name that guests import these functions from.
const Module = "wasi_snapshot_preview1"

// Functions are all functions of preview1. The guest's context must come from
// [NewContext].
func Functions() []engine.HostFunc {
	funcs := make([]engine.HostFunc, len(functions))
	for i := range functions {
		f := functions[i]
		f.index = i
		funcs[i] = f.hostFunc()
	}
	return funcs
}

// function is one function of preview1. Its error becomes the guest's errno, or
// ends the guest if it is a stop.
type function struct {
	name string
	// params has a letter for each parameter: i is an i32, I an i64.
	params string
	run    func(*System, context.Context, engine.Memory, args) error
	index  int
}

var functions = [...]function{
	{name: "args_get", params: "ii", run: (*System).argsGet},
	{name: "args_sizes_get", params: "ii", run: (*System).argsSizesGet},
	{name: "clock_res_get", params: "ii", run: (*System).clockResGet},
	{name: "clock_time_get", params: "iIi", run: (*System).clockTimeGet},
	{name: "environ_get", params: "ii", run: (*System).environGet},
	{name: "environ_sizes_get", params: "ii", run: (*System).environSizesGet},
	{name: "fd_advise", params: "iIIi", run: (*System).fdAdvise},
	{name: "fd_allocate", params: "iII", run: (*System).fdAllocate},
	{name: "fd_close", params: "i", run: (*System).fdClose},
	{name: "fd_datasync", params: "i", run: (*System).fdDatasync},
	{name: "fd_fdstat_get", params: "ii", run: (*System).fdFdstatGet},
	{name: "fd_fdstat_set_flags", params: "ii", run: (*System).fdFdstatSetFlags},
	{name: "fd_fdstat_set_rights", params: "iII", run: (*System).fdFdstatSetRights},
	{name: "fd_filestat_get", params: "ii", run: (*System).fdFilestatGet},
	{name: "fd_filestat_set_size", params: "iI", run: (*System).fdFilestatSetSize},
	{name: "fd_filestat_set_times", params: "iIIi", run: (*System).fdFilestatSetTimes},
	{name: "fd_pread", params: "iiiIi", run: (*System).fdPread},
	{name: "fd_prestat_dir_name", params: "iii", run: (*System).fdPrestatDirName},
	{name: "fd_prestat_get", params: "ii", run: (*System).fdPrestatGet},
	{name: "fd_pwrite", params: "iiiIi", run: (*System).fdPwrite},
	{name: "fd_read", params: "iiii", run: (*System).fdRead},
	{name: "fd_readdir", params: "iiiIi", run: (*System).fdReaddir},
	{name: "fd_renumber", params: "ii", run: (*System).fdRenumber},
	{name: "fd_seek", params: "iIii", run: (*System).fdSeek},
	{name: "fd_sync", params: "i", run: (*System).fdSync},
	{name: "fd_tell", params: "ii", run: (*System).fdTell},
	{name: "fd_write", params: "iiii", run: (*System).fdWrite},
	{name: "path_create_directory", params: "iii", run: (*System).pathCreateDirectory},
	{name: "path_filestat_get", params: "iiiii", run: (*System).pathFilestatGet},
	{name: "path_filestat_set_times", params: "iiiiIIi", run: (*System).pathFilestatSetTimes},
	{name: "path_link", params: "iiiiiii", run: (*System).pathLink},
	{name: "path_open", params: "iiiiiIIii", run: (*System).pathOpen},
	{name: "path_readlink", params: "iiiiii", run: (*System).pathReadlink},
	{name: "path_remove_directory", params: "iii", run: (*System).pathRemoveDirectory},
	{name: "path_rename", params: "iiiiii", run: (*System).pathRename},
	{name: "path_symlink", params: "iiiii", run: (*System).pathSymlink},
	{name: "path_unlink_file", params: "iii", run: (*System).pathUnlinkFile},
	{name: "poll_oneoff", params: "iiii", run: (*System).pollOneoff},
	{name: "proc_exit", params: "i", run: (*System).procExit},
	{name: "proc_raise", params: "i", run: (*System).procRaise},
	{name: "random_get", params: "ii", run: (*System).randomGet},
	{name: "sched_yield", params: "", run: (*System).schedYield},
	{name: "sock_accept", params: "iii", run: (*System).notSocket},
	{name: "sock_recv", params: "iiiiii", run: (*System).notSocket},
	{name: "sock_send", params: "iiiii", run: (*System).notSocket},
	{name: "sock_shutdown", params: "ii", run: (*System).notSocket},
}

func (f *function) hostFunc() engine.HostFunc {
	return engine.HostFunc{Module: Module, Name: f.name, Type: f.signature(), Call: f.call}
}

func (f *function) signature() engine.FuncType {
	var t engine.FuncType
	for _, letter := range f.params {
		value := engine.I32
		if letter == 'I' {
			value = engine.I64
		}
		t.Params = append(t.Params, value)
	}
	if f.name != "proc_exit" {
		t.Results = []engine.ValueType{engine.I32}
	}
	return t
}

func (f *function) call(ctx context.Context, mem engine.Memory, stack []uint64) error {
	s, ok := ctx.Value(contextKey{}).(*System)
	if !ok {
		return errNoSystem
	}
	s.called |= 1 << f.index
	err := f.run(s, ctx, mem, stack)
	if s, ok := errors.AsType[*stop](err); ok {
		return s.err
	}
	stack[0] = uint64(errnoOf(err))
	return nil
}

var errNoSystem = errors.New("wasi: the context of the call carries no system")

// stop ends the guest with an error that it does not get to see.
type stop struct{ err error }

func (s *stop) Error() string { return "guest stopped: " + s.err.Error() }
func (s *stop) Unwrap() error { return s.err }

// interrupted is the stop of a guest whose context is done.
func interrupted(ctx context.Context) error { return &stop{context.Cause(ctx)} }

// Called lists the functions that the guest has called so far, in the order of
// their names.
func (s *System) Called() []string {
	var names []string
	for i := range functions {
		if s.called&(1<<i) != 0 {
			names = append(names, functions[i].name)
		}
	}
	return names
}

type contextKey struct{}

// NewContext returns a context in which the functions of this package act on s.
func NewContext(ctx context.Context, s *System) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}
