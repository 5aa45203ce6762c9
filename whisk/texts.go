package whisk

import (
	"fmt"
	"time"
)

// Texts of the runtime protocol. Invokers, clients and their tests compare
// them, so they stand here letter by letter.
const (
	TextReinit          = "Cannot initialize the action more than once."
	TextNoCode          = "Missing main/no code to execute."
	TextNoAction        = "no action defined yet"
	TextNotAnObject     = "The action did not return a dictionary or array."
	TextInputNotAnObj   = "The action did not receive a dictionary or array as an argument."
	TextAbnormalInit    = "The action did not initialize and exited unexpectedly."
	TextAbnormalRun     = "The action did not produce a valid response and exited unexpectedly."
	TextMemoryExhausted = "The action exhausted its memory and was aborted."
	TextActionRemoved   = "Action could not be found or may have been deleted."
)

// TextTimedOut is the text of an activation that ran into its deadline; limit
// is the time it was given.
func TextTimedOut(limit time.Duration) string {
	return fmt.Sprintf("The action exceeded its time limits of %d milliseconds.", max(limit, 0).Milliseconds())
}

// TextInitTimedOut is the text of an initialization that ran into its deadline.
func TextInitTimedOut(limit time.Duration) string {
	return fmt.Sprintf("The action exceeded its time limits of %d milliseconds during initialization.", max(limit, 0).Milliseconds())
}

// TextResultTooLarge is the text of a result longer than limit bytes. A length
// of 0 means that it is not known.
func TextResultTooLarge(length, limit uint64) string {
	if length == 0 {
		return fmt.Sprintf("The action produced a response that exceeded the allowed length: more than %d bytes.", limit)
	}
	return fmt.Sprintf("The action produced a response that exceeded the allowed length: %d > %d bytes.", length, limit)
}

// TextLogsTruncated is the line that ends the logs of an activation that wrote
// more than limit bytes.
func TextLogsTruncated(limit int) string {
	return fmt.Sprintf("Logs were truncated because the total bytes size exceeds the limit of %d bytes.", limit)
}
