package executor

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/whisk"
)

// serveInit answers an /init of a container.
func (e *Executor) serveInit(c echo.Context, ct *container, decode func() (initRequest, error)) error {
	if err := e.observedInit(c, ct, decode); err != nil {
		return err
	}
	return answer(c.Response(), http.StatusOK, []byte(`{"ok":true}`))
}

// observedInit initializes a container, and tells the header, the metrics and
// the log.
func (e *Executor) observedInit(c echo.Context, ct *container, decode func() (initRequest, error)) error {
	var t timings
	began := time.Now()
	err := e.initialize(c.Request().Context(), ct, decode, &t)
	took := time.Since(began)
	e.metrics.observeInit(&t, took, err)
	setTiming(c.Response(), &t)
	log := e.config.Logger.With(slog.String("container", ct.id), slog.Any("timings", &t))
	if err != nil {
		log.Warn("initialization failed", "error", err)
		return err
	}
	log.Info("container initialized")
	return nil
}

// serveRun answers a /run of a container.
func (e *Executor) serveRun(ctx context.Context, w http.ResponseWriter, ct *container, decode func() (runRequest, error)) error {
	var t timings
	result, err := e.activate(ctx, ct, &t, decode)
	if len(t.spans) > 0 {
		setTiming(w, &t)
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, result)
}

// activate runs a request in a container and gives the body of its answer. There
// are no timings if it was refused before.
func (e *Executor) activate(ctx context.Context, ct *container, t *timings, decode func() (runRequest, error)) ([]byte, error) {
	began := time.Now()
	req, err := decode()
	if err != nil {
		return nil, err
	}
	if len(req.input) > e.config.Limits.PayloadBytes {
		return nil, whisk.RequestTooLarge(int64(len(req.input)), int64(e.config.Limits.PayloadBytes))
	}
	t.spans = make([]span, 0, 3)
	t.since(phaseDecode, began)
	out, err := e.run(ctx, ct, req, began, t)
	e.report(ctx, ct, req, out, err, t, time.Since(began))
	if err != nil {
		return nil, err
	}
	return e.result(out), nil
}

// report tells the metrics and the log of an activation. That one went well is
// not worth the lock and the system call of a line in the log.
func (e *Executor) report(ctx context.Context, ct *container, req runRequest, out sandbox.Outcome, err error, t *timings, took time.Duration) {
	e.metrics.observeRun(out.Status, t, took)
	level := slog.LevelDebug
	if err != nil {
		level = slog.LevelInfo
	}
	if !e.config.Logger.Enabled(ctx, level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 5),
		slog.String("activation_id", req.activationID), slog.String("container", ct.id),
		slog.String("status", statusText(out.Status)), slog.Any("timings", t))
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	e.config.Logger.LogAttrs(ctx, level, "activation ended", attrs...)
}

func setTiming(w http.ResponseWriter, t *timings) {
	w.Header()[TimingHeader] = []string{t.header()}
}
