// Command sleep is an action that sleeps, while another goroutine of it does, too.
package main

import (
	"fmt"
	"time"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(sleep) }

type input struct {
	Milliseconds int `json:"milliseconds"`
}

type output struct {
	Slept bool `json:"slept"`
}

func sleep(_ actionsdk.Context, in input) (output, error) {
	asked := time.Duration(in.Milliseconds) * time.Millisecond
	began := time.Now()
	ticks := time.NewTicker(max(asked/4, 1))
	defer ticks.Stop()
	<-ticks.C
	time.Sleep(asked)
	fmt.Println("awake")
	return output{time.Since(began) >= asked}, nil
}
