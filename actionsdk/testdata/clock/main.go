// Command clock answers what its clocks told at its start, and what they tell now.
package main

import (
	"time"

	"wasmwhisk/actionsdk"
)

var started = time.Now()

type answer struct {
	Started, Now int64         // wall-clock times
	Since        time.Duration // from start to now by the monotonic clock
}

func main() {
	actionsdk.Handle(func(actionsdk.Context, struct{}) (answer, error) {
		now := time.Now()
		return answer{Started: started.UnixNano(), Now: now.UnixNano(), Since: now.Sub(started)}, nil
	})
}
