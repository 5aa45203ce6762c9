package sandbox

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
)

// HostFuncs lists what guests may import. Every engine is configured with it.
func HostFuncs() []engine.HostFunc {
	return slices.Concat(wasi.Functions(), host.Functions())
}

// Template makes sandboxes of one program under one policy. It is safe for
// concurrent use; the program stays its owner's.
type Template struct {
	start    *start
	forked   *start // of a command that is forked, where that works; nil for any other
	contract abi.Contract
	policy   Policy
	usesWASI bool // the module imports some of it

	sandboxes sync.Pool // of *sandbox, between activations: it gives a processor its own
	made      atomic.Uint32
}

// New checks that the module keeps a guest contract and imports nothing but
// what the policy grants. hostFuncs are those of the
// program's engine. The error
// is an [engine.InvalidModuleError] that says what to change.
func New(program *Program, hostFuncs []engine.HostFunc, policy Policy) (*Template, error) {
	for _, imp := range program.module.Imports() {
		if err := check(imp, hostFuncs, policy.Capabilities); err != nil {
			return nil, &engine.InvalidModuleError{Err: err}
		}
	}
	contract, err := abi.Detect(program.module.Exports(), policy.Contract)
	if err != nil {
		return nil, err
	}
	policy.Limits = policy.Limits.WithDefaults()
	start, err := program.start(contract, policy)
	if err != nil {
		return nil, err
	}
	forked, err := program.fork(contract, policy)
	if err != nil {
		return nil, err
	}
	t := &Template{start: start, forked: forked, contract: contract, policy: policy, usesWASI: importsWASI(program.module)}
	t.sandboxes.New = func() any { return newSandbox(t) }
	return t, nil
}

// next gives the start of the next sandbox.
func (t *Template) next() *start {
	if t.forked != nil && t.forked.forks() {
		return t.forked
	}
	return t.start
}

func importsWASI(module engine.Module) bool {
	return slices.ContainsFunc(module.Imports(), func(i engine.Import) bool { return i.Module == wasi.Module })
}

// Contract names the guest contract of the module.
func (t *Template) Contract() abi.Name { return t.contract.Name() }

// WithDefaults puts the defaults in the place of zeros.
func (l Limits) WithDefaults() Limits {
	if l.MemoryPages == 0 {
		l.MemoryPages = DefaultMemoryPages
	}
	if l.LogBytes == 0 {
		l.LogBytes = DefaultLogBytes
	}
	if l.ResultBytes == 0 {
		l.ResultBytes = DefaultResultBytes
	}
	if l.PayloadBytes == 0 {
		l.PayloadBytes = DefaultPayloadBytes
	}
	return l
}

// check tells why an import cannot be had.
func check(imp engine.Import, hostFuncs []engine.HostFunc, granted Capabilities) error {
	i := slices.IndexFunc(hostFuncs, func(f engine.HostFunc) bool { return f.Module == imp.Module && f.Name == imp.Name })
	if i < 0 {
		return fmt.Errorf("it imports %s.%s, which does not exist here", imp.Module, imp.Name)
	}
	want := hostFuncs[i].Type
	if !slices.Equal(imp.Type.Params, want.Params) || !slices.Equal(imp.Type.Results, want.Results) {
		return fmt.Errorf("it imports %s.%s with another signature than it has", imp.Module, imp.Name)
	}
	if need := host.Capability(imp.Module, imp.Name); need == host.CapabilityNet && granted.HTTP == nil {
		return fmt.Errorf("it imports %s.%s, which needs the capability %q: the action has no annotation that asks for it, or it was not granted",
			imp.Module, imp.Name, need)
	}
	return nil
}
