package engine

import "context"

// Interpreter is implemented by engines that can also run binaries without
// compiling them.
type Interpreter interface {
	WasmRuntime

	// Interpret is Compile, but gives a module soon that runs slowly. Its snapshots
	// serve the compiled module of the same binary. It may refuse what Compile does
	// not. The preview is one that was shown the binary, or nil.
	Interpret(ctx context.Context, binary []byte, preview Preview) (Snapshotter, error)

	// Preview gives one for a binary that will be interpreted once all of it is there.
	Preview() Preview
}

// Preview looks at a binary while that still arrives, on a goroutine of its own.
type Preview interface {
	// Show has it look at what has arrived, from the beginning: at each time more
	// of the same memory, which must not change.
	Show(arrived []byte)

	// End has it look at nothing more until the binary is interpreted, and must follow
	// the last Show.
	End()
}

// Provisional is implemented by modules that stand in for a better one of the
// same binary: guests can run at once, if slowly, while that is being made.
type Provisional interface {
	Module

	// Final makes the module that takes this one's place. It is called once, and
	// may take long; nobody wants it any more when ctx is done. The error is an
	// [InvalidModuleError] if there can be none, whose fault is the binary's: then
	// this one must not run any longer either.
	Final(ctx context.Context) (Module, error)
}
