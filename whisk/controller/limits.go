package controller

import (
	"time"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/entitlement"
)

// boundsOf puts the bounds of a subject in the place of the installation's.
func boundsOf(b whisk.LimitBounds, own whisk.UserLimits) whisk.LimitBounds {
	for _, f := range []struct{ bound, own *int }{
		{&b.Min.MemoryMB, own.MinActionMemory},
		{&b.Max.MemoryMB, own.MaxActionMemory},
		{&b.Min.LogsMB, own.MinActionLogs},
		{&b.Max.LogsMB, own.MaxActionLogs},
		{&b.Min.Concurrency, own.MinActionConcurrency},
		{&b.Max.Concurrency, own.MaxActionConcurrency},
	} {
		if f.own != nil {
			*f.bound = *f.own
		}
	}
	for _, f := range []struct {
		bound *time.Duration
		own   *int
	}{
		{&b.Min.Timeout, own.MinActionTimeout}, {&b.Max.Timeout, own.MaxActionTimeout},
	} {
		if f.own != nil {
			*f.bound = time.Duration(*f.own) * time.Millisecond
		}
	}
	return b
}

// userLimits are all the limits of somebody, as GET …/limits tells them.
type userLimits struct {
	InvocationsPerMinute  int          `json:"invocationsPerMinute"`
	ConcurrentInvocations int          `json:"concurrentInvocations"`
	FiresPerMinute        int          `json:"firesPerMinute"`
	AllowedKinds          []whisk.Kind `json:"allowedKinds,omitempty"`
	StoreActivations      *bool        `json:"storeActivations,omitempty"`
	MinActionMemory       int          `json:"minActionMemory"` // MB
	MaxActionMemory       int          `json:"maxActionMemory"` // MB
	MinActionLogs         int          `json:"minActionLogs"`   // MB
	MaxActionLogs         int          `json:"maxActionLogs"`   // MB
	MinActionTimeout      int64        `json:"minActionTimeout"`
	MaxActionTimeout      int64        `json:"maxActionTimeout"`
	MinActionConcurrency  int          `json:"minActionConcurrency"`
	MaxActionConcurrency  int          `json:"maxActionConcurrency"`
	MaxParameterSize      string       `json:"maxParameterSize"`
	MaxPayloadSize        string       `json:"maxPayloadSize"`
	MaxResponseSize       string       `json:"maxResponseSize"`
}

func newUserLimits(rates entitlement.Rates, b whisk.LimitBounds, own whisk.UserLimits) userLimits {
	return userLimits{
		InvocationsPerMinute:  rates.InvocationsPerMinute,
		ConcurrentInvocations: rates.ConcurrentInvocations,
		FiresPerMinute:        rates.FiresPerMinute,
		AllowedKinds:          own.AllowedKinds,
		StoreActivations:      own.StoreActivations,
		MinActionMemory:       b.Min.MemoryMB,
		MaxActionMemory:       b.Max.MemoryMB,
		MinActionLogs:         b.Min.LogsMB,
		MaxActionLogs:         b.Max.LogsMB,
		MinActionTimeout:      b.Min.Timeout.Milliseconds(),
		MaxActionTimeout:      b.Max.Timeout.Milliseconds(),
		MinActionConcurrency:  b.Min.Concurrency,
		MaxActionConcurrency:  b.Max.Concurrency,
		MaxParameterSize:      "1 MB",
		MaxPayloadSize:        "1 MB",
		MaxResponseSize:       "1 MB",
	}
}
