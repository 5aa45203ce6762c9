// Command probe is an action that does what its event says.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(probe) }

type input struct{ Do, Arg string }

// runs counts what one sandbox answered.
var runs int

func probe(ctx actionsdk.Context, in input) (any, error) {
	runs++
	switch in.Do {
	case "context":
		deadline, _ := ctx.Deadline()
		ctx.Context = nil
		return map[string]any{"context": ctx, "deadline": deadline.UnixMilli()}, nil
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "sleep":
		time.Sleep(10 * time.Millisecond)
	case "environment":
		return map[string]string{"value": os.Getenv(in.Arg)}, nil
	case "log":
		fmt.Println("printed", in.Arg)
		ctx.Logf("logged %s", in.Arg)
	case "collect":
		collect()
	case "fail":
		return nil, errors.New(in.Arg)
	case "panic":
		panic(in.Arg)
	case "exit":
		os.Exit(3)
	case "number":
		return 17, nil
	}
	return map[string]any{"runs": runs, "arg": in.Arg}, nil
}

// collect lets the collector take what nobody holds, and uses that again.
func collect() {
	runtime.GC()
	for range 1000 {
		sink = bytes.Repeat([]byte("!"), 100)
	}
}

var sink []byte
