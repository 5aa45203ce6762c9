package abi

import (
	"context"
	"encoding/json"

	"wasmwhisk/engine"
)

// reactor is the contract of our SDKs: ow_run takes the input's place in memory
// and gives the result's.
type reactor struct{}

func (reactor) Name() Name { return Reactor }

func (reactor) Feed(Input) Feed { return Feed{Args: []string{"action"}} }

func (reactor) Initialize(ctx context.Context, guest engine.Instance) error {
	return initialize(ctx, guest)
}

func (reactor) Invoke(ctx context.Context, guest engine.Instance, in Input, _ Captured) (json.RawMessage, error) {
	at, err := pass(ctx, guest, Reactor, "ow_alloc", in.Value)
	if err != nil {
		return nil, err
	}
	packed, err := guest.Call(ctx, "ow_run", uint64(at), uint64(len(in.Value)))
	if err != nil {
		return nil, err
	}
	raw, err := read(guest, Reactor, uint32(packed[0]>>32), uint32(packed[0]), in.MaxResult)
	if err != nil {
		return nil, err
	}
	return dictionary(Reactor, raw)
}
