// Package engine is the contract between a sandbox and a WebAssembly engine.
//
// It plays the part that database/sql/driver plays for databases: the
// interfaces are small, are implemented by the drivers under engines/, and are
// called by package sandbox, which adds once what every engine would otherwise
// repeat (policy, deadlines, logs, outcomes). Package enginetest holds every
// driver to the contract.
//
// An engine executes guests in this process. One that may not do so (a guest
// could take the process down) runs the whole sandbox in a worker process; the
// contract stays the same there.
package engine

import (
	"cmp"
	"context"
	"fmt"
)

// PageSize is the size of a page of linear memory in bytes.
const PageSize = 64 << 10

// MaxPages is the most pages a 32-bit linear memory can have.
const MaxPages = 1 << 16

// WasmRuntime compiles binaries. It is safe for concurrent use.
type WasmRuntime interface {
	// Info describes the engine. It does not change.
	Info() Info

	// Compile validates and compiles a binary. The error is an
	// [InvalidModuleError] if the binary is at fault, whoever wrote it.
	Compile(ctx context.Context, binary []byte) (Module, error)

	// Close releases the engine. Every instance must be closed before it.
	Close(ctx context.Context) error
}

// Precompiler is implemented by engines that can keep compiled code on disk.
//
// An artefact is a directory that only the engine understands. It is native
// code: an engine trusts it, so its caller must have kept it where no one else
// can write, and must have checked that it is what Precompile wrote, as far and as
// early as the engine says.
type Precompiler interface {
	WasmRuntime

	// Fingerprint identifies everything but the binary that an artefact depends
	// on: engine, version, CPU features, configuration. An artefact may only be
	// loaded by an engine with the fingerprint of the one that wrote it.
	Fingerprint() string

	// Precompile compiles binary and writes its artefact into dir, which exists
	// and is empty.
	Precompile(ctx context.Context, binary []byte, dir string) error

	// Check tells when the content of a file of an artefact, by its path there, must
	// have been checked.
	Check(file string) Check

	// Load gives the module of binary from the artefact in dir. The directory
	// may be removed as soon as Load has returned. A binary that is nil leaves
	// it to the caller that the artefact is that of the right module.
	Load(ctx context.Context, binary []byte, dir string) (Module, error)
}

// Check is when the content of a file of an artefact is checked.
type Check int

// The first is the default, and the only one where another process is to load.
const (
	CheckFirst  Check = iota // by the caller, before Load
	CheckBeside              // by the caller, before what Load gives is used: Load does nothing by it but bound what it reads
	CheckInLoad              // by Load
)

// Module is compiled code. It is safe for concurrent use.
type Module interface {
	// Imports lists the functions the module wants, in its order.
	Imports() []Import

	// Exports lists what the module offers, functions and memories only.
	Exports() []Export

	// Size estimates the host memory that the module holds, in bytes.
	Size() int64

	// Instantiate gives the module memory of its own and runs its start
	// function, if any, under ctx: host functions see ctx, and the guest is
	// stopped when ctx is done. Imports must be among the engine's host
	// functions; the error is an [InvalidModuleError] if they are not, a
	// [LimitError] if the module asks for more than limits allow at once, and
	// otherwise one of those of Instance.Call.
	Instantiate(ctx context.Context, limits Limits) (Instance, error)

	// Close releases the module. Instances made from it stay usable.
	Close(ctx context.Context) error
}

// Instance is a module with a memory of its own. It serves one call at a time
// and is spent after an error: Close is the only method left to call.
type Instance interface {
	// Call invokes an exported function with raw values (i32 and f32 in the
	// low half). It stops the guest when ctx is done. The error is
	//
	//   - [ErrNoExport] when there is no such function,
	//   - a [TrapError] when the guest stopped abnormally,
	//   - the error of the host function that stopped the guest, unchanged,
	//   - context.Cause(ctx) when ctx ended it.
	Call(ctx context.Context, export string, args ...uint64) ([]uint64, error)

	// Memory is the guest's memory as it is now, nil if it exports none. It is
	// a view: valid until the guest runs again.
	Memory() Memory

	// Close frees the instance. It must not run beside a call.
	Close(ctx context.Context) error
}

// Config is what an engine is made with.
type Config struct {
	// HostFuncs are the functions that guests may import. Two of one name are
	// an error.
	HostFuncs []HostFunc

	// TableElements bounds each table of each instance; 0 means
	// [DefaultTableElements].
	TableElements uint32

	// IdleBytes bounds the RAM that memories of guests keep between two uses, those of
	// instances that were reset and those that no instance has; 0 means
	// [DefaultIdleBytes]. With less of it fewer are reset, and new instances take longer.
	IdleBytes int64

	// SnapshotBytes bounds the RAM of all snapshots; 0 means [DefaultSnapshotBytes].
	// With less of it more guests start anew for each activation.
	SnapshotBytes int64

	// CopyCode has machine code of artefacts copied into memory even if the engine
	// could map it from their files, which takes a fraction of the time, where
	// it relies on the engine's internals.
	CopyCode bool

	// CheckResets has every Reset compare all of the memory and the globals
	// with what the instance started with, and panic at a difference: that
	// would be a fault of the engine, which lets guests see each other. It
	// costs what the memory is long, and is for tests.
	CheckResets bool
}

// Validate tells what cannot be, before an engine is made.
func (c Config) Validate() error {
	if c.IdleBytes < 0 {
		return fmt.Errorf("memories cannot keep %d bytes", c.IdleBytes)
	}
	if c.SnapshotBytes < 0 {
		return fmt.Errorf("snapshots cannot take %d bytes", c.SnapshotBytes)
	}
	return nil
}

// WithDefaults replaces the bounds that say nothing.
func (c Config) WithDefaults() Config {
	c.TableElements = cmp.Or(c.TableElements, DefaultTableElements)
	c.IdleBytes = cmp.Or(c.IdleBytes, DefaultIdleBytes)
	c.SnapshotBytes = cmp.Or(c.SnapshotBytes, DefaultSnapshotBytes)
	return c
}

// DefaultTableElements bounds a table where the configuration says nothing.
// The largest table a real toolchain made in our corpus had 12,000.
const DefaultTableElements = 1 << 20

// DefaultIdleBytes bounds idle memories where the configuration says nothing.
const DefaultIdleBytes = 256 << 20

// DefaultSnapshotBytes bounds snapshots where the configuration says nothing: some 700
// of Go actions.
const DefaultSnapshotBytes = 1 << 30

// Limits bounds one instance.
type Limits struct {
	// MemoryPages is the most pages its memory may ever have; growing past it
	// fails in the guest. 0 means [MaxPages].
	MemoryPages uint32
}

// Info describes an engine.
type Info struct {
	Name    string // "wazero", "wasmtime", "wasmer"
	Version string // of the engine, such as "v1.12.0"
	Mode    string // "compiler" or "interpreter"

	// Note says what the engine has to do without on this system, "" for
	// nothing. Operators are told.
	Note string
}

// ValueType is the type of a WebAssembly value.
type ValueType byte

// The value types, encoded as in a binary.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// FuncType is the signature of a function.
type FuncType struct {
	Params, Results []ValueType
}

// Import is a function that a module wants from its host. Modules that import
// anything else are invalid here.
type Import struct {
	Module, Name string
	Type         FuncType
}

// Export is a function or memory that a module offers.
type Export struct {
	Name string
	// Type is nil for a memory.
	Type *FuncType
}

// HostFunc is a function of the host that guests may import.
type HostFunc struct {
	Module, Name string
	Type         FuncType

	// Call runs the function. The stack holds the parameters and takes the
	// results; it is as long as the longer of both. The context is the very one that
	// the guest was called with. An error stops the guest and comes back from that
	// call unchanged. Call must return soon after ctx is done, and must not keep mem.
	Call func(ctx context.Context, mem Memory, stack []uint64) error
}
