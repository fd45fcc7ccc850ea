package daemon

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// ago is how long something was before now, as kubectl says it; empty for the zero time.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return duration.HumanDuration(max(0, now.Sub(at)))
}

// shortSeconds is a duration with about two digits, in one word; empty for none.
func shortSeconds(seconds statusz.Seconds) string {
	if seconds <= 0 {
		return ""
	}
	return oneWord(seconds.String())
}

// oneWord takes the spaces out of a figure, so that a cell of a table has none.
func oneWord(figure string) string { return strings.ReplaceAll(figure, " ", "") }

// failedText is how many calls failed, with their share of all.
func failedText(calls statusz.Calls) string {
	if calls.Failed == 0 || calls.Total == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", calls.Failed, oneWord(calls.FailedShare()))
}

// refText names an object as a person does.
func refText(object statusz.ObjectRef) string {
	if object.Namespace == "" {
		return object.Kind + " " + object.Name
	}
	return object.Kind + " " + object.Namespace + "/" + object.Name
}

// statePaint is the paint of a state.
func statePaint(state status.State) paint {
	switch state {
	case status.Running:
		return green
	case status.Degraded, status.PruneHeld:
		return red
	case status.Paused:
		return faint
	case status.Waiting, status.Syncing, status.ReloadPending:
		return yellow
	}
	return plainly
}

// plural writes a number of things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
