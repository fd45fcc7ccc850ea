package engine

import (
	"errors"
	"fmt"
	"time"
)

// trialGrace is for how long the code of a plugin may go on when its time is over.
const trialGrace = 5 * time.Second

// errTrialEnded is the end of a trial whose code did not return.
var errTrialEnded = errors.New("the plugin's code has ended the goroutine that it ran in")

// StuckTrialError means that the code of a plugin has not returned when its time was over. It may
// still run.
type StuckTrialError struct {
	// After is how long it was waited for.
	After time.Duration
	// Timeout is how much time a call of the definition has.
	Timeout time.Duration
}

func (e *StuckTrialError) Error() string {
	return fmt.Sprintf("the plugin's code has not returned, %s after its time was over (timeout of the definition: %s): it ignores the end of its context",
		e.After, e.Timeout)
}
