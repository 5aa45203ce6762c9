package load

import "time"

// Request is one HTTP request.
type Request struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
	Status []int             `json:"status,omitempty"` // what is a success; empty means 200
}

// Operation is what is measured as one: its requests, one after the other.
type Operation struct {
	// Prepare is asked once in a plan, by the first that comes to the operation;
	// whoever comes meanwhile waits, as an invoker's activations wait for /init.
	// If it fails, so does that operation, and the next tries again.
	Prepare []Request `json:"prepare,omitempty"`

	Steps []Request `json:"steps"`
}

// Plan is what a generator does: the operations of Sequence in order, as early
// as Clients, Rate or Arrivals allow.
//
// A plan is closed if it has Clients: each begins its next operation when its
// last one has ended. It is open if it has a Rate or Arrivals: operations begin
// when their time has come, whatever became of earlier ones, and their latency
// counts from there on, so that a system that stalls cannot hide it
// (coordinated omission).
type Plan struct {
	Operations []Operation `json:"operations"`

	// Sequence holds indices into Operations. With a Duration it begins again
	// after its end.
	Sequence []int         `json:"sequence"`
	Duration time.Duration `json:"duration,omitempty"` // after it nothing begins

	Clients  int             `json:"clients,omitempty"`
	Rate     float64         `json:"rate,omitempty"` // operations per second, as a Poisson process
	Arrivals []time.Duration `json:"arrivals,omitempty"`

	Seed    uint64        `json:"seed"`              // of the Poisson process
	Timeout time.Duration `json:"timeout,omitempty"` // of one operation; 0 means a minute
	Bodies  bool          `json:"bodies,omitempty"`  // the last answer of each operation is kept
}

// Sample is what became of one operation.
type Sample struct {
	Operation int             `json:"operation"`          // index into Plan.Operations
	Began     time.Duration   `json:"began"`              // when it should have begun, from the plan's start
	Late      time.Duration   `json:"late,omitempty"`     // how much later the generator began it
	Took      time.Duration   `json:"took"`               // from Began to the end of the last answer
	Steps     []time.Duration `json:"steps,omitempty"`    // how long each request took, where there are several; those of Prepare first
	Prepared  bool            `json:"prepared,omitempty"` // it was the one that asked Prepare
	Status    int             `json:"status,omitempty"`
	Failure   string          `json:"failure,omitempty"` // why it is no success: "timeout", "status 502", …
	Body      []byte          `json:"body,omitempty"`
}

// Result is what became of a plan.
type Result struct {
	Samples []Sample      `json:"samples"` // in the order they ended
	Took    time.Duration `json:"took"`

	// Busy is the processor time that the generator used, per second of the plan.
	Busy float64 `json:"busy"`

	// Saturated tells that the generator was the bottleneck: in a closed plan it
	// was busy for more than half of the time that as many processors have as its
	// clients could use, so that the target did less; in an open one it began one
	// operation in a hundred more than a millisecond late, and later than a tenth of
	// what the slowest hundredth took. Such a result says less of the target than of
	// the generator.
	Saturated bool `json:"saturated,omitempty"`
}
