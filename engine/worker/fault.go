package worker

import (
	"context"
	"encoding/json"
	"errors"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
)

// fault is an error on its way between processes: what it says, and what others
// ask of it with errors.Is and errors.As.
type fault struct {
	Text    string              `json:"text"`
	Named   []string            `json:"named,omitempty"` // errors that are told by their identity
	Trap    *engine.TrapError   `json:"trap,omitempty"`
	Exit    *engine.ExitError   `json:"exit,omitempty"`
	Limit   *engine.LimitError  `json:"limit,omitempty"`
	Bounds  *engine.BoundsError `json:"bounds,omitempty"`
	Invalid *string             `json:"invalid,omitempty"` // what is wrong with the module
	Broken  *broken             `json:"broken,omitempty"`
}

// broken is an [abi.ProtocolError].
type broken struct {
	Contract abi.Name `json:"contract"`
	Text     string   `json:"text"`
}

// named are the errors that keep their identity on the way.
func named() map[string]error {
	return map[string]error{
		"deadline":       context.DeadlineExceeded,
		"canceled":       context.Canceled,
		"no export":      engine.ErrNoExport,
		"not dictionary": abi.ErrNotDictionary,
	}
}

func encodeFault(err error) ([]byte, error) {
	if err == nil {
		return nil, nil
	}
	return json.Marshal(faultOf(err))
}

func faultOf(err error) *fault {
	f := &fault{Text: cut(err.Error())}
	for name, target := range named() {
		if errors.Is(err, target) {
			f.Named = append(f.Named, name)
		}
	}
	if trap, ok := errors.AsType[*engine.TrapError](err); ok {
		f.Trap = &engine.TrapError{Kind: trap.Kind, Detail: cut(trap.Detail)}
	}
	f.Exit, _ = errors.AsType[*engine.ExitError](err)
	f.Limit, _ = errors.AsType[*engine.LimitError](err)
	f.Bounds, _ = errors.AsType[*engine.BoundsError](err)
	if invalid, ok := errors.AsType[*engine.InvalidModuleError](err); ok {
		text := cut(invalid.Err.Error())
		f.Invalid = &text
	}
	if p, ok := errors.AsType[*abi.ProtocolError](err); ok {
		f.Broken = &broken{p.Contract, cut(p.Err.Error())}
	}
	return f
}

// textBytes bounds each text of a fault: a guest may have written it.
const textBytes = 8 << 10

func cut(text string) string { return text[:min(len(text), textBytes)] }

// fault reads an error, nil if there is none.
func (d *decoder) fault(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var f fault
	if err := json.Unmarshal(text, &f); err != nil {
		d.fail("an error: %v", err)
		return nil
	}
	return f.error()
}

// error says what the fault says, and is what it was.
func (f *fault) error() error {
	e := &remoteError{text: f.Text}
	for _, name := range f.Named {
		if target, ok := named()[name]; ok {
			e.causes = append(e.causes, target)
		}
	}
	if f.Trap != nil {
		e.causes = append(e.causes, f.Trap)
	}
	if f.Exit != nil {
		e.causes = append(e.causes, f.Exit)
	}
	if f.Limit != nil {
		e.causes = append(e.causes, f.Limit)
	}
	if f.Bounds != nil {
		e.causes = append(e.causes, f.Bounds)
	}
	if f.Invalid != nil {
		e.causes = append(e.causes, &engine.InvalidModuleError{Err: errors.New(*f.Invalid)})
	}
	if f.Broken != nil {
		e.causes = append(e.causes, &abi.ProtocolError{Contract: f.Broken.Contract, Err: errors.New(f.Broken.Text)})
	}
	return e
}

// remoteError is an error that occurred in a worker.
type remoteError struct {
	text   string
	causes []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.causes }
