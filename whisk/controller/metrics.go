package controller

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts and times requests. Its labels are few and fixed: nothing that
// a caller chooses becomes one.
type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector

	durations *prometheus.HistogramVec
}

const metricsNamespace = "wasmwhisk"

// newMetrics registers the metrics of a controller; without a registerer they
// are counted for nobody.
func newMetrics(registerer prometheus.Registerer, c *Controller) (*metrics, error) {
	m := &metrics{
		registerer: registerer,
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metricsNamespace, Name: "api_request_duration_seconds", Help: "Requests to the REST API, by method and status.",
			Buckets: []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "status"}),
	}
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: metricsNamespace, Name: "api_activations_in_flight", Help: "Activations begun through the REST API that have not ended.",
	}, func() float64 { return float64(c.inFlight.count()) })
	return m, m.register(m.durations, inFlight)
}

func (m *metrics) register(all ...prometheus.Collector) error {
	if m.registerer == nil {
		return nil
	}
	for _, collector := range all {
		if err := m.registerer.Register(collector); err != nil {
			m.unregister()
			return err
		}
		m.registered = append(m.registered, collector)
	}
	return nil
}

// unregister takes the metrics back. It may be called twice.
func (m *metrics) unregister() {
	for _, collector := range m.registered {
		m.registerer.Unregister(collector)
	}
}

// observed times requests, and answers those that were refused.
func (m *metrics) observed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(e echo.Context) error {
		began := time.Now()
		if err := next(e); err != nil {
			e.Error(err)
		}
		m.durations.WithLabelValues(methodLabel(e.Request().Method), strconv.Itoa(e.Response().Status)).
			Observe(time.Since(began).Seconds())
		return nil
	}
}

// methodLabel keeps what a client makes up from becoming a label.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// metricsPage serves what the configuration's Gatherer has.
func (c *Controller) metricsPage() echo.HandlerFunc {
	if c.config.Gatherer == nil {
		return func(echo.Context) error { return echo.ErrNotFound }
	}
	return echo.WrapHandler(promhttp.HandlerFor(c.config.Gatherer, promhttp.HandlerOpts{}))
}
