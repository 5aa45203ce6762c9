// Package executor serves OpenWhisk's runtime protocol over HTTP: /init brings
// the code of an action, /run an activation of it.
//
// It has two fronts. The multiplexed one holds many containers, each under an
// id of the caller's (POST /{id}/init, /{id}/run, /{id}/destroy) or, after POST
// /start, on a port of its own. The other stands for a single container, with
// /init, /run and the single entry point POST /. A container is no more than
// code and logs: every activation runs in a fresh sandbox (package sandbox), on
// a module shared by all who use it (package pool).
//
// Activations are served past net/http where their requests are of the plainest
// form (type loop); everything else is net/http's and the router's.
//
// Locks are taken in this order: executor, servers; registry, container;
// containerLogs, ring; lookout, limitedConn.
package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"wasmwhisk/executor/action"
)

var (
	errStopped  = errors.New("executor was stopped")
	errStopping = errors.New("executor is stopping")
)

// Executor serves the runtime protocol. Its methods are safe for concurrent use.
type Executor struct {
	config     Config
	maker      *action.Maker
	containers *registry
	single     *container
	receiver   *receiver
	metrics    *metrics
	gate       *gate
	connLimit  chan struct{} // one element for each connection served
	buffers    sync.Pool     // of *[loopBytes]byte

	ports      *portFront
	background sync.WaitGroup
	end        context.CancelFunc // of what runs there
	stopped    chan struct{}      // closed when Stop is through

	serversMu sync.Mutex
	servers   map[*server]struct{} // all that listen

	mu    sync.Mutex
	state state
	front *server // multiplexed, nil if off
	solo  *server // single container, nil if off

	operations *server // nil if off
}

type state int

const (
	stateNew state = iota
	stateStarted
	stateStopped
)

// New makes an executor. It serves nothing until it is started.
func New(config Config) (*Executor, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("executor configuration: %w", err)
	}
	config = config.withDefaults()
	e := &Executor{
		config: config,
		maker: action.NewMaker(action.Config{
			Pool:      config.Pool,
			Modules:   config.Modules,
			Workers:   config.Workers,
			Env:       config.HostEnv,
			DirRoot:   config.DirRoot,
			Net:       config.Net,
			Fork:      config.ForkCommands,
			CodeBytes: config.Limits.CodeBytes,
		}),
		receiver:  newReceiver(config.HTTP.UploadBytes),
		gate:      newGate(),
		connLimit: make(chan struct{}, config.HTTP.Connections),
		buffers:   sync.Pool{New: func() any { return new([loopBytes]byte) }},
		servers:   map[*server]struct{}{},
		end:       func() {},
		stopped:   make(chan struct{}),
	}
	e.containers = newRegistry(config.Capacity, e.newShared)
	e.single = e.newSingle()
	e.ports = newPortFront(e)
	var err error
	if e.metrics, err = newMetrics(config.Registerer, e); err != nil {
		return nil, fmt.Errorf("executor metrics: %w", err)
	}
	return e, nil
}

// Start listens and serves. When it returns, requests are accepted. It may be
// called twice; after Stop it is an error.
func (e *Executor) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.state {
	case stateStarted:
		return nil
	case stateStopped:
		return errStopped
	}
	if err := e.listenLocked(ctx); err != nil {
		for _, s := range e.allServers() {
			s.abort()
			e.forget(s)
		}
		return err
	}
	e.state = stateStarted
	ctx, e.end = context.WithCancel(context.WithoutCancel(ctx))
	e.background.Go(func() { e.sweep(ctx) })
	e.background.Go(func() { e.maker.Preload(ctx, e.config.Preload) })
	return nil
}

func (e *Executor) listenLocked(ctx context.Context) (err error) {
	if e.front, err = e.listenOn(ctx, e.config.MultiplexedAddr, newMultiplexed(e)); err != nil {
		return fmt.Errorf("multiplexed front: %w", err)
	}
	if e.solo, err = e.listenOn(ctx, e.config.ContainerAddr, newSingle(e, alwaysSingle{e.single})); err != nil {
		return fmt.Errorf("container front: %w", err)
	}
	if e.operations, err = e.listenOn(ctx, e.config.OperationsAddr, e.newEcho()); err != nil {
		return fmt.Errorf("operations front: %w", err)
	}
	return nil
}

// MultiplexedAddr is where the multiplexed front listens, nil if it does not.
func (e *Executor) MultiplexedAddr() net.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.front.addr()
}

// ContainerAddr is where the single container listens, nil if it does not.
func (e *Executor) ContainerAddr() net.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.solo.addr()
}

// OperationsAddr is where operations are served alone, nil if they are not.
func (e *Executor) OperationsAddr() net.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.operations.addr()
}

// sweep looks after idle containers until the executor is stopped.
func (e *Executor) sweep(ctx context.Context) {
	ticker := time.NewTicker(e.config.Capacity.Sweep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if n := e.containers.sweep(now); n > 0 {
				e.config.Logger.Info("idle containers removed", "containers", n, "left", e.containers.count())
			}
		}
	}
}

// Stop ends the executor: what runs ends by itself, what comes is refused with
// 503, and then the listeners, the containers and the pool are closed. Once ctx
// is done what still runs is stopped. It may be called twice; the second call
// waits for the first.
func (e *Executor) Stop(ctx context.Context) error {
	e.mu.Lock()
	first := e.state != stateStopped
	e.state = stateStopped
	e.mu.Unlock()
	if !first {
		<-e.stopped
		return nil
	}
	defer close(e.stopped)
	err := e.drain(ctx)
	for _, s := range e.allServers() {
		s.shutdown(ctx)
	}
	e.end()
	e.containers.close()
	disposeAll([]*container{e.single})
	e.background.Wait()
	e.metrics.unregister()
	return errors.Join(err, e.config.Pool.Close(context.WithoutCancel(ctx)))
}

// drain waits for what runs, and stops it once ctx is done.
func (e *Executor) drain(ctx context.Context) error {
	empty := e.gate.close()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	e.config.Logger.Warn("activations are stopped before their end")
	for _, s := range e.allServers() {
		s.abort()
	}
	<-empty
	return context.Cause(ctx)
}

// newShared makes a container of the multiplexed front.
func (e *Executor) newShared(id string) *container {
	kept := &ring{limit: e.config.Limits.ContainerLogBytes}
	c := newContainer(id, e.logsTo(id, kept), e.config.Limits.Concurrency)
	c.kept = kept
	c.dispose = func() { e.removePrivate(id) }
	if e.config.JSONLogDir == "" {
		return c
	}
	file := newJSONFile(e.config.JSONLogDir, id, e.config.Limits.JSONLogBytes)
	c.logs.sink = both{kept, file}
	c.dispose = func() {
		e.removePrivate(id)
		if err := file.remove(); err != nil {
			e.config.Logger.Warn("json log stays", "container", id, "error", err)
		}
	}
	return c
}

// newSingle makes the container of the single container front.
func (e *Executor) newSingle() *container {
	return newContainer("container", e.logsTo("container", streams{e.config.Stdout, e.config.Stderr}), e.config.Limits.Concurrency)
}

func (e *Executor) logsTo(id string, to sink) *containerLogs {
	return &containerLogs{limit: e.config.Limits.LogBytes, sink: to, onErr: func(err error) {
		e.config.Logger.Warn("logs of an activation are lost", slog.String("container", id), slog.Any("error", err))
	}}
}

// removePrivate removes the directory of a container that belonged to no
// namespace.
func (e *Executor) removePrivate(id string) {
	if err := e.maker.Forget(id); err != nil {
		e.config.Logger.Warn("private directory stays", "container", id, "error", err)
	}
}
