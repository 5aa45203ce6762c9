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
		funcs[i] = functions[i].hostFunc()
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
}

var functions = [...]function{
	{"args_get", "ii", (*System).argsGet},
	{"args_sizes_get", "ii", (*System).argsSizesGet},
	{"clock_res_get", "ii", (*System).clockResGet},
	{"clock_time_get", "iIi", (*System).clockTimeGet},
	{"environ_get", "ii", (*System).environGet},
	{"environ_sizes_get", "ii", (*System).environSizesGet},
	{"fd_advise", "iIIi", (*System).fdAdvise},
	{"fd_allocate", "iII", (*System).fdAllocate},
	{"fd_close", "i", (*System).fdClose},
	{"fd_datasync", "i", (*System).fdDatasync},
	{"fd_fdstat_get", "ii", (*System).fdFdstatGet},
	{"fd_fdstat_set_flags", "ii", (*System).fdFdstatSetFlags},
	{"fd_fdstat_set_rights", "iII", (*System).fdFdstatSetRights},
	{"fd_filestat_get", "ii", (*System).fdFilestatGet},
	{"fd_filestat_set_size", "iI", (*System).fdFilestatSetSize},
	{"fd_filestat_set_times", "iIIi", (*System).fdFilestatSetTimes},
	{"fd_pread", "iiiIi", (*System).fdPread},
	{"fd_prestat_dir_name", "iii", (*System).fdPrestatDirName},
	{"fd_prestat_get", "ii", (*System).fdPrestatGet},
	{"fd_pwrite", "iiiIi", (*System).fdPwrite},
	{"fd_read", "iiii", (*System).fdRead},
	{"fd_readdir", "iiiIi", (*System).fdReaddir},
	{"fd_renumber", "ii", (*System).fdRenumber},
	{"fd_seek", "iIii", (*System).fdSeek},
	{"fd_sync", "i", (*System).fdSync},
	{"fd_tell", "ii", (*System).fdTell},
	{"fd_write", "iiii", (*System).fdWrite},
	{"path_create_directory", "iii", (*System).pathCreateDirectory},
	{"path_filestat_get", "iiiii", (*System).pathFilestatGet},
	{"path_filestat_set_times", "iiiiIIi", (*System).pathFilestatSetTimes},
	{"path_link", "iiiiiii", (*System).pathLink},
	{"path_open", "iiiiiIIii", (*System).pathOpen},
	{"path_readlink", "iiiiii", (*System).pathReadlink},
	{"path_remove_directory", "iii", (*System).pathRemoveDirectory},
	{"path_rename", "iiiiii", (*System).pathRename},
	{"path_symlink", "iiiii", (*System).pathSymlink},
	{"path_unlink_file", "iii", (*System).pathUnlinkFile},
	{"poll_oneoff", "iiii", (*System).pollOneoff},
	{"proc_exit", "i", (*System).procExit},
	{"proc_raise", "i", (*System).procRaise},
	{"random_get", "ii", (*System).randomGet},
	{"sched_yield", "", (*System).schedYield},
	{"sock_accept", "iii", (*System).notSocket},
	{"sock_recv", "iiiiii", (*System).notSocket},
	{"sock_send", "iiiii", (*System).notSocket},
	{"sock_shutdown", "ii", (*System).notSocket},
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

type contextKey struct{}

// NewContext returns a context in which the functions of this package act on s.
func NewContext(ctx context.Context, s *System) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}
