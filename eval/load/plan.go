package load

import "time"

// Request is one HTTP request.
type Request struct {
	Method string
	URL    string
	Header map[string]string
	Body   []byte
	Status []int // what is a success; empty means 200
}

// Operation is what is measured as one: its requests, one after the other.
type Operation struct {
	// Prepare is asked once in a plan, by the first that comes to the operation;
	// whoever comes meanwhile waits, as an invoker's activations wait for /init.
	// If it fails, so does that operation, and the next tries again.
	Prepare []Request

	Steps []Request
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
	Operations []Operation

	// Sequence holds indices into Operations. With a Duration it begins again
	// after its end.
	Sequence []int
	Duration time.Duration // after it nothing begins

	Clients  int
	Rate     float64 // operations per second, as a Poisson process
	Arrivals []time.Duration

	Seed    uint64        // of the Poisson process
	Timeout time.Duration // of one operation; 0 means a minute
	Bodies  bool          // the last answer of each operation is kept
}

// Sample is what became of one operation.
type Sample struct {
	Operation int             // index into Plan.Operations
	Began     time.Duration   // when it should have begun, from the plan's start
	Late      time.Duration   // how much later the generator began it
	Took      time.Duration   // from Began to the end of the last answer
	Steps     []time.Duration // how long each request took, where there are several; those of Prepare first
	Prepared  bool            // it was the one that asked Prepare
	Status    int
	Failure   string // why it is no success: "timeout", "status 502", …
	Body      []byte
}

// Result is what became of a plan.
type Result struct {
	Samples []Sample // in the order they ended
	Took    time.Duration

	// Busy is the processor time that the generator used, per second of the plan.
	Busy float64

	// Saturated tells that the generator was the bottleneck: in a closed plan it
	// was busy for more than half of the time that as many processors have as its
	// clients could use, so that the target did less; in an open one it began one
	// operation in a hundred more than a millisecond late, and later than a tenth of
	// what the slowest hundredth took. Such a result says less of the target than of
	// the generator.
	Saturated bool
}
