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

// checkInstances refuses more sandboxes of an action than its namespace may have
// activations at once, which less than 0 does not bound.
func checkInstances(instances, concurrent int) error {
	if concurrent < 0 || instances <= concurrent {
		return nil
	}
	return whisk.Errorf(whisk.BadRequest, "Max action instance concurrency must not exceed your namespace concurrency of %d.", concurrent)
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
	MaxActionInstances    int          `json:"maxActionInstances"`
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
		MaxActionInstances:    rates.ConcurrentInvocations,
	}
}
