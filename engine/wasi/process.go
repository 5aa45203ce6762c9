package wasi

import (
	"context"
	"crypto/rand"
	"io"
	"runtime"

	"wasmwhisk/engine"
)

func (s *System) procExit(_ context.Context, _ engine.Memory, a args) error {
	return &stop{&engine.ExitError{Code: a.u32(0)}}
}

// The signals of preview1 that need a name.
const (
	sigNone  = 0
	sigChld  = 16
	sigCont  = 17
	sigStop  = 18
	sigTtou  = 21
	sigUrg   = 22
	sigWinch = 27
	sigSys   = 30
)

// procRaise does what the signal does to a process that handles none: most end
// it, with the exit code that a shell would report.
func (s *System) procRaise(_ context.Context, _ engine.Memory, a args) error {
	switch sig := a.u32(0); {
	case sig > sigSys:
		return eINVAL
	case sig == sigNone, sig == sigChld, sig == sigCont, sig == sigUrg, sig == sigWinch:
		return nil
	case sig >= sigStop && sig <= sigTtou:
		return eNOTSUP
	default:
		return &stop{&engine.ExitError{Code: 128 + sig}}
	}
}

func (s *System) schedYield(context.Context, engine.Memory, args) error {
	runtime.Gosched()
	return nil
}

// randomGet fills in pieces, so that a guest asking for gigabytes does not
// outlive its deadline.
func (s *System) randomGet(ctx context.Context, mem engine.Memory, a args) error {
	b, err := mem.Range(a.u32(0), a.u32(1))
	if err != nil {
		return err
	}
	for len(b) > maxPiece {
		if err := s.random(b[:maxPiece]); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		b = b[maxPiece:]
	}
	return s.random(b)
}

func (s *System) random(b []byte) error {
	if s.config.Random != nil {
		_, err := io.ReadFull(s.config.Random, b)
		return err
	}
	_, err := rand.Read(b)
	return err
}

// notSocket answers all functions for sockets: no descriptor is one.
func (s *System) notSocket(_ context.Context, _ engine.Memory, a args) error {
	if _, err := s.lookup(a.u32(0), 0); err != nil {
		return err
	}
	return eNOTSOCK
}
