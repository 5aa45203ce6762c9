package executor

import (
	"context"
	"net/http"
)

// activator is a front whose activations are served past net/http.
type activator interface {
	http.Handler

	// activationAt tells whether a POST to path is an activation, plainly spelled,
	// and in which container. The id means something to activate alone.
	activationAt(path string) (id string, ok bool)

	// activate has the container serve an activation, which lasts no longer than ctx.
	activate(ctx context.Context, id string, serve func(context.Context, *container) error) error
}

// activateOr serves a request that is plainly an activation of the front. What is
// spelled in another way is the router's.
func (e *Executor) activateOr(router http.Handler, front activator, w http.ResponseWriter, r *http.Request) {
	id, ok := activationOf(r, front)
	if !ok {
		router.ServeHTTP(w, r)
		return
	}
	defer e.recovered(w, r)
	if err := e.receiveRun(w, r, front, id); err != nil {
		e.refuse(w, r, err)
	}
}

func activationOf(r *http.Request, front activator) (id string, ok bool) {
	if r.Method != http.MethodPost || r.URL.RawPath != "" {
		return "", false
	}
	return front.activationAt(r.URL.Path)
}

// receiveRun has a container read the body of a /run and serve it.
func (e *Executor) receiveRun(w http.ResponseWriter, r *http.Request, front activator, id string) error {
	return front.activate(r.Context(), id, func(ctx context.Context, ct *container) error {
		received, err := e.receiver.receive(r, e.config.Limits.runBytes(), func([]byte) {})
		if err != nil {
			return err
		}
		defer received.free()
		return e.serveRun(ctx, w, ct, func() (runRequest, error) { return decodeRun(received.body) })
	})
}
