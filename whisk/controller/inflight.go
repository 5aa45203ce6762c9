package controller

import (
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
)

// inFlight knows the activations that were begun here and have not ended.
type inFlight struct {
	mu          sync.Mutex
	activations map[whisk.ActivationID]struct{}
}

func newInFlight() *inFlight {
	return &inFlight{activations: map[whisk.ActivationID]struct{}{}}
}

// add tells of one more; ended, which may be nil, is called when what it gives is
// called.
func (f *inFlight) add(id whisk.ActivationID, ended func()) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.activations[id] = struct{}{}
	return func() {
		if ended != nil {
			ended()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.activations, id)
	}
}

func (f *inFlight) ids() []whisk.ActivationID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.AppendSeq(make([]whisk.ActivationID, 0, len(f.activations)), maps.Keys(f.activations))
}

func (f *inFlight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.activations)
}

func (c *Controller) activationsInFlight(e echo.Context) error {
	return sendJSON(e, http.StatusOK, c.inFlight.ids())
}

func (c *Controller) countInFlight(e echo.Context) error {
	return sendJSON(e, http.StatusOK, c.inFlight.count())
}
