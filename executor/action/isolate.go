package action

import (
	"context"
	"errors"
	"os"
	"time"

	"wasmwhisk/engine/worker"
	"wasmwhisk/precompile"
)

// Artefacts is implemented by [Modules] that keep what they compiled where other
// processes can load it. A *precompile.Cache does.
type Artefacts interface {
	Artefact(ctx context.Context, binary []byte, hash [32]byte) (*os.File, precompile.Origin, error)
	Fingerprint() string
}

// isolate gives an action processes of its own, and tries it there.
func (m *Maker) isolate(ctx context.Context, a *Action, req Request, taken precompile.Action, trial *Trial) error {
	if err := m.openWorkers(ctx, a, req, taken, trial); err != nil {
		return err
	}
	return a.try(ctx, trial)
}

func (m *Maker) openWorkers(ctx context.Context, a *Action, req Request, taken precompile.Action, trial *Trial) (err error) {
	defer since(time.Now(), &trial.Module)
	if a.granted, err = m.grant(req.Wishes, ownerOf(req.Namespace, req.ID)); err != nil {
		return err
	}
	code, err := m.code(ctx, req.Code, taken, trial)
	if err != nil {
		return err
	}
	m.remember(taken)
	a.workers, err = m.config.Workers.Open(ctx, code, m.policy(req, taken.Manifest, a.granted))
	a.runner = a.workers
	return err
}

// precompile has the artefact of some code made, if it is to have one.
func (m *Maker) precompile(ctx context.Context, code string, taken precompile.Action) error {
	made, err := m.code(ctx, code, taken, &Trial{})
	if err != nil {
		return err
	}
	m.remember(taken)
	if made.Artefact != nil {
		return made.Artefact.Close()
	}
	return nil
}

// code is what a worker needs: the artefact if there is to be one, which is
// compiled outside of the worker, or else the binary.
func (m *Maker) code(ctx context.Context, text string, taken precompile.Action, trial *Trial) (code worker.Code, err error) {
	trial.Source = Compiled
	kept, ok := m.config.Modules.(Artefacts)
	if !ok {
		return worker.Code{Binary: taken.Binary}, nil
	}
	dir, from, err := kept.Artefact(ctx, taken.Binary, taken.Hash)
	if errors.Is(err, precompile.ErrBinaryNeeded) {
		if taken.Binary, err = m.binary(text, taken); err == nil {
			dir, from, err = kept.Artefact(ctx, taken.Binary, taken.Hash)
		}
	}
	if from == precompile.Loaded {
		trial.Source = Loaded
	}
	code.Binary = taken.Binary
	if dir != nil {
		code = worker.Code{Artefact: dir, ArtefactPath: precompile.CodeDir, Fingerprint: kept.Fingerprint()}
	}
	return code, err
}
