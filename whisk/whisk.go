// Package whisk is OpenWhisk's vocabulary: the kinds, limits, statuses, error
// kinds and texts that its clients and its invoker know by heart.
//
// Both fronts speak it, the runtime protocol (package executor) and the REST
// API; it imports only the standard library and knows neither.
package whisk

// Sentinel is the line that ends the logs of every activation, on both streams.
const Sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

// Kind names a runtime, as in an action's exec.kind.
type Kind string

// The kinds that are executed here. Default stands for the newest.
const (
	KindWasm        Kind = "wasm:0.1"
	KindWasmDefault Kind = "wasm:default"
)

// EnvPrefix begins the name of every variable that the platform sets in an
// action's environment.
const EnvPrefix = "__OW_"

// Status says how an activation ended, with OpenWhisk's numbers.
type Status int

// The statuses, in the order of whose doing they are: nobody's, the action's
// own word, a fault of the action, a fault of the platform.
const (
	Success          Status = 0
	ApplicationError Status = 1
	DeveloperError   Status = 2
	InternalError    Status = 3
)

// String is the status as activation records spell it.
func (s Status) String() string {
	switch s {
	case Success:
		return "success"
	case ApplicationError:
		return "application error"
	case DeveloperError:
		return "action developer error"
	default:
		return "whisk internal error"
	}
}
