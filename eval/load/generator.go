package load

import (
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// Generator is a process that runs plans.
type Generator struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	reports *gob.Decoder
	said    lastWords

	mu     sync.Mutex // one plan at a time
	closed bool

	sending sync.Mutex
	orders  *gob.Encoder
}

// lastWords is the beginning of what a process says on stderr.
type lastWords struct{ text []byte }

func (l *lastWords) Write(p []byte) (int, error) {
	const most = 4 << 10
	l.text = append(l.text, p[:min(len(p), most-len(l.text))]...)
	return len(p), nil
}

// Start starts a command that calls [Main] with its standard streams; the process
// is called "executor", whatever the program. The caller closes the generator; ctx
// is only for the start.
func Start(ctx context.Context, command []string) (*Generator, error) {
	g := &Generator{cmd: exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)}
	g.cmd.Args[0] = "executor"
	// Threads that wait for a moment must not keep others from reading answers,
	// and what is measured should not be a garbage collection of ours.
	g.cmd.Env = append(g.cmd.Environ(), "GOMAXPROCS=4", "GOGC=400")
	g.cmd.Stderr = &g.said
	ownGroup(g.cmd)
	in, err := g.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start generator: %w", err)
	}
	g.stdin, g.orders, g.reports = in, gob.NewEncoder(in), gob.NewDecoder(out)
	return g, nil
}

// Run has the plan run and calls progress, if it is not nil, with the number of
// operations that have ended. When ctx ends before the plan, the result is what was
// measured until then, and the error that of ctx. Calls wait for each other.
func (g *Generator) Run(ctx context.Context, plan Plan, progress func(done int)) (*Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := g.send(order{Plan: &plan}); err != nil {
		return nil, fmt.Errorf("send plan: %w", err)
	}
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		// If it is not there any more, there is no result to wait for either.
		_ = g.send(order{Stop: true})
	})
	res, err := g.result(progress)
	if !stop() {
		<-told
		err = cmp.Or(err, context.Cause(ctx))
	}
	return res, err
}

func (g *Generator) send(o order) error {
	g.sending.Lock()
	defer g.sending.Unlock()
	return g.orders.Encode(o)
}

func (g *Generator) result(progress func(done int)) (*Result, error) {
	for {
		var r report
		if err := g.reports.Decode(&r); err != nil {
			return nil, fmt.Errorf("read from generator: %w", err)
		}
		if r.Error != "" {
			return nil, errors.New(r.Error)
		}
		if progress != nil {
			progress(r.Done)
		}
		if r.Result != nil {
			return r.Result, nil
		}
	}
}

// Close ends the process. The error says how it ended, if not well. It may be
// called twice.
func (g *Generator) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	const patience = 30 * time.Second
	_ = g.stdin.Close()
	kill := time.AfterFunc(patience, func() { _ = g.cmd.Process.Kill() })
	defer kill.Stop()
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("generator: %w: %s", err, g.said.text)
	}
	return nil
}
