package precompile

import (
	"context"
	"crypto/sha256"
	"runtime"
	"sync"

	"wasmwhisk/engine"
)

// interpretedBytes bounds the memory of all modules together that are
// interpreted: some six Go actions. Others wait for the compiler.
const interpretedBytes = 512 << 20

// interpreter makes modules for the time until they are compiled.
type interpreter struct {
	engine engine.Interpreter
	turns  chan struct{} // as many as there may be made at once

	mu    sync.Mutex
	bytes int64 // of the modules that there are
}

func newInterpreter(e engine.Interpreter) *interpreter {
	if e == nil {
		return nil
	}
	return &interpreter{engine: e, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// module gives a module of a binary, nil if it is better to wait for the compiler.
func (i *interpreter) module(ctx context.Context, binary []byte, preview engine.Preview) engine.Snapshotter {
	if i == nil || light(binary) || i.full() {
		return nil
	}
	select {
	case i.turns <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-i.turns }()
	m, err := i.engine.Interpret(ctx, binary, preview)
	if err != nil {
		return nil // the compiler knows better what is wrong, if anything is
	}
	i.add(m.Size())
	return m
}

// preview gives one for an upload that may have to be interpreted, or nil.
func (i *interpreter) preview() engine.Preview {
	if i == nil || i.full() {
		return nil
	}
	return i.engine.Preview()
}

func (i *interpreter) full() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.bytes >= interpretedBytes
}

func (i *interpreter) add(bytes int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.bytes += bytes
}

// stopgap is a module that is interpreted until it is compiled.
type stopgap struct {
	engine.Snapshotter
	cache  *Cache
	binary []byte
	hash   [sha256.Size]byte
	closed sync.Once
}

var _ engine.Provisional = (*stopgap)(nil)

// interpret gives a module of a binary at once, nil if there is none to be had.
func (c *Cache) interpret(ctx context.Context, action Action, key string) engine.Module {
	m := c.interpreter.module(ctx, action.Binary, action.preview)
	if m == nil {
		return nil
	}
	c.count(func(s *CacheStats) { s.Interpreted++ })
	c.expectUpload(key)
	return &stopgap{Snapshotter: m, cache: c, binary: action.Binary, hash: action.Hash}
}

func (s *stopgap) Final(ctx context.Context) (engine.Module, error) {
	m, _, err := s.cache.compileAndStore(ctx, s.binary, s.hash)
	key := s.cache.key(s.hash)
	s.cache.rememberLate(key)
	if err != nil && ctx.Err() == nil {
		s.cache.log.Warn("interpreted module is not compiled", "key", key, "error", err)
	}
	return m, err
}

func (s *stopgap) Close(ctx context.Context) error {
	s.closed.Do(func() {
		s.cache.interpreter.add(-s.Size())
		s.cache.forgetAwaited(s.cache.key(s.hash))
	})
	return s.Snapshotter.Close(ctx)
}
