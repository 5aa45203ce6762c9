package actionsdk

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"unsafe"
)

// reactor is the state of a module that is asked through its exports: one built
// with -buildmode=c-shared, or a command whose host knows them. Go's collector neither moves nor frees what it refers to, so
// the host may use both buffers between calls.
var reactor struct {
	called  bool // by a host, or it may be: main need not run
	handler Handler
	input   []byte // from ow_alloc
	result  []byte // of the last ow_run

	beforehand func()   // for the warm-up
	room       struct { // what makeRoom allocates: else it would be left out
		bytes    []byte
		pointers []*byte
	}

	// What renew takes anew; without a warm-up there is nothing to renew.
	generator *generator
	environ   environ
	entries   *entries // where to put it in the first run; nil for os.Setenv
}

// maxInput bounds an input: OpenWhisk's own bound is 1 MiB.
const maxInput = 64 << 20

// mainMain is the program's main, which Go itself does not run in a reactor.
//
//go:linkname mainMain main.main
func mainMain()

// alloc gives the host room for an input of n bytes until the next call of it.
//
//go:wasmexport ow_alloc
func alloc(n uint32) uint32 {
	register()
	if n > maxInput {
		panic("actionsdk: the input is too long")
	}
	if n = max(n, 1); uint32(cap(reactor.input)) < n {
		reactor.input = make([]byte, n)
	}
	reactor.input = reactor.input[:n]
	return address(reactor.input)
}

// run answers the input of n bytes at ptr with the place of the result, which
// stays there until the next call: its address in the upper half, its length in
// the lower.
//
//go:wasmexport ow_run
func run(ptr, n uint32) uint64 {
	register()
	if len(reactor.input) == 0 || ptr != address(reactor.input) || n > uint32(len(reactor.input)) {
		panic("actionsdk: the input is not where ow_alloc wanted it")
	}
	renew()
	reactor.result = answer(reactor.handler, reactor.input[:n])
	return uint64(address(reactor.result))<<32 | uint64(len(reactor.result))
}

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// register lets main name the handler, once.
func register() {
	if !reactor.called {
		reactor.called = true
		mainMain()
	}
	if reactor.handler == nil {
		panic("actionsdk: main called neither Start nor Handle")
	}
}

// beforehand names what of each run can be tried before the first.
func beforehand(work func()) { reactor.beforehand = work }

func start(handler Handler) error {
	if reactor.called {
		reactor.handler = handler
		return nil
	}
	return command(handler)
}

// command answers the one event of a WASI command.
func command(handler Handler) error {
	offer(handler)
	event, err := commandEvent()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(line(answer(handler, event)))
	return err
}

// offer tells a host that this command has started, and that it may be asked
// through the exports instead, as often as the host likes. It does so by a read of
// standard input into no buffers: a host that knows nothing of this answers that
// nothing was read, and this goes on as any command.
func offer(handler Handler) {
	reactor.called, reactor.handler = true, handler
	var n uint32
	fdRead(0, nil, 0, &n)
	reactor.called = false
}

//go:wasmimport wasi_snapshot_preview1 fd_read
//go:noescape
func fdRead(fd uint32, buffers unsafe.Pointer, count uint32, n *uint32) uint32

func commandEvent() (json.RawMessage, error) {
	if len(os.Args) > 1 {
		return json.RawMessage(os.Args[1]), nil
	}
	event, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, err
	}
	if event = bytes.TrimSpace(event); len(event) == 0 {
		return json.RawMessage("{}"), nil
	}
	return event, nil
}
