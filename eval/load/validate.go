package load

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Validate tells what makes a plan impossible. Requests are looked at when it
// is run.
func (p *Plan) Validate() error {
	switch {
	case len(p.Sequence) == 0:
		return errors.New("plan without a sequence")
	case p.Duration < 0 || p.Timeout < 0:
		return errors.New("plan with a negative duration or timeout")
	case p.Clients < 0 || p.Clients > maxInFlight:
		return fmt.Errorf("plan with %d clients, want up to %d", p.Clients, maxInFlight)
	case p.Rate < 0 || math.IsNaN(p.Rate) || math.IsInf(p.Rate, 0):
		return fmt.Errorf("plan with the rate %v", p.Rate)
	}
	for i, op := range p.Sequence {
		if op < 0 || op >= len(p.Operations) {
			return fmt.Errorf("step %d of the sequence is operation %d of %d", i, op, len(p.Operations))
		}
	}
	return p.validatePace()
}

func (p *Plan) validatePace() error {
	paces := 0
	for _, given := range []bool{p.Clients > 0, p.Rate > 0, len(p.Arrivals) > 0} {
		if given {
			paces++
		}
	}
	switch {
	case paces != 1:
		return errors.New("plan wants one of clients, rate and arrivals")
	case len(p.Arrivals) > 0 && len(p.Arrivals) != len(p.Sequence):
		return fmt.Errorf("plan with %d arrivals for a sequence of %d", len(p.Arrivals), len(p.Sequence))
	case len(p.Arrivals) > 0 && (p.Arrivals[0] < 0 || !slices.IsSorted(p.Arrivals)):
		return errors.New("plan whose arrivals are not in order")
	}
	return nil
}
