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
	case "work":
		work()
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

// work has the stack grow and be collected beside goroutines that wait for each
// other, and finds what it left on the stack.
func work() {
	sum := make(chan int)
	for n := range 10 {
		go func() {
			time.Sleep(time.Millisecond)
			sum <- deep(100 * n)
		}()
	}
	total := deep(1000)
	for range 10 {
		total += <-sum
	}
	if want := 1000 + 4500; total != want {
		panic(fmt.Sprint("sum of depths is ", total))
	}
}

// deep is n, counted in calls that hold on to what they count.
func deep(n int) int {
	if n == 0 {
		runtime.GC()
		return 0
	}
	var held [16]int
	last := &held[n%16]
	*last = n
	return deep(n-1) + *last - n + 1
}

var sink []byte
