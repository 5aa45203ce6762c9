package invoker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// The results of activations that the platform failed.
const (
	textNoResources = "Failed to provision resources to run the action."
	textStopped     = "The server was stopped before the activation ended."
)

// ended is how an activation came to its end.
type ended struct {
	status  whisk.Status
	result  json.RawMessage // of an action that answered
	message string          // instead of that

	logs      []sandbox.Line
	truncated bool
	timedOut  bool
	initTook  time.Duration // 0 for an action that was ready
}

// take has the outcome of the run, whose limit was timeout, be the end.
func (e *ended) take(out sandbox.Outcome, timeout time.Duration) {
	e.logs = append(e.logs, out.Logs.Lines...)
	e.truncated = e.truncated || out.Logs.Truncated
	switch out.Status {
	case sandbox.Success:
		e.status, e.result = whisk.Success, out.Result
	case sandbox.ApplicationError:
		e.status, e.result = whisk.ApplicationError, errorOnly(out.Result)
	default:
		e.fail(out.Err, timeout)
	}
}

func (e *ended) fail(err error, timeout time.Duration) {
	var refused *whisk.Error
	past, _ := errors.AsType[*engine.LimitError](err)
	switch {
	case errors.Is(err, errInterrupted):
		e.status, e.message = whisk.InternalError, textStopped
	case past != nil && past.What == "result": // which OpenWhisk puts down to the action
		e.status, e.message = whisk.ApplicationError, whisk.TextResultTooLarge(past.Wanted, past.Limit)
	case errors.As(action.RunFailure(err, timeout), &refused):
		e.status, e.message = whisk.DeveloperError, refused.Message
		e.timedOut = errors.Is(err, context.DeadlineExceeded)
	default:
		e.status, e.message = whisk.InternalError, textNoResources
	}
}

// errorOnly leaves out what an action says beside its error.
func errorOnly(result json.RawMessage) json.RawMessage {
	var only struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(result, &only) != nil || only.Error == nil {
		return result
	}
	return encode(only)
}

// encode is for values that have a JSON form.
func encode(v any) json.RawMessage {
	data, err := whisk.Encode(v)
	if err != nil {
		panic("invoker: value without a JSON form: " + err.Error())
	}
	return data
}

// response is what the record says of the result.
func (e *ended) response() whisk.Response {
	result := e.result
	if result == nil {
		result = encode(map[string]string{"error": e.message})
	}
	return whisk.Response{Status: e.status, Result: result, Size: len(result)}
}

// record is the record of an activation that had its turn at began.
func (inv *Invocation) record(e ended, began, now time.Time) *whisk.Activation {
	start, end := whisk.At(began), whisk.At(now)
	duration := int64(end - start)
	annotations := append(inv.annotations(),
		whisk.Parameter{Key: "timeout", Value: strconv.AppendBool(nil, e.timedOut)},
		milliseconds("waitTime", max(began.Sub(inv.Received), 0)))
	if e.initTook > 0 {
		annotations = append(annotations, milliseconds("initTime", e.initTook))
	}
	return &whisk.Activation{
		Namespace:   inv.Namespace,
		Name:        inv.Action.Name,
		Version:     inv.Action.Version,
		Subject:     inv.Subject,
		ID:          inv.ID,
		Cause:       inv.Cause,
		Start:       start,
		End:         end,
		Duration:    &duration,
		Response:    e.response(),
		Logs:        e.lines(inv.Action.Limits.LogsMB<<20, now),
		Annotations: annotations,
	}
}

// annotations are those that are known before the activation begins.
func (inv *Invocation) annotations() whisk.Parameters {
	a := make(whisk.Parameters, 0, 8)
	a = append(a,
		text("path", inv.Action.FullName().ID()),
		text("kind", string(inv.Action.Exec.Kind)),
		whisk.Parameter{Key: "limits", Value: inv.Action.Limits.AppendJSON(nil)})
	if inv.Binding != "" {
		a = append(a, text("binding", inv.Binding))
	}
	if inv.CausedBy != "" {
		a = append(a, text("causedBy", inv.CausedBy))
	}
	return a
}

// text is an annotation.
func text(key, value string) whisk.Parameter {
	return whisk.Parameter{Key: key, Value: whisk.AppendText(nil, value)}
}

func milliseconds(key string, d time.Duration) whisk.Parameter {
	return whisk.Parameter{Key: key, Value: strconv.AppendInt(nil, d.Milliseconds(), 10)}
}

// lines are the logs as records hold them.
func (e *ended) lines(limit int, now time.Time) []string {
	lines := make([]string, 0, len(e.logs)+1)
	for _, l := range e.logs {
		lines = append(lines, logLine(l))
	}
	if e.truncated {
		lines = append(lines, logLine(sandbox.Line{Time: now, Stream: sandbox.Stderr, Text: whisk.TextLogsTruncated(limit)}))
	}
	return lines
}

// logLine is the form that clients cut the prefix from.
func logLine(l sandbox.Line) string {
	return fmt.Sprintf("%-30s %s: %s", l.Time.UTC().Format(time.RFC3339Nano), l.Stream, l.Text)
}

// lost is the record of an activation that was promised by a process that is no
// more.
func lost(p *store.Promise, now time.Time) *whisk.Activation {
	e := ended{status: whisk.InternalError, message: textStopped}
	duration := int64(0)
	return &whisk.Activation{
		Namespace:   p.Namespace,
		Name:        p.Action.Name,
		Version:     p.Version,
		Subject:     p.Subject,
		ID:          p.ID,
		Cause:       p.Cause,
		Start:       whisk.At(p.Accepted),
		End:         whisk.At(now),
		Duration:    &duration,
		Response:    e.response(),
		Logs:        []string{},
		Annotations: p.Annotations,
	}
}
