// Command touchy has an event that cannot be made JSON while it is empty, and
// answers when it was started.
package main

import (
	"encoding/json"
	"time"

	"wasmwhisk/actionsdk"
)

var started = time.Now()

type event struct{ Name *string }

func (e event) MarshalJSON() ([]byte, error) { return json.Marshal(*e.Name) }

type answer struct{ Started int64 }

func main() {
	actionsdk.Handle(func(actionsdk.Context, event) (answer, error) {
		return answer{Started: started.UnixNano()}, nil
	})
}
