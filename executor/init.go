package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
)

// maxEnv bounds the entries of an environment.
const maxEnv = 1024

// initRequest is the value of an /init.
type initRequest struct {
	code      string
	env       []string // "KEY=value"
	namespace string   // whose action it is, if that was said
	wishes    action.Wishes
}

// decodeInit reads the body of an /init. Fields that are not known are ignored,
// and so are those that mean nothing to a module: name, main, binary.
// Without a value there is no code.
func decodeInit(body []byte) (initRequest, error) {
	var req initRequest
	err := membersOf("value", body, req.set)
	return req, unreadable(err)
}

// decodeInitValue reads the value of an /init that stands alone.
func decodeInitValue(value json.RawMessage) (initRequest, error) {
	var req initRequest
	if len(value) == 0 || value[0] != '{' {
		return req, nil
	}
	err := members(value, req.set)
	return req, unreadable(err)
}

func (r *initRequest) set(key string, raw json.RawMessage) (err error) {
	switch key {
	case "code":
		r.code = largeText(raw)
	case "env":
		r.env, err = decodeEnv(raw)
		r.namespace = lookup(r.env, whisk.EnvPrefix+"NAMESPACE")
	case "annotations":
		r.wishes, err = decodeWishes(raw)
	}
	return err
}

// decodeEnv reads the environment of an action: strings, and whatever else as
// its JSON.
func decodeEnv(raw json.RawMessage) (env []string, err error) {
	if string(raw) == "null" {
		return nil, nil
	}
	err = members(raw, func(name string, value json.RawMessage) error {
		entry := text(value)
		if err := checkEntry(name, entry); err != nil {
			return err
		}
		if env = append(env, name+"="+entry); len(env) > maxEnv {
			return whisk.Errorf(whisk.BadRequest, "more than %d environment variables", maxEnv)
		}
		return nil
	})
	if errors.Is(err, errNotJSON) {
		return nil, whisk.Errorf(whisk.BadRequest, "the environment is not an object")
	}
	return env, err
}

// decodeWishes reads the annotations of an action, which nobody need send.
func decodeWishes(raw json.RawMessage) (w action.Wishes, err error) {
	if string(raw) == "null" {
		return w, nil
	}
	err = members(raw, w.Set)
	if errors.Is(err, errNotJSON) {
		return w, whisk.Errorf(whisk.BadRequest, "the annotations are not an object")
	}
	return w, err
}

func lookup(env []string, name string) string {
	for _, entry := range slices.Backward(env) {
		if n, value, _ := cutEnv(entry); n == name {
			return value
		}
	}
	return ""
}

// unreadable is what the sender of a body reads that cannot be understood.
func unreadable(err error) error {
	if errors.Is(err, errNotJSON) {
		return &whisk.Error{Kind: whisk.BadRequest, Message: "Error unmarshaling request: the body is not a JSON object."}
	}
	return err
}

// initialize gives the container its code, and its logs what there is to say
// about that.
func (e *Executor) initialize(ctx context.Context, c *container, decode func() (initRequest, error), t *timings) error {
	ctx, end, err := c.beginInit(ctx)
	if err != nil {
		return e.initFailure(err)
	}
	defer end()
	if c.initialized() && !e.config.AllowReinit {
		c.logs.say(whisk.TextReinit)
		return &whisk.Error{Kind: whisk.Forbidden, Message: whisk.TextReinit}
	}
	logs, err := e.replace(ctx, c, decode, t)
	if err == nil {
		c.logs.write(logs.Lines)
		return nil
	}
	err = e.initFailure(err)
	c.logs.end(logs, publicText(err))
	return err
}

// replace makes an action and gives it to the container. If that fails the
// container stays as it is.
func (e *Executor) replace(ctx context.Context, c *container, decode func() (initRequest, error), t *timings) (sandbox.Logs, error) {
	began := time.Now()
	req, err := decode()
	t.since(phaseDecode, began)
	if err != nil {
		return sandbox.Logs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.config.Limits.InitTimeout)
	defer cancel()
	made, trial, err := e.maker.Make(ctx, action.Request{
		Code:      req.code,
		Namespace: req.namespace,
		ID:        c.id,
		Env:       req.env,
		Wishes:    req.wishes,
		Limits:    e.config.Limits.sandboxLimits(),
	})
	t.addTrial(trial)
	if err != nil {
		return trial.Logs, err
	}
	c.swap(&held{Action: made})
	return trial.Logs, nil
}

// initFailure is what the caller reads when an initialization fails.
func (e *Executor) initFailure(err error) error {
	if errors.Is(err, errDestroyed) {
		return &whisk.Error{Kind: whisk.Internal, Message: "The container was destroyed during initialization."}
	}
	return action.Failure(err, e.config.Limits.InitTimeout)
}

// decoderOf lets an /init be refused before its body is decoded.
func decoderOf(body []byte) func() (initRequest, error) {
	return func() (initRequest, error) {
		if len(bytes.TrimSpace(body)) == 0 {
			return initRequest{}, unreadable(errNotJSON)
		}
		return decodeInit(body)
	}
}
