// Command block is an action that waits in a call of the host and does nothing
// else, as one does that waits for another service.
package main

import (
	"strconv"
	"time"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(block) }

type output struct {
	Sleep string `json:"sleep"` // milliseconds
}

func block(actionsdk.Context, struct{}) (output, error) {
	begin := time.Now()
	get()
	return output{strconv.FormatInt(time.Since(begin).Milliseconds(), 10)}, nil
}
