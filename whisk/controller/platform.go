package controller

import (
	"math"
	"net/http"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
)

// platform is what GET / tells. Durations are in milliseconds, sizes in bytes.
type platform struct {
	Description string               `json:"description"`
	Support     map[string]string    `json:"support"`
	APIPaths    []string             `json:"api_paths"`
	Limits      map[string]int64     `json:"limits"`
	Runtimes    map[string][]runtime `json:"runtimes"`
}

// describe tells clients that deploy which kinds there are.
func (c *Controller) describe(e echo.Context) error {
	p := platform{
		Description: "OpenWhisk",
		Support: map[string]string{
			"github": "https://github.com/apache/openwhisk/issues",
			"slack":  "http://slack.openwhisk.org",
		},
		APIPaths: []string{apiPath},
		Limits:   c.describeLimits(),
		Runtimes: map[string][]runtime{},
	}
	for _, f := range families() {
		p.Runtimes[f.name] = f.runtimes()
	}
	return sendJSON(e, http.StatusOK, p)
}

func (c *Controller) describeLimits() map[string]int64 {
	b, usual, rates := c.config.Bounds, whisk.DefaultLimits(), c.config.Rates
	return map[string]int64{
		"actions_per_minute":          toldRate(rates.InvocationsPerMinute),
		"triggers_per_minute":         toldRate(rates.FiresPerMinute),
		"concurrent_actions":          toldRate(rates.ConcurrentInvocations),
		"sequence_length":             maxComponents,
		"default_min_action_duration": b.Min.Timeout.Milliseconds(),
		"default_max_action_duration": b.Max.Timeout.Milliseconds(),
		"default_min_action_memory":   int64(b.Min.MemoryMB) << 20,
		"default_max_action_memory":   int64(b.Max.MemoryMB) << 20,
		"default_min_action_logs":     int64(b.Min.LogsMB) << 20,
		"default_max_action_logs":     int64(b.Max.LogsMB) << 20,
		"min_action_duration":         b.Min.Timeout.Milliseconds(),
		"max_action_duration":         b.Max.Timeout.Milliseconds(),
		"min_action_memory":           int64(b.Min.MemoryMB) << 20,
		"max_action_memory":           int64(b.Max.MemoryMB) << 20,
		"min_action_logs":             int64(b.Min.LogsMB) << 20,
		"max_action_logs":             int64(b.Max.LogsMB) << 20,
		"default_action_duration":     usual.Timeout.Milliseconds(),
		"default_action_memory":       int64(usual.MemoryMB) << 20,
		"default_action_logs":         int64(usual.LogsMB) << 20,
	}
}

// toldRate is a rate as GET / tells it: clients read numbers without a sign, so
// that no bound is a large one.
func toldRate(rate int) int64 {
	if rate < 0 {
		return math.MaxInt32
	}
	return int64(rate)
}

// describeAPI tells which API this is.
func (c *Controller) describeAPI(e echo.Context) error {
	return sendJSON(e, http.StatusOK, map[string]any{
		"description":      "OpenWhisk API",
		"api_version":      "1.0.0",
		"api_version_path": "v1",
		"build":            c.config.Build.Date,
		"buildno":          c.config.Build.Number,
		"swagger_paths":    map[string]string{"ui": docsPath, "api-docs": documentPath},
	})
}

func ping(e echo.Context) error {
	return send(e, http.StatusOK, echo.MIMETextPlainCharsetUTF8, []byte("pong"))
}
