package sandbox

import (
	"context"
	"errors"
	"strings"
	"sync"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
)

// Program is a module with what all sandboxes of it share, whoever they are for:
// where they start, and instances that were put back there. It is safe for
// concurrent use.
type Program struct {
	module engine.Module

	mu     sync.Mutex
	starts map[startKey]*start
	closed bool
}

// startKey tells starts apart: sandboxes begin alike only if all of this is the
// same.
type startKey struct {
	contract   abi.Name
	pages      uint32
	mounts     string
	noSnapshot bool
}

// NewProgram takes the module over.
func NewProgram(module engine.Module) *Program {
	return &Program{module: module, starts: map[startKey]*start{}}
}

// Module is what the program was made of.
func (p *Program) Module() engine.Module { return p.module }

// Size estimates the host memory that the program holds, without the instances
// that it keeps, in bytes.
func (p *Program) Size() int64 { return p.module.Size() }

// Close releases the program. No sandbox of it may be running.
func (p *Program) Close(ctx context.Context) error {
	p.mu.Lock()
	starts := p.starts
	p.starts, p.closed = nil, true
	p.mu.Unlock()
	var errs []error
	for _, s := range starts {
		errs = append(errs, s.close(ctx))
	}
	return errors.Join(append(errs, p.module.Close(ctx))...)
}

var errClosedProgram = errors.New("program is closed")

// start gives the start that all sandboxes under such a policy have in common.
func (p *Program) start(contract abi.Contract, policy Policy) (*start, error) {
	var mounts strings.Builder
	for _, m := range policy.Capabilities.Mounts {
		mounts.WriteString(m.Guest + "\x00")
	}
	key := startKey{contract.Name(), policy.Limits.MemoryPages, mounts.String(), policy.NoSnapshot}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosedProgram
	}
	if p.starts[key] == nil {
		p.starts[key] = newStart(p.module, contract, policy)
	}
	return p.starts[key], nil
}
