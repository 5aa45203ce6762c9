package executor

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
)

// runRequest is the body of a /run.
type runRequest struct {
	input   json.RawMessage // an object or array, as it was sent
	context abi.Context     // every other field, in the order sent

	activationID string
	deadline     time.Time // zero if none was named
}

// decodeRun reads the body of a /run. Every field but the value reaches the
// action, whatever its name.
func decodeRun(body []byte) (runRequest, error) {
	req := runRequest{input: json.RawMessage("{}"), context: make(abi.Context, 0, 8)}
	var kept texts
	err := members(body, func(key string, raw json.RawMessage) error {
		if key == "value" {
			return req.setInput(raw)
		}
		return req.add(key, kept.text(raw))
	})
	return req, unreadable(err)
}

func (r *runRequest) setInput(raw json.RawMessage) error {
	switch {
	case string(raw) == "null":
		r.input = json.RawMessage("{}")
	case raw[0] == '{' || raw[0] == '[':
		r.input = raw
	default:
		return &whisk.Error{Kind: whisk.BadRequest, Message: whisk.TextInputNotAnObj}
	}
	return nil
}

// add takes a field of the activation's context.
func (r *runRequest) add(name, value string) (err error) {
	if err := checkEntry(name, value); err != nil {
		return err
	}
	if len(r.context) == maxEnv {
		return whisk.Errorf(whisk.BadRequest, "more than %d fields", maxEnv)
	}
	r.context = append(r.context, abi.Field{Name: name, Value: value})
	switch name {
	case "activation_id":
		r.activationID = value
	case "deadline":
		r.deadline, err = parseDeadline(value)
	}
	return err
}

// parseDeadline reads milliseconds since 1970.
func parseDeadline(value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return time.Time{}, whisk.Errorf(whisk.BadRequest, "the deadline %q is not a number of milliseconds", shorten(value))
	}
	return time.UnixMilli(ms), nil
}

// limit is the time that an activation gets.
func (l Limits) limit(deadline, now time.Time) time.Duration {
	if deadline.IsZero() {
		return min(l.Timeout, l.MaxTimeout)
	}
	return max(min(deadline.Sub(now), l.MaxTimeout), 0)
}

// run is an activation in a container that begins now. Its logs are in the container's when it
// returns; the error says why there is no result.
func (e *Executor) run(ctx context.Context, c *container, req runRequest, now time.Time, t *timings) (sandbox.Outcome, error) {
	a, err := c.use()
	if err != nil {
		return sandbox.Outcome{Status: sandbox.DeveloperError, Err: err}, err
	}
	defer c.done(a)
	limit := e.config.Limits.limit(req.deadline, now)
	deadline := now.Add(limit)
	leave, err := e.await(ctx, c, deadline)
	if err != nil {
		c.logs.end(sandbox.Logs{})
		return sandbox.Outcome{Status: sandbox.DeveloperError, Err: err}, action.RunFailure(err, limit)
	}
	defer leave()
	out := a.Run(ctx, sandbox.Activation{Input: req.input, Context: req.context, Deadline: deadline})
	c.logs.end(out.Logs)
	t.addRun(out)
	return out, action.RunFailure(out.Err, limit)
}

// await waits for a slot in the container, at most until the deadline.
func (e *Executor) await(ctx context.Context, c *container, deadline time.Time) (func(), error) {
	if c.slots == nil {
		return c.enter(ctx)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return c.enter(ctx)
}
