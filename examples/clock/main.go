// Command clock is an action that looks at the clock twice.
package main

import (
	"time"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(clock) }

type output struct {
	Elapsed int64 `json:"elapsed"` // nanoseconds
}

func clock(actionsdk.Context, struct{}) (output, error) {
	now := time.Now()
	return output{time.Since(now).Nanoseconds()}, nil
}
