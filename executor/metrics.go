package executor

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/whisk"
)

// metrics counts and times what an executor does. Its labels are few and fixed:
// nothing that a caller chooses becomes one.
type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector

	activations map[sandbox.Status]prometheus.Counter
	durations   prometheus.Observer
	inits       *prometheus.CounterVec
	initTimes   prometheus.Observer
	phases      map[phase]prometheus.Observer
}

// metricsHandler serves the metrics of the configuration's Gatherer in
// Prometheus's format.
func (e *Executor) metricsHandler() http.Handler {
	if e.config.Gatherer == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(e.config.Gatherer, promhttp.HandlerOpts{})
}

const namespace = "wasmwhisk"

// buckets reach from 10 µs, where fresh sandboxes are, to the minutes that an
// activation may take.
func buckets() []float64 {
	return []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
}

// newMetrics registers the metrics of an executor; without a registerer they
// are counted for nobody.
func newMetrics(registerer prometheus.Registerer, e *Executor) (*metrics, error) {
	m := &metrics{registerer: registerer, activations: map[sandbox.Status]prometheus.Counter{}, phases: map[phase]prometheus.Observer{}}
	activations := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "activations_total", Help: "Activations that ended, by status.",
	}, []string{"status"})
	for status := sandbox.Success; status <= sandbox.WhiskError; status++ {
		m.activations[status] = activations.WithLabelValues(statusText(status))
	}
	durations := histogram("activation_duration_seconds", "From the body of a /run to its result.")
	initTimes := histogram("init_duration_seconds", "From the body of an /init to its end.")
	phaseTimes := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "phase_duration_seconds", Help: "Parts of initializations and activations.", Buckets: buckets(),
	}, []string{"phase"})
	for _, p := range phases() {
		m.phases[p] = phaseTimes.WithLabelValues(string(p))
	}
	m.durations, m.initTimes = durations, initTimes
	m.inits = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "inits_total",
		Help: "Initializations, by how the module was had: compile, interpret and load are cold, pool is warm; failed had none.",
	}, []string{"module"})
	all := append([]prometheus.Collector{activations, durations, initTimes, phaseTimes, m.inits}, gauges(e)...)
	if err := m.register(all); err != nil {
		m.unregister()
		return nil, err
	}
	return m, nil
}

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets()})
}

// gauges read what others count.
func gauges(e *Executor) []prometheus.Collector {
	stats := e.config.Pool.Stats
	all := []prometheus.Collector{
		gauge("containers", "Containers that there are.", func() float64 { return float64(e.containers.count()) }),
		gauge("pool_bytes", "Memory that the kept modules take.", func() float64 { return float64(stats().Bytes) }),
		gauge("pool_modules", "Modules that are kept.", func() float64 { return float64(stats().Modules) }),
		counter("pool_hits_total", "Modules that were there when they were wanted.", func() float64 { return float64(stats().Hits) }),
		counter("pool_misses_total", "Modules that were not.", func() float64 { return float64(stats().Misses) }),
		counter("pool_evictions_total", "Modules that made room for others.", func() float64 { return float64(stats().Evictions) }),
	}
	if e.config.Workers != nil {
		all = append(all, workerGauges(e.config.Workers.Stats)...)
	}
	return all
}

func workerGauges(stats func() worker.Stats) []prometheus.Collector {
	return []prometheus.Collector{
		gauge("worker_processes", "Worker processes, also those that wait for an action.", func() float64 { return float64(stats().Processes) }),
		gauge("worker_busy_processes", "Worker processes that run activations.", func() float64 { return float64(stats().Busy) }),
		counter("worker_starts_total", "Worker processes that were started.", func() float64 { return float64(stats().Started) }),
		counter("worker_crashes_total", "Worker processes that ended by themselves.", func() float64 { return float64(stats().Crashed) }),
		counter("worker_kills_total", "Worker processes that were killed because of what ran in them.", func() float64 { return float64(stats().Killed) }),
	}
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, read)
}

func counter(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, read)
}

// register keeps what could be registered: the rest belongs to somebody else.
func (m *metrics) register(all []prometheus.Collector) error {
	if m.registerer == nil {
		return nil
	}
	for _, c := range all {
		if err := m.registerer.Register(c); err != nil {
			return err
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

// unregister makes room for the metrics of another executor.
func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
}

func (m *metrics) observeRun(status sandbox.Status, t *timings, took time.Duration) {
	m.activations[status].Inc()
	m.durations.Observe(took.Seconds())
	m.observe(t)
}

func (m *metrics) observeInit(t *timings, took time.Duration, err error) {
	m.inits.WithLabelValues(moduleLabel(t, err)).Inc()
	m.initTimes.Observe(took.Seconds())
	m.observe(t)
}

func (m *metrics) observe(t *timings) {
	for _, s := range t.spans {
		m.phases[s.phase].Observe(s.took.Seconds())
	}
}

// moduleLabel tells how an initialization had its module.
func moduleLabel(t *timings, err error) string {
	if err != nil {
		return "failed"
	}
	for _, s := range t.spans {
		switch s.phase {
		case phaseCompile, phaseInterpret, phaseLoad, phasePool:
			return string(s.phase)
		}
	}
	return "failed"
}

func statusText(s sandbox.Status) string { return whisk.Status(s).String() }
