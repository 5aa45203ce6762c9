package whisk

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
)

// OpenWhisk's limits as its standalone server sets them.
const (
	MinTimeout     = 100 * time.Millisecond
	DefaultTimeout = time.Minute
	MaxTimeout     = 5 * time.Minute

	MinMemoryBytes     = 128 << 20
	DefaultMemoryBytes = 256 << 20
	MaxMemoryBytes     = 512 << 20

	DefaultLogBytes = 10 << 20
	MaxLogBytes     = 10 << 20

	// MaxPayloadBytes bounds the input of an activation, MaxResultBytes its
	// result.
	MaxPayloadBytes = 1 << 20
	MaxResultBytes  = 1 << 20

	// MaxCodeBytes bounds the code of an action as it is stored: decoded from
	// base64, but still zipped.
	MaxCodeBytes = 48 << 20
)

// ActionLimits are what one activation of an action may use. In JSON the timeout
// is in milliseconds, memory and logs are in MB, as they are here.
type ActionLimits struct {
	Timeout     time.Duration
	MemoryMB    int
	LogsMB      int
	Concurrency int
	// Instances bounds the sandboxes of an action; 0 is no bound, and no field.
	Instances int
}

// DefaultLimits are those of an action that names none.
func DefaultLimits() ActionLimits {
	return ActionLimits{
		Timeout:     DefaultTimeout,
		MemoryMB:    DefaultMemoryBytes >> 20,
		LogsMB:      DefaultLogBytes >> 20,
		Concurrency: 1,
	}
}

// MarshalJSON gives every limit.
func (l ActionLimits) MarshalJSON() ([]byte, error) { return l.AppendJSON(nil), nil }

// UnmarshalJSON takes the default for what is missing.
func (l *ActionLimits) UnmarshalJSON(data []byte) error {
	var some LimitsPut
	err := Decode(data, &some)
	if err == nil {
		*l, err = some.Over(DefaultLimits())
	}
	return err
}

// LimitsPut are the limits that a request names; nil is not named.
type LimitsPut struct {
	Timeout     *float64 `json:"timeout,omitempty"` // milliseconds
	Memory      *int     `json:"memory,omitempty"`  // MB
	Logs        *int     `json:"logs,omitempty"`    // MB
	Concurrency *int     `json:"concurrency,omitempty"`
	Instances   *int     `json:"instances,omitempty"`
}

// UnmarshalJSON says which limit is wrong.
func (p *LimitsPut) UnmarshalJSON(data []byte) error {
	type fields LimitsPut
	err := json.Unmarshal(data, (*fields)(p))
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case !ok:
		return err
	case wrong.Field == "":
		return Malformed("limits malformed")
	case strings.HasPrefix(wrong.Value, "number"):
		return errNotWhole(limitName(wrong.Field))
	}
	return Malformed(limitName(wrong.Field) + " limit malformed")
}

// limitName is what OpenWhisk calls a limit where it refuses it.
func limitName(member string) string {
	switch member {
	case "timeout":
		return "time"
	case "logs":
		return "log"
	case "instances":
		return "instance concurrency"
	}
	return member
}

func errNotWhole(limit string) error { return Malformed(limit + " limit must be whole number") }

// Over puts the limits that are named in the place of those of l. A nil
// receiver names none.
func (p *LimitsPut) Over(l ActionLimits) (ActionLimits, error) {
	if p == nil {
		return l, nil
	}
	if p.Timeout != nil {
		ms := int64(*p.Timeout)
		if float64(ms) != *p.Timeout || ms > math.MaxInt64/int64(time.Millisecond) {
			return l, errNotWhole("time")
		}
		l.Timeout = time.Duration(ms) * time.Millisecond
	}
	replace(&l.MemoryMB, p.Memory)
	replace(&l.LogsMB, p.Logs)
	replace(&l.Concurrency, p.Concurrency)
	replace(&l.Instances, p.Instances)
	if l.Instances < 0 {
		return l, Malformed("Action container concurrency must be greater than or equal to 0.")
	}
	return l, nil
}

func replace[T any](old *T, by *T) {
	if by != nil {
		*old = *by
	}
}

// LimitBounds are the least and the most that an action's limits may be.
type LimitBounds struct{ Min, Max ActionLimits }

// DefaultBounds are the bounds of this platform: OpenWhisk's, but for memory
// below 128 MB and concurrency above 1, which cost nothing here.
func DefaultBounds() LimitBounds {
	return LimitBounds{
		Min: ActionLimits{Timeout: MinTimeout, MemoryMB: 1, LogsMB: 0, Concurrency: 1},
		Max: ActionLimits{
			Timeout:     MaxTimeout,
			MemoryMB:    MaxMemoryBytes >> 20,
			LogsMB:      MaxLogBytes >> 20,
			Concurrency: 500,
		},
	}
}

// Check refuses limits out of bounds, in OpenWhisk's words.
func (b LimitBounds) Check(l ActionLimits) error {
	const below, exceeds = "%s %d%s below allowed threshold of %d%s", "%s %d%s exceeds allowed threshold of %d%s"
	for _, c := range []struct {
		what, unit      string
		is, least, most int64
	}{
		{"duration", " milliseconds", l.Timeout.Milliseconds(), b.Min.Timeout.Milliseconds(), b.Max.Timeout.Milliseconds()},
		{"memory size", " MB", int64(l.MemoryMB), int64(b.Min.MemoryMB), int64(b.Max.MemoryMB)},
		{"log size", " MB", int64(l.LogsMB), int64(b.Min.LogsMB), int64(b.Max.LogsMB)},
		{"concurrency", "", int64(l.Concurrency), int64(b.Min.Concurrency), int64(b.Max.Concurrency)},
	} {
		switch {
		case c.is < c.least:
			return Errorf(BadRequest, below, c.what, c.is, c.unit, c.least, c.unit)
		case c.is > c.most:
			return Errorf(BadRequest, exceeds, c.what, c.is, c.unit, c.most, c.unit)
		}
	}
	return nil
}
